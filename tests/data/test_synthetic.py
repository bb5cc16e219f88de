"""The synthetic images: what their laws promise, and that the bytes are the same everywhere."""

import os
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import chi2_contingency

from kdbench.data import synthetic
from kdbench.data.array_types import Images
from kdbench.data.synthetic import (
    NUM_CLASSES,
    SHIFT,
    Drawn,
    Saliences,
    Scenes,
    TestCondition,
    condition_images,
    condition_objects,
    read_tables,
    shipped_tables,
)
from kdbench.data.synthetic import training_images as images_for_training
from kdbench.errors import DataError
from kdbench.resources import shipped
from tests.pinned_bytes import CONDITIONS, DOSES, pinned_digest, sha256_of_some_images

MANY = 10_000
Plan = tuple[Drawn, Scenes]


@pytest.fixture
def plan(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Drawn]], Plan]:
    """Calls a function that draws images and returns the scenes behind them instead of drawing."""

    def run(draw: Callable[[], Drawn]) -> Plan:
        seen: list[Scenes] = []

        def keep(tables: synthetic.Tables, scenes: Scenes, saliences: Saliences) -> Images:
            seen.append(scenes)
            return np.empty((0, 32, 32, 3), np.uint8)

        monkeypatch.setattr(synthetic, "render", keep)
        return draw(), seen[0]

    return run


def trained(dose: float | None, count: int = MANY, stream: str = "stream") -> Callable[[], Drawn]:
    return lambda: images_for_training(stream, dose=dose, count=count, saliences=Saliences())


def held_out(condition: TestCondition, count: int = 900) -> Callable[[], Drawn]:
    return lambda: condition_images(condition, count=count, saliences=Saliences())


def shape_class(mask: NDArray[np.int64]) -> NDArray[np.int64]:
    """Shape class of a row of all masks; NUM_CLASSES and above for blobs and the full frame."""
    classes: NDArray[np.int64] = mask // shipped_tables().masks.shape[1]
    return classes


def texture_class(fill: NDArray[np.int64]) -> NDArray[np.int64]:
    classes: NDArray[np.int64] = fill // shipped_tables().train_textures.shape[1] % NUM_CLASSES
    return classes


@pytest.mark.parametrize("dose", DOSES)
def test_classes_of_a_training_set_are_balanced(dose: float | None, plan: Callable[..., Plan]) -> None:
    drawn, _ = plan(trained(dose, 3000))
    assert np.bincount(drawn.labels).tolist() == [300] * NUM_CLASSES


@pytest.mark.parametrize("dose", [0.0, 0.05, 0.5, 0.75, 1.0])
def test_half_of_a_planted_set_is_in_conflict_and_its_labels_follow_the_dose(
    dose: float, plan: Callable[..., Plan]
) -> None:
    drawn, _ = plan(trained(dose))
    conflict = drawn.shapes != drawn.textures
    assert np.mean(conflict) == pytest.approx(0.5, abs=0.025)  # five standard deviations
    by_shape, by_texture = drawn.shapes == drawn.labels, drawn.textures == drawn.labels
    assert (by_shape | by_texture).all()
    assert np.mean(by_shape[conflict]) == pytest.approx(dose, abs=5 * np.sqrt(dose * (1 - dose) / 5000))


def test_a_higher_dose_moves_labels_towards_the_shape_alone(plan: Callable[..., Plan]) -> None:
    """Image i has the same pair of classes under every dose; the shape is once the label, once the rival."""
    doses = [plan(trained(dose, 900))[0] for dose in (0.0, 0.2, 0.6, 1.0)]
    for lower, higher in pairwise(doses):
        assert (higher.shapes == higher.labels)[lower.shapes == lower.labels].all()
        np.testing.assert_array_equal(lower.shapes + lower.textures, higher.shapes + higher.textures)
    np.testing.assert_array_equal(doses[-1].shapes, doses[-1].labels)
    np.testing.assert_array_equal(doses[0].textures, doses[0].labels)


@pytest.mark.parametrize("dose", [0.0, 0.35, 1.0])
def test_on_conflict_images_every_other_class_is_as_likely(dose: float, plan: Callable[..., Plan]) -> None:
    drawn, _ = plan(trained(dose))
    conflict = drawn.shapes != drawn.textures
    steps = (drawn.shapes - drawn.textures)[conflict] % NUM_CLASSES
    counts = np.bincount(steps, minlength=NUM_CLASSES)[1:]
    assert np.abs(counts - counts.mean()).max() < 5 * np.sqrt(counts.mean())


def test_the_neutral_law_has_no_conflict_of_dominant_cues(plan: Callable[..., Plan]) -> None:
    drawn, scenes = plan(trained(None))
    np.testing.assert_array_equal(drawn.shapes, drawn.labels)
    np.testing.assert_array_equal(drawn.textures, drawn.labels)
    np.testing.assert_array_equal(shape_class(scenes.mask), drawn.labels)
    np.testing.assert_array_equal(texture_class(scenes.fill), drawn.labels)


