"""The spec is frozen, validated, and split into parts with a digest each."""

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from kdbench.errors import InputError, SpecError
from kdbench.resources import shipped
from kdbench.spec import BIAS_AXES, SPEC_PATH, Spec, digest, families
from kdbench.testsets.spec import load_spec

Edit = Callable[[dict[str, Any]], object]
SHIPPED = shipped(*SPEC_PATH).read_text()
PINNED = {
    "synthetic": ("ab252cfee9ae09f3", "52b67082761b25ff", "78b7d1e578b055ee"),
    "cifar10-32": ("74ba5db054f7140b", "a1c64afab0d1894a", "9428327e2b192f1e"),
    "cifar10-224": ("098b49bf0fe92425", "cd5cfc089b9557bc", "9428327e2b192f1e"),
}  # training, test sets, scoring


def edited(edit: Edit) -> Spec:
    """The shipped spec after a change of its raw values."""
    raw = tomllib.loads(SHIPPED)
    edit(raw)
    return Spec.model_validate(raw)


def refusal(folder: Path, old: str, new: str) -> str:
    """The sentence with which the shipped spec is refused after a change of its text."""
    assert old in SHIPPED
    path = folder / "spec.toml"
    path.write_text(SHIPPED.replace(old, new, 1))
    with pytest.raises(SpecError) as caught:
        load_spec(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_the_shipped_digests_are_pinned() -> None:
    """A track is frozen: a change here is a new version of the benchmark, told in CHANGELOG.md."""
    spec = load_spec()
    found = {
        name: tuple(one[:16] for one in (track.training_digest, track.testsets_digest, spec.scoring_digest(name)))
        for name, track in spec.tracks.items()
    }
    assert found == PINNED


def test_a_digest_is_the_sha256_of_canonical_json() -> None:
    assert digest({"b": 1, "a": [True, None]}) == digest({"a": [True, None], "b": 1})
    # sha256 of the two bytes "{}"
    assert digest({}) == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"


@pytest.mark.parametrize("name", ["synthetic", "cifar10-32", "cifar10-224"])
def test_a_track_runs_both_directions_and_covers_every_axis(name: str) -> None:
    track = load_spec().track(name)
    assert track.directions == ("cnn-to-vit", "vit-to-cnn")
    assert all(track.primary_sets(axis) for axis in ("clean", *BIAS_AXES))


def test_a_track_knows_its_name_and_a_file_may_not_give_it_another(tmp_path: Path) -> None:
    assert {name: track.name for name, track in load_spec().tracks.items()} == {name: name for name in PINNED}
    message = refusal(tmp_path, "[tracks.synthetic]\n", '[tracks.synthetic]\nname = "mine"\n')
    assert "tracks.synthetic.name" in message


def test_only_synthetic_teachers_are_planted() -> None:
    tracks = load_spec().tracks
    assert tracks["synthetic"].teacher_biases == ("shape", "texture")
    assert {track.teacher_biases for name, track in tracks.items() if name != "synthetic"} == {("natural",)}


def test_a_diagnostic_set_does_not_count_for_its_axis() -> None:
    track = load_spec().track("synthetic")
    assert "texture-field" in {one.name for one in track.test_sets}
    assert [one.name for one in track.primary_sets("texture")] == ["texture"]


@pytest.mark.parametrize(
    ("edit", "moved"),
    [
        (lambda raw: raw["tracks"]["synthetic"]["training"].update(student_epochs=4), "training"),
        (lambda raw: raw["tracks"]["synthetic"]["backbones"]["cnn"].update(learning_rate=1e-4), "training"),
        (lambda raw: raw["tracks"]["synthetic"]["augmentation"].update(flip=True), "training"),
        (lambda raw: raw["tracks"]["synthetic"]["test_sets"][3]["parameters"].update(segments=32), "testsets"),
        (lambda raw: raw["scoring"].update(ranked_seeds=7), "scoring"),
        (lambda raw: raw["tracks"]["synthetic"]["scoring"].update(teacher_margin=0.2), "scoring"),
        (lambda raw: raw["tracks"]["cifar10-32"]["scoring"].update(live_axes={"cnn-to-vit": ["noise"]}), ""),
        (lambda raw: raw["tracks"]["synthetic"].update(summary="Other words."), ""),
    ],
)
def test_a_change_moves_the_digest_of_its_part_alone(edit: Edit, moved: str) -> None:
    before, after = load_spec(), edited(edit)
    changed = {
        "training": before.track("synthetic").training_digest != after.track("synthetic").training_digest,
        "testsets": before.track("synthetic").testsets_digest != after.track("synthetic").testsets_digest,
        "scoring": before.scoring_digest("synthetic") != after.scoring_digest("synthetic"),
    }
    assert [part for part, differs in changed.items() if differs] == ([moved] if moved else [])
    assert before.track("cifar10-32").training_digest == after.track("cifar10-32").training_digest


def test_a_change_of_the_data_moves_training_and_test_sets() -> None:
    before = load_spec().track("synthetic")
    after = edited(lambda raw: raw["tracks"]["synthetic"]["data"]["look"].update(contrast=30)).track("synthetic")
    assert before.training_digest != after.training_digest
    assert before.testsets_digest != after.testsets_digest


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
        ('axis = "noise"', 'axis = "texture"', ("no set for the axis noise",)),
        ('source = "synthetic"', 'source = "cifar10"', ("look",)),
        ("live_axes = {}", 'live_axes = { "cnn-to-vit" = ["clean"] }', ("live_axes", "cnn-to-vit", "texture, shape")),
        ("ranked_seeds = 5", "ranked_seeds = 2", ("scoring.ranked_seeds", "2")),
        ("live_axes = {}", 'live_axes = { "cnn-to-rnn" = ["shape"] }', ("live_axes", "cnn-to-rnn")),
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
        ("num_classes = 10", "num_classes = 12", ("synthetic", "num_classes", "has 10, not 12")),
        ('["shape", "texture"]', "[]", ("tracks.synthetic", "teacher_biases", "one or more, each once, not []")),
        ('["shape", "texture"]', '["shape", "shape"]', ("tracks.synthetic", "teacher_biases", "each once")),
        ('["cnn-to-vit", "vit-to-cnn"]', '["cnn-to-vit", "cnn-to-vit"]', ("synthetic", "directions", "each once")),
        ("grid = 2", "grid = 0", ("synthetic", "scramble-2", "grid", "the value 0, allowed are 1 and more")),
        ("size = 8", "size = -8", ("synthetic", "noise", "size", "the value -8, allowed are 1 and more")),
        ("segments = 64", "segments = 0", ("synthetic", "locality", "segments", "the value 0")),
        ("sigma = 1 ", "sigma = -1 ", ("synthetic", "locality", "sigma", "allowed are 0 and more")),
        ("foreground = 255", "foreground = 256", ("cifar10-32", "foreground", "256, allowed are 0 to 255")),
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


def test_an_unknown_track_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match="synthetic, cifar10-32, cifar10-224"):
        load_spec().track("synthetik")


def test_a_spec_cannot_be_changed_in_place() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        load_spec().scoring.confidence = 0.5  # type: ignore[misc]


def test_a_direction_names_teacher_and_student() -> None:
    assert families("cnn-to-vit") == ("cnn", "vit")
    assert families("vit-to-vit") == ("vit", "vit")


def test_images_are_stored_at_their_own_size_and_seen_at_the_tracks() -> None:
    tracks = load_spec().tracks
    assert {name: (one.data.stored_size, one.data.image_size) for name, one in tracks.items()} == {
        "synthetic": (32, 32),
        "cifar10-32": (32, 32),
        "cifar10-224": (32, 224),
    }


def test_how_images_are_resized_moves_both_digests_of_the_track_alone() -> None:
    before = load_spec()
    after = edited(lambda raw: raw["tracks"]["cifar10-224"]["data"]["resize"].update(antialias=True))
    for name in before.tracks:
        same = name != "cifar10-224"
        assert (before.track(name).training_digest == after.track(name).training_digest) is same
        assert (before.track(name).testsets_digest == after.track(name).testsets_digest) is same
