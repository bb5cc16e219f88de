"""One's own images: which files are read, how they are cut, their masks, and what is refused in a sentence."""

import re
from pathlib import Path

import numpy as np
import pytest

from kdbench.data.image_folder import read_image_folder
from kdbench.errors import DataError
from tests.data.own_folders import BRIGHT, DARK, write_image, write_images


def test_images_are_the_central_squares_in_the_order_of_the_classes(tmp_path: Path) -> None:
    halves = np.zeros((40, 80, 3))
    halves[:, 20:60] = 200  # the central square
    for name in ("b", "a"):
        write_image(tmp_path / name / "1.png", halves)
    source = read_image_folder(tmp_path, 32)
    assert source.class_names == ("a", "b")
    assert source.test_labels.tolist() == [0, 1]
    assert source.masks is None
    assert (source.test_images[:, :, 2:-2] == 200).all()


@pytest.mark.parametrize("split", ["train", "val", "test"])
@pytest.mark.parametrize("suffix", [".JPEG", ".jpg", ".png"])
def test_a_split_above_the_classes_is_read(split: str, suffix: str, tmp_path: Path) -> None:
    write_images(tmp_path / split, 2, suffix=suffix)
    source = read_image_folder(tmp_path, 32)
    assert source.folder == tmp_path / split
    assert len(source.test_labels) == 4


def test_test_images_are_preferred_to_training_images(tmp_path: Path) -> None:
    write_images(tmp_path / "train", 3)
    write_images(tmp_path / "val", 1)
    assert read_image_folder(tmp_path, 32).folder == tmp_path / "val"


def test_classes_are_cut_as_evenly_as_possible(tmp_path: Path) -> None:
    write_images(tmp_path, 4)
    write_image(tmp_path / "rare" / "1.png", np.zeros((32, 32)))
    labels = read_image_folder(tmp_path, 32, most=6).test_labels
    assert np.bincount(labels).tolist() == [3, 2, 1]


def test_masks_have_the_names_of_the_images_and_are_cut_like_these(tmp_path: Path) -> None:
    write_images(tmp_path / "images" / "val", 2, suffix=".jpg", masks=tmp_path / "masks")
    (tmp_path / "masks" / DARK / "001.png").unlink()
    masks = read_image_folder(tmp_path / "images", 32, masks=tmp_path / "masks").masks
    assert masks is not None
    assert masks.any(axis=(1, 2)).tolist() == [True, True, True, False]
    assert masks[0, 16, 16]
    assert not masks[0, 0].any()
    assert masks[0].mean() == pytest.approx(np.pi * 0.4**2, abs=0.02)


def test_the_digest_covers_images_classes_and_masks(tmp_path: Path) -> None:
    write_images(tmp_path / "images", 2, masks=tmp_path / "masks")
    digests = {read_image_folder(tmp_path / "images", 32, masks=m).test_sha256 for m in (None, tmp_path / "masks")}
    write_image(tmp_path / "images" / DARK / "000.png", np.zeros((32, 48, 3)))
    assert len(digests | {read_image_folder(tmp_path / "images", 32).test_sha256}) == 3


def test_a_folder_without_classes_is_refused(tmp_path: Path) -> None:
    write_image(tmp_path / "1.png", np.zeros((8, 8)))
    with pytest.raises(DataError, match=r"holds 0 folders of classes; expected images CLASS/\*\.jpg or train/CLASS"):
        read_image_folder(tmp_path, 32)
    with pytest.raises(DataError, match="nowhere is not a folder; give a folder with images"):
        read_image_folder(tmp_path / "nowhere", 32)


def test_a_class_without_images_is_refused(tmp_path: Path) -> None:
    write_images(tmp_path, 1)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty holds no images"):
        read_image_folder(tmp_path, 32)


def test_fewer_images_than_classes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="1 images cannot cover the 2 classes"):
        read_image_folder(write_images(tmp_path, 1), 32, most=1)


def test_a_file_that_is_not_an_image_is_refused_by_name(tmp_path: Path) -> None:
    write_images(tmp_path, 1)
    path = tmp_path / BRIGHT / "x.jpg"
    path.write_bytes(b"not an image")
    with pytest.raises(DataError, match=re.escape(f"{path} cannot be decoded as an image")):
        read_image_folder(tmp_path, 32)


def test_masks_that_fit_no_image_are_refused(tmp_path: Path) -> None:
    images = write_images(tmp_path / "images", 1)
    (tmp_path / "masks").mkdir()
    with pytest.raises(DataError, match=r"no image has a mask in .*masks: .*000\.png and the others are missing"):
        read_image_folder(images, 32, masks=tmp_path / "masks")
    write_image(tmp_path / "masks" / BRIGHT / "000.png", np.full((8, 8), 255))
    with pytest.raises(DataError, match="has 8 x 8 pixels, but its image has 48 x 32"):
        read_image_folder(images, 32, masks=tmp_path / "masks")