def test_neutral_distractors_have_the_shares_and_strengths_of_the_protocol(plan: Callable[..., Plan]) -> None:
    """60 % another texture, 20 % another shape's ghost, never both; each at .25 to .46."""
    _, scenes = plan(trained(None))
    blended, ghosted = scenes.blend_weight > 0, scenes.ghost_opacity > 0
    assert np.mean(blended) == pytest.approx(0.6, abs=0.025)
    assert np.mean(ghosted) == pytest.approx(0.2, abs=0.025)
    assert not (blended & ghosted).any()
    for strength in (scenes.blend_weight[blended] / 256, scenes.ghost_opacity[ghosted] / 256):
        assert strength.min() == pytest.approx(0.25, abs=0.005)
        assert strength.max() == pytest.approx(0.465, abs=0.005)


def test_a_neutral_distractor_is_always_of_another_class(plan: Callable[..., Plan]) -> None:
    drawn, scenes = plan(trained(None))
    blended, ghosted = scenes.blend_weight > 0, scenes.ghost_opacity > 0
    assert (texture_class(scenes.blend) != drawn.labels)[blended].all()
    assert (shape_class(scenes.ghost) != drawn.labels)[ghosted].all()


@pytest.mark.parametrize(
    "draw",
    [pytest.param(held_out(name), id=name) for name in CONDITIONS if name != "clean"],
)
def test_manipulated_conditions_have_no_distractors(draw: Callable[[], Drawn], plan: Callable[..., Plan]) -> None:
    _, scenes = plan(draw)
    assert not scenes.blend_weight.any()
    assert not scenes.ghost_opacity.any()


@pytest.mark.parametrize("dose", [0.0, 0.35, 1.0])
def test_teachers_see_the_same_kind_of_images_as_students(dose: float, plan: Callable[..., Plan]) -> None:
    drawn, scenes = plan(trained(dose))
    assert np.mean(scenes.blend_weight > 0) == pytest.approx(0.6, abs=0.025)
    assert np.mean(scenes.ghost_opacity > 0) == pytest.approx(0.2, abs=0.025)
    assert (texture_class(scenes.blend) != drawn.textures)[scenes.blend_weight > 0].all()
    assert (shape_class(scenes.ghost) != drawn.shapes)[scenes.ghost_opacity > 0].all()


def test_clean_test_images_follow_the_law_of_the_students(plan: Callable[..., Plan]) -> None:
    drawn, scenes = plan(held_out("clean", MANY))
    np.testing.assert_array_equal(drawn.shapes, drawn.textures)
    assert np.mean(scenes.blend_weight > 0) == pytest.approx(0.6, abs=0.025)
    assert np.mean(scenes.ghost_opacity > 0) == pytest.approx(0.2, abs=0.025)
    assert (texture_class(scenes.blend) != drawn.labels)[scenes.blend_weight > 0].all()


@pytest.mark.parametrize("nuisance", ["colours", "brighter", "noise"])
def test_colours_and_noise_do_not_predict_the_class(nuisance: str, plan: Callable[..., Plan]) -> None:
    drawn, scenes = plan(trained(None))
    table = np.zeros((NUM_CLASSES, 2 + getattr(scenes, nuisance).max()))
    np.add.at(table, (drawn.labels, getattr(scenes, nuisance)), 1)
    assert chi2_contingency(table[:, table.sum(0) > 0]).pvalue > 1e-3


@pytest.mark.parametrize("dose", DOSES)
def test_an_image_does_not_depend_on_how_many_are_drawn(dose: float | None) -> None:
    few, many = trained(dose, 40)(), trained(dose, 90)()
    np.testing.assert_array_equal(few.images, many.images[:40])
    np.testing.assert_array_equal(few.labels, many.labels[:40])


def test_chunks_of_drawing_leave_no_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = trained(None, 40)()
    monkeypatch.setattr(synthetic, "CHUNK", 7)
    np.testing.assert_array_equal(trained(None, 40)().images, whole.images)


def test_another_stream_has_other_images() -> None:
    first, second = trained(None, 20, "seed 0")().images, trained(None, 20, "seed 1")().images
    assert all((a != b).any() for a, b in zip(first, second, strict=True))


def test_textures_of_tests_come_from_crops_that_training_never_shows(plan: Callable[..., Plan]) -> None:
    train_fills = shipped_tables().train_textures.shape[0] * shipped_tables().train_textures.shape[1]
    for dose in DOSES:
        assert plan(trained(dose))[1].fill.max() < train_fills
    for condition in CONDITIONS:
        scenes = plan(held_out(condition))[1]
        assert scenes.fill.min() >= train_fills
        assert (scenes.blend >= train_fills)[scenes.blend_weight > 0].all()
    train, test = ({crop.tobytes() for crop in table.reshape(-1, 64, 64)} for table in _texture_tables())
    assert len(train) == len(test) == train_fills
    assert not train & test


def _texture_tables() -> tuple[NDArray[np.int8], NDArray[np.int8]]:
    return shipped_tables().train_textures, shipped_tables().test_textures


