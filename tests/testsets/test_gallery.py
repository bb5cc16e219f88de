"""The pictures that lie beside the records: read as they were written, or refused in a sentence."""

from pathlib import Path

import numpy as np
import pytest

from kdbench.errors import InputError
from kdbench.plan.overrides import with_overrides
from kdbench.testsets.build import build_test_sets
from kdbench.testsets.gallery import GALLERY, read_gallery, write_gallery
from kdbench.testsets.spec import load_spec

TRACK = load_spec().track("synthetic")


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gallery of a few small sets."""
    folder = tmp_path_factory.mktemp("results")
    arrays = build_test_sets(with_overrides(TRACK, limit_test=10)[0], folder / "store", source=None)
    write_gallery(folder, TRACK, {name: arrays[name] for name in ("clean", "noise")})
    return folder / TRACK.name / GALLERY


def test_a_gallery_comes_back_as_it_was_written(path: Path) -> None:
    gallery = read_gallery(path)
    assert gallery is not None
    assert list(gallery.sets) == ["clean", "noise"]
    images, targets = gallery.sets["noise"]
    assert images.shape == (10, 32, 32, 3)
    assert gallery.class_names[targets[0]] == "disk, brick"


def test_no_file_is_no_gallery(tmp_path: Path) -> None:
    assert read_gallery(tmp_path / GALLERY) is None


def test_a_damaged_gallery_is_refused_with_what_to_do(path: Path, tmp_path: Path) -> None:
    damaged, whole = tmp_path / GALLERY, path.read_bytes()
    middle = len(whole) // 2
    with_another_byte = whole[:middle] + bytes([whole[middle] ^ 255]) + whole[middle + 1 :]
    np.savez(tmp_path / "other.npz", numbers=np.arange(3))
    for content in (b"", whole[:100], whole[:-50], with_another_byte, (tmp_path / "other.npz").read_bytes()):
        damaged.write_bytes(content)
        with pytest.raises(
            InputError, match=r"gallery.npz cannot be read .*; move it elsewhere, and `kdbench run` writes it again"
        ):
            read_gallery(damaged)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"clean": np.zeros((2, 8, 8, 3))}, r"clean has the shape \(2, 8, 8, 3\) and the type float64"),
        ({"clean": np.zeros((2, 8, 8), np.uint8)}, r"clean has the shape \(2, 8, 8\)"),
        ({"targets": np.array([0, 2])}, "its targets are not numbers of its 2 classes"),
        ({"targets": np.array([0.5])}, "its targets are not numbers of its 2 classes"),
        ({"clean": np.zeros((8, 2048, 2048, 3), np.uint8)}, "its arrays take [0-9]+ bytes; allowed: at most"),
    ],
    ids=["floats", "grey", "class", "no number", "huge"],
)
def test_what_is_no_picture_is_refused(tmp_path: Path, change: dict[str, np.ndarray], reason: str) -> None:
    whole = {"clean": np.zeros((2, 8, 8, 3), np.uint8), "targets": np.array([0, 1]), "classes": np.array(["a", "b"])}
    np.savez_compressed(tmp_path / GALLERY, **(whole | change))  # type: ignore[arg-type]
    with pytest.raises(InputError, match=reason):
        read_gallery(tmp_path / GALLERY)
