"""Who trains on what: laws, streams and numbers of images."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdbench.data import synthetic
from kdbench.data.cifar10 import read_cifar10
from kdbench.data.training_sets import balanced_subset, saliences_of, shared_training_set, training_set
from kdbench.errors import DataError, InputError
from kdbench.spec import Track
from kdbench.testsets.spec import load_spec
from tests.data import copies

SYNTHETIC = load_spec().track("synthetic")
CIFAR = load_spec().track("cifar10-32")


def with_images(track: Track, count: int) -> Track:
    """Return a track that trains on another number of images."""
    return track.model_copy(update={"data": track.data.model_copy(update={"num_train": count})})


def drawn(images: int = 40, **changes: object) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    arguments: dict[str, object] = {"role": "student", "bias": None, "seed": 0, "source": None, **changes}
    return training_set(with_images(SYNTHETIC, images), **arguments).images  # type: ignore[arg-type]


def test_teachers_and_students_of_one_seed_see_different_images() -> None:
    assert (drawn() != drawn(role="teacher", bias="shape")).any()


def test_every_seed_draws_images_of_its_own_and_the_same_ones_again() -> None:
    np.testing.assert_array_equal(drawn(seed=1), drawn(seed=1))
    assert (drawn(seed=1) != drawn(seed=2)).any()


def test_a_students_images_do_not_depend_on_its_teachers_bias() -> None:
    np.testing.assert_array_equal(drawn(bias="shape"), drawn(bias="texture"))


@pytest.mark.parametrize("seed", [3, 4])
def test_a_teacher_is_drawn_under_the_law_of_its_dose(seed: int) -> None:
    assert SYNTHETIC.planted is not None
    shape, texture = SYNTHETIC.planted.doses[seed]
    doses: dict[str, float | None] = {"shape": shape, "texture": texture, "natural": None}
    for bias, dose in doses.items():
        stream = ("synthetic", "teacher", bias, seed)
        law = synthetic.training_images(*stream, dose=dose, count=40, saliences=saliences_of(SYNTHETIC))
        np.testing.assert_array_equal(drawn(role="teacher", bias=bias, seed=seed), law.images)


def test_a_natural_teacher_sees_other_images_than_its_students_under_the_same_law() -> None:
    teacher, student = drawn(role="teacher", bias="natural"), drawn()
    assert all((a != b).any() for a, b in zip(teacher, student, strict=True))


def test_a_smaller_set_is_the_beginning_of_a_larger_one() -> None:
    np.testing.assert_array_equal(drawn(20), drawn(40)[:20])


def test_a_teacher_without_a_bias_is_refused() -> None:
    with pytest.raises(InputError, match="a teacher of track synthetic has no bias; give natural"):
        drawn(role="teacher", bias=None)


def test_cifar_without_images_is_refused() -> None:
    with pytest.raises(DataError, match="needs CIFAR-10"):
        training_set(CIFAR, role="student", bias=None, seed=0, source=None)


def test_a_source_smaller_than_the_spec_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copies.small_counts(monkeypatch)
    source = read_cifar10(copies.parquet_copy(tmp_path), tmp_path)
    with pytest.raises(DataError, match="trains on 50000 images, but the source has 20; give another copy"):
        training_set(CIFAR, role="student", bias=None, seed=0, source=source)


def test_everybody_trains_on_the_same_cifar_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copies.small_counts(monkeypatch)
    source = read_cifar10(copies.parquet_copy(tmp_path), tmp_path)
    track = with_images(CIFAR, 20)
    teacher = training_set(track, role="teacher", bias="natural", seed=5, source=source)
    student = training_set(track, role="student", bias=None, seed=7, source=source)
    limited = training_set(with_images(CIFAR, 10), role="student", bias=None, seed=7, source=source)
    np.testing.assert_array_equal(teacher.images, student.images)
    assert np.bincount(limited.labels).tolist() == [1] * 10


@given(st.lists(st.integers(0, 4), min_size=5, max_size=60), st.integers(1, 60))
def test_a_subset_takes_the_first_of_each_class_in_turn(labels: list[int], count: int) -> None:
    array = np.array(labels)
    rows = balanced_subset(array, count)
    assert len(rows) == min(count, len(labels))
    assert (np.diff(rows) > 0).all()
    taken, there = np.bincount(array[rows], minlength=5), np.bincount(array, minlength=5)
    short = taken < there  # classes that could have given more are within one of the fullest
    assert (taken[short] >= taken.max() - 1).all()
    for label in range(5):
        np.testing.assert_array_equal(np.flatnonzero(array == label)[: taken[label]], rows[array[rows] == label])


def shared(cache: Path, images: int = 40, **changes: object) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    arguments: dict[str, object] = {"role": "student", "bias": None, "seed": 0, "source": None, **changes}
    return shared_training_set(with_images(SYNTHETIC, images), cache, **arguments).images  # type: ignore[arg-type]


def entries(cache: Path) -> int:
    return len(list(cache.rglob("manifest.json")))


def test_runs_of_a_seed_share_their_images_which_are_those_that_each_would_draw(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = shared(tmp_path)
    monkeypatch.setattr(synthetic, "training_images", None)  # nothing is drawn any more
    for image, bias in ((shared(tmp_path), None), (shared(tmp_path, bias="shape"), "ignored for students")):
        np.testing.assert_array_equal(image, first, err_msg=str(bias))
        assert isinstance(image, np.memmap)
    monkeypatch.undo()
    np.testing.assert_array_equal(first, drawn())


def test_another_seed_role_bias_or_number_is_another_entry(tmp_path: Path) -> None:
    teacher: dict[str, object] = {"role": "teacher", "bias": "shape"}
    different: list[dict[str, object]] = [{}, {"seed": 1}, teacher, {**teacher, "bias": "natural"}, {"images": 30}]
    for number, changes in enumerate(different, start=1):
        np.testing.assert_array_equal(shared(tmp_path, **changes), drawn(**changes))  # type: ignore[arg-type]
        assert entries(tmp_path) == number


def test_a_damaged_training_set_is_drawn_again(tmp_path: Path) -> None:
    shared(tmp_path)
    (images,) = tmp_path.rglob("images.npy")
    images.write_bytes(images.read_bytes()[:-1])
    np.testing.assert_array_equal(shared(tmp_path), drawn())
    np.testing.assert_array_equal(np.load(images), drawn())


def test_a_cache_that_cannot_be_written_costs_time_but_no_run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "shared").write_text("a file where a folder should be")
    np.testing.assert_array_equal(shared(tmp_path), drawn())
    assert "cannot be written" in caplog.text