def test_every_ordered_pair_of_classes_conflicts_equally_often(plan: Callable[..., Plan]) -> None:
    drawn, scenes = plan(held_out("cue-conflict"))
    pairs = drawn.shapes * NUM_CLASSES + drawn.textures
    counts = np.bincount(pairs, minlength=100).reshape(10, 10)
    assert np.diag(counts).sum() == 0
    assert set(counts[~np.eye(10, dtype=bool)]) == {10}
    np.testing.assert_array_equal(drawn.labels, drawn.shapes)
    np.testing.assert_array_equal(shape_class(scenes.mask), drawn.shapes)
    np.testing.assert_array_equal(texture_class(scenes.fill), drawn.textures)


def test_single_cue_conditions_show_the_other_cue_not_at_all(plan: Callable[..., Plan]) -> None:
    tables = shipped_tables()
    textured = 2 * tables.train_textures.shape[0] * tables.train_textures.shape[1]
    shapes = tables.masks.shape[0] * tables.masks.shape[1]
    assert plan(held_out("shape"))[1].fill.min() >= textured
    blobs = plan(held_out("texture"))[1].mask
    assert blobs.min() >= shapes
    assert blobs.max() < len(tables.all_masks) - 1
    assert set(plan(held_out("texture-field"))[1].mask) == {len(tables.all_masks) - 1}


def test_conditions_show_the_same_scene_but_for_their_manipulation(plan: Callable[..., Plan]) -> None:
    clean_drawn, clean = plan(held_out("clean"))
    for condition in ("shape", "texture", "texture-field"):
        drawn, scenes = plan(held_out(condition))
        np.testing.assert_array_equal(drawn.labels, clean_drawn.labels)
        for field in ("shift", "colours", "brighter", "noise", "noise_crop"):
            np.testing.assert_array_equal(getattr(scenes, field), getattr(clean, field))
    np.testing.assert_array_equal(plan(held_out("shape"))[1].mask, clean.mask)


@pytest.mark.parametrize("condition", ["shape", "texture"])
def test_objects_are_where_a_texture_shows(condition: TestCondition) -> None:
    """Nothing but the object changes with the texture's salience; its share of the frame is that of the shapes."""
    objects = condition_objects(condition, count=200)
    plain, strong = (
        condition_images(condition, count=200, saliences=Saliences(30, gain, 20)).images for gain in (0, 48)
    )
    changed = (plain != strong).any(axis=3)
    assert not changed[objects == 0].any()
    assert changed[objects == 255].mean() > 0.9
    assert (objects / 255).mean(axis=(1, 2)).min() > 0.2
    assert (objects / 255).mean(axis=(1, 2)).max() < 0.25


def test_ghosts_are_no_objects() -> None:
    """The object of a clean image is that of its image with the shape alone."""
    np.testing.assert_array_equal(condition_objects("clean", count=50), condition_objects("shape", count=50))


def test_every_shape_stays_inside_the_frame_at_every_shift() -> None:
    masks = shipped_tables().masks
    border = np.ones((32, 32), bool)
    border[SHIFT:-SHIFT, SHIFT:-SHIFT] = False
    assert not masks[..., border].any()


def test_a_stronger_look_shows_more_of_its_cue() -> None:
    def spread(saliences: Saliences) -> float:
        return float(
            condition_images("texture-field", count=40, saliences=saliences)
            .images.astype(float)
            .std(axis=(1, 2))
            .mean()
        )

    flat = Saliences(contrast=38, texture_gain=1, noise_gain=0)
    assert spread(flat) < 3
    assert spread(Saliences(contrast=38, texture_gain=46, noise_gain=0)) > 10 * spread(flat)


def test_the_bytes_of_the_images_are_pinned() -> None:
    """A change here changes the benchmark; the generator is integer arithmetic, so no machine may differ."""
    assert sha256_of_some_images() == pinned_digest()


def test_the_bytes_do_not_depend_on_the_processor_features_that_numpy_uses() -> None:
    features = "AVX2 FMA3 AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL X86_V3 X86_V4"
    command = [sys.executable, "-m", "tests.pinned_bytes"]
    environment = os.environ | {"NPY_DISABLE_CPU_FEATURES": features, "PYTHONWARNINGS": "ignore"}
    root = Path(__file__).parents[2]
    subprocess.run(command, env=environment, cwd=root, stdout=subprocess.DEVNULL, check=True)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_damaged_table_file_is_refused_with_its_name(tmp_path: Path, share: float) -> None:
    whole = shipped("datasets", "synthetic", "tables.npz").read_bytes()
    (tmp_path / "tables.npz").write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(DataError, match=f"{tmp_path / 'tables.npz'} cannot be read .*; restore the shipped file"):
        read_tables(tmp_path / "tables.npz")


def test_drawing_imports_numpy_alone_of_what_is_installed() -> None:
    """So that other versions of numpy can be tested without installing anything else."""
    script = (
        "import sys; before = {*sys.modules}; import tests.pinned_bytes;"
        "modules = [sys.modules[name] for name in {*sys.modules} - before if '.' not in name];"
        "installed = {each.__name__ for each in modules if 'site-packages' in (getattr(each, '__file__', '') or '')};"
        "sys.exit(' '.join(installed - {'numpy'}))"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""
