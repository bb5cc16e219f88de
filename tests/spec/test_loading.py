"""A wrong spec file is refused in a sentence."""

from pathlib import Path

import pytest

from kdbench.errors import SpecError
from kdbench.resources import shipped
from kdbench.spec import SPEC_PATH
from kdbench.testsets.spec import load_spec

SHIPPED = shipped(*SPEC_PATH).read_text()


def refusal(folder: Path, old: str, new: str) -> str:
    """Return the sentence with which the shipped spec is refused after a change of its text."""
    assert old in SHIPPED
    path = folder / "spec.toml"
    path.write_text(SHIPPED.replace(old, new, 1))
    with pytest.raises(SpecError) as caught:
        load_spec(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_a_file_may_not_give_a_track_another_name(tmp_path: Path) -> None:
    message = refusal(tmp_path, "[tracks.synthetic]\n", '[tracks.synthetic]\nname = "mine"\n')
    assert "tracks.synthetic.name" in message


@pytest.mark.parametrize(
    ("old", "new", "reasons"),
    [
        ("student_epochs = 3", "student_epoch = 3", ("tracks.synthetic.training.student_epoch", "student_epochs")),
        ("num_train = 3000", 'num_train = "many"', ("tracks.synthetic.data.num_train", "'many'")),
        ("num_train = 3000", "num_train = -1", ("tracks.synthetic.data.num_train", "-1")),
        ("confidence = 0.95", "", ("scoring.confidence", "missing")),
        ("confidence = 0.95", "confidence = 95", ("scoring.confidence", "95")),
        ('axis = "shape"', 'axis = "shapes"', ("axis", "'shapes'", "'shape'")),
        ('name = "shape"', 'name = "texture"', ("same name",)),
        ('axis = "noise"', 'axis = "texture"', ("the axis noise has no set",)),
        ('source = "synthetic"', 'source = "cifar10"', ("look",)),
        ("ranked_seeds = 5", "ranked_seeds = 2", ("scoring.ranked_seeds", "2")),
        ("student_epochs = 3", 'student_epochs = "3"', ("tracks.synthetic.training.student_epochs", "'3'", "integer")),
        ("student_epochs = 3", "student_epochs = 3.0", ("tracks.synthetic.training.student_epochs", "3.0", "integer")),
        ("confidence = 0.95", 'confidence = "0.95"', ("scoring.confidence", "'0.95'", "number")),
        ("warmup = 0.1", "warmup = true", ("tracks.synthetic.training.warmup", "True", "number")),
        ("learning_rate = 2e-3", "learning_rate = inf", ("backbones.cnn.learning_rate", "inf", "finite")),
        ("flip = false", 'flip = "no"', ("tracks.synthetic.augmentation.flip", "'no'", "boolean")),
        ("flip = false", "flip = 0", ("tracks.synthetic.augmentation.flip", "0", "boolean")),
        ("mean = [0.5, 0.5, 0.5]", 'mean = [0.5, 0.5, "0.5"]', ("tracks.synthetic.data.mean.2", "'0.5'", "number")),
        ("grid = 2", "gird = 2", ("synthetic", "scramble-2", "unknown key gird", "grid, permutation")),
        ("grid = 2", 'grid = "2"', ("synthetic", "scramble-2", "grid", "'2'", "whole number")),
        ("grid = 2", "grid = true", ("tracks.synthetic.test_sets.4.parameters.grid", "True")),
        ("parameters = { grid = 2 }", "", ("synthetic", "scramble-2", "grid is missing")),
        ("{ grid = 2 }", '{ grid = 2, table_sha256 = "0" }', ("scramble-2", "table_sha256", "grid, permutation")),
        ("sigma = 1 ", "smoothing = 1 ", ("synthetic", "locality", "smoothing", "segments, compactness, sigma")),
        ('"silhouette", fore', '"outline", fore', ("cifar10-32", "shape-white", "'outline'", "silhouette, fcn-")),
        ("overlap = 3", "overlaps = 3", ("cifar10-32", "texture", "overlaps", "block, overlap, candidates")),
        ('fallback = "disc"', "erosion = 1", ("cifar10-224", "shape-white-all", "erosion", "fallback")),
        ("std = [0.5, 0.5, 0.5]", "std = [0.5, 0.0, 0.5]", ("tracks.synthetic.data.std.1", "0.0", "greater than 0")),
        (
            "num_classes = 10",
            "num_classes = 12",
            ("synthetic", "num_classes", "is 12, but the source 'synthetic' has 10 classes"),
        ),
        (
            '["cnn-to-vit", "vit-to-cnn"]',
            "[]",
            ("tracks.synthetic", "directions is []; give at least one value, and none twice"),
        ),
        (
            "[0.90, 0.20]",
            "[0.8, 0.5]",
            ("synthetic.planted", "pair [0.8, 0.5]", "larger by at least 0.5"),
        ),
        ("[0.90, 0.20]", "[1.5, 0.20]", ("tracks.synthetic.planted.doses.0.0", "1.5", "less than or equal to 1")),
        ('["cnn-to-vit", "vit-to-cnn"]', '["cnn-to-vit", "cnn-to-vit"]', ("synthetic", "directions", "none twice")),
        ("grid = 2", "grid = 0", ("synthetic", "scramble-2", "grid", "the value 0; allowed: at least 1")),
        ("size = 8", "size = -8", ("synthetic", "noise", "size", "the value -8; allowed: at least 1")),
        ("segments = 64", "segments = 0", ("synthetic", "locality", "segments", "the value 0")),
        ("sigma = 1 ", "sigma = -1 ", ("synthetic", "locality", "sigma", "allowed: at least 0")),
        ("foreground = 255", "foreground = 256", ("cifar10-32", "foreground", "256; allowed: 0 to 255")),
        ("[0.90, 0.20]", "[0.905, 0.20]", ("tracks.synthetic.planted", "0.905", "multiples of .01")),
        ("tables_sha256", "# tables_sha256", ("tracks.synthetic.data", "needs `tables_sha256`")),
        ("synthetic-cnn-1", "synthetic-cnn-0", ("backbones.cnn", "name none twice")),
        ("pretrained = [ ", 'weights = "timm"\npretrained = [ ', ("backbones.cnn", "both `weights` and `pretrained`")),
        ("[scoring]", "[scoring", ("not TOML",)),
    ],
)
def test_a_wrong_spec_is_refused_with_file_key_and_reason(
    tmp_path: Path, old: str, new: str, reasons: tuple[str, ...]
) -> None:
    sentence = refusal(tmp_path, old, new)
    assert all(reason in sentence for reason in reasons)


def test_a_missing_spec_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="cannot be read"):
        load_spec(tmp_path / "no.toml")
