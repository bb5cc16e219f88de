"""CIFAR-10 is read from three layouts, and anything else is refused in words."""

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pyarrow import parquet

from kdbench.data.cifar10 import CLASSES, read_cifar10
from kdbench.data.cifar10_copies import SPLITS
from kdbench.errors import DataError
from tests.data import copies

REAL = Path(__file__).parents[2].parent / "shared" / "cifar10"


@pytest.fixture(autouse=True)
def _small(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "real" not in request.node.name:
        copies.small_counts(monkeypatch)


class _Touches:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


def refused(root: Path) -> str:
    with pytest.raises(DataError) as caught:
        read_cifar10(root, root)
    return str(caught.value)


@pytest.mark.parametrize("layout", ["torchvision", "parquet", "image-folder"])
def test_every_layout_gives_the_same_images(layout: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if layout == "torchvision":
        copies.torchvision_copy(tmp_path, monkeypatch)
    else:
        (copies.parquet_copy if layout == "parquet" else copies.folder_copy)(tmp_path)
    read = read_cifar10(tmp_path, tmp_path / "downloads")
    assert read.layout == layout
    np.testing.assert_array_equal(read.train_images, copies.pixels("train"))
    np.testing.assert_array_equal(read.train_labels, copies.labels("train"))
    np.testing.assert_array_equal(read.test_images, copies.pixels("test"))
    assert read.test_labels.dtype == np.int64


def moved(root: Path, places: Mapping[str, str]) -> Path:
    """Move files of a folder to other places in it."""
    for name, place in places.items():
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        (root / name).rename(root / place)
    return root


def clone_of_the_hub(root: Path) -> Path:
    copies.parquet_copy(root)
    (root / "README.md").touch()
    (root / ".git").mkdir()
    return moved(root, {f"{split}-00000-of-00001.parquet": f"plain_text/{split}-0.parquet" for split in SPLITS})


def converted_by_the_hub(root: Path) -> Path:
    copies.parquet_copy(root)
    return moved(root, {f"{split}-00000-of-00001.parquet": f"plain_text/{split}/0000.parquet" for split in SPLITS})


def with_a_column_called_image(root: Path) -> Path:
    copies.parquet_copy(root)
    for split in SPLITS:
        renamed(root / f"{split}-00000-of-00001.parquet", "image", "label")
    return root


def with_upper_case_endings(root: Path) -> Path:
    copies.folder_copy(root)
    pictures = [path.relative_to(root) for path in root.rglob("*.png")]
    return moved(root, {str(path): str(path.with_suffix(".PNG")) for path in pictures})


def with_a_folder_in_each_class(root: Path) -> Path:
    copies.folder_copy(root)
    pictures = [path.relative_to(root) for path in root.rglob("*.png")]
    return moved(root, {str(path): str(path.parent / "images" / path.name) for path in pictures})


def as_macos_copies_it(root: Path) -> Path:
    copies.folder_copy(root / "cifar10")
    for picture in root.rglob("*.png"):
        picture.with_name(f"._{picture.name}").write_bytes(b"resource fork")
    (root / "cifar10" / "train" / ".DS_Store").touch()
    return root


ODD_COPIES = (
    *(clone_of_the_hub, converted_by_the_hub, with_a_column_called_image, with_upper_case_endings),
    *(with_a_folder_in_each_class, as_macos_copies_it),
)


@pytest.mark.parametrize("make", ODD_COPIES, ids=lambda make: make.__name__)
def test_a_copy_that_people_have_is_read_as_it_is(make: Callable[[Path], Path], tmp_path: Path) -> None:
    read = read_cifar10(make(tmp_path), tmp_path / "downloads")
    for split, images, labels in zip(
        SPLITS, (read.train_images, read.test_images), (read.train_labels, read.test_labels), strict=True
    ):
        np.testing.assert_array_equal(images, copies.pixels(split))
        np.testing.assert_array_equal(labels, copies.labels(split))


@pytest.mark.parametrize("ending", ["jpg", "jpeg", "JPG"])
def test_jpeg_pictures_are_read(ending: str, tmp_path: Path) -> None:
    copies.folder_copy(tmp_path)
    for path in list(tmp_path.rglob("*.png")):
        with Image.open(path) as picture:
            picture.save(path.with_suffix(f".{ending}"), format="JPEG")
        path.unlink()
    read = read_cifar10(tmp_path, tmp_path / "downloads")
    np.testing.assert_array_equal(read.train_labels, copies.labels("train"))
    first = next(iter(sorted(tmp_path.glob(f"test/{CLASSES[0]}/*.{ending}"))))
    with Image.open(first) as picture:
        np.testing.assert_array_equal(read.test_images[0], np.asarray(picture))


def test_class_folders_without_pictures_say_what_was_looked_for(tmp_path: Path) -> None:
    copies.folder_copy(tmp_path)
    for path in tmp_path.rglob("*.png"):
        path.rename(path.with_suffix(".bmp"))
    assert refused(tmp_path) == f"the class folders in {tmp_path / 'train'} hold no files that end in .png, .jpg, .jpeg"


def test_one_shard_twice_is_named_twice(tmp_path: Path) -> None:
    copies.parquet_copy(tmp_path)
    first = tmp_path / "train-00000-of-00001.parquet"
    second = tmp_path / "train-00000-of-00001 (1).parquet"
    second.write_bytes(first.read_bytes())
    assert refused(tmp_path) == f"{second} and {first} are the same file; keep one of them"


def test_a_packed_copy_says_how_to_unpack_it(tmp_path: Path) -> None:
    (tmp_path / "cifar-10-python.tar.gz").touch()
    assert f"unpack it with `tar -xzf {tmp_path / 'cifar-10-python.tar.gz'} -C {tmp_path}`" in refused(tmp_path)


def test_a_pointer_of_git_lfs_says_how_to_fetch_the_file(tmp_path: Path) -> None:
    copies.parquet_copy(tmp_path)
    (tmp_path / "train-00000-of-00001.parquet").write_text("version https://git-lfs.github.com/spec/v1\n")
    assert refused(tmp_path).endswith("it is a pointer of Git LFS: fetch its content with `git lfs pull`")


def test_only_batches_with_the_right_checksums_are_the_original(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert read_cifar10(copies.parquet_copy(tmp_path / "a"), tmp_path).source == "other"
    assert read_cifar10(copies.folder_copy(tmp_path / "b"), tmp_path).source == "other"
    assert read_cifar10(copies.torchvision_copy(tmp_path / "c", monkeypatch), tmp_path).source == "original"


def test_a_copy_without_checksums_has_the_same_order_in_every_layout(tmp_path: Path) -> None:
    """The rows of the parquet file are shuffled, and so are the numbers of the pictures."""
    root = copies.parquet_copy(tmp_path / "a")
    images, classes = [copies.png(image) for image in copies.pixels("train")], copies.labels("train").tolist()
    order = np.random.default_rng(0).permutation(len(classes))
    copies.write_parquet(root, "train", [images[row] for row in order], [classes[row] for row in order])
    pictures = copies.folder_copy(tmp_path / "b") / "train" / "airplane"
    (pictures / "0000.png").rename(pictures / "9999.png")
    parquet_files, folders = read_cifar10(root, tmp_path), read_cifar10(tmp_path / "b", tmp_path)
    np.testing.assert_array_equal(parquet_files.train_images, folders.train_images)
    np.testing.assert_array_equal(parquet_files.train_labels, folders.train_labels)
    assert parquet_files.test_sha256 == folders.test_sha256


def test_the_names_of_folders_and_pictures_may_have_capitals(tmp_path: Path) -> None:
    before = read_cifar10(copies.folder_copy(tmp_path / "a"), tmp_path)
    root = copies.folder_copy(tmp_path / "b")
    for path in sorted(root.rglob("*"), reverse=True):  # what lies in a folder before the folder itself
        path.rename(path.with_name(path.name.upper()))
    assert sorted(path.name for path in root.iterdir()) == ["TEST", "TRAIN"]
    read = read_cifar10(root, tmp_path)
    np.testing.assert_array_equal(read.train_images, before.train_images)
    assert read.test_sha256 == before.test_sha256


def test_the_folder_of_the_batches_itself_is_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = copies.torchvision_copy(tmp_path, monkeypatch)
    assert read_cifar10(root / "cifar-10-batches-py", tmp_path).layout == "torchvision"


def test_an_altered_batch_is_refused_before_it_is_unpickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = copies.torchvision_copy(tmp_path, monkeypatch)
    marker = tmp_path / "unpickled"
    (root / "cifar-10-batches-py" / "data_batch_1").write_bytes(pickle.dumps(_Touches(marker)))
    assert "checksums" in refused(root)
    assert not marker.exists()


def test_a_truncated_batch_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = copies.torchvision_copy(tmp_path, monkeypatch) / "cifar-10-batches-py" / "test_batch"
    batch.write_bytes(batch.read_bytes()[:-100])
    assert "truncated" in refused(tmp_path)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    message = refused(tmp_path / "nowhere")
    assert "nowhere" in message
    assert "missing" in message


def test_an_empty_folder_is_called_empty(tmp_path: Path) -> None:
    assert "is empty" in refused(tmp_path)


def test_another_layout_is_refused_with_what_was_found(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    message = refused(tmp_path)
    assert "notes.txt" in message
    assert "parquet" in message


def test_two_layouts_in_one_folder_are_ambiguous(tmp_path: Path) -> None:
    copies.folder_copy(copies.parquet_copy(tmp_path))
    assert "parquet and image-folder" in refused(tmp_path)


def test_too_few_rows_are_called_truncated(tmp_path: Path) -> None:
    copies.parquet_copy(tmp_path)
    images = [copies.png(image) for image in copies.pixels("test")]
    copies.write_parquet(tmp_path, "test", images[:7], list(range(7)))
    assert "7 test images, expected 10" in refused(tmp_path)


def renamed(path: Path, *columns: str) -> None:
    """Give the columns of a parquet file other names."""
    parquet.write_table(parquet.read_table(path).rename_columns(list(columns)), path)


def test_parquet_files_with_other_columns_are_refused_with_their_names(tmp_path: Path) -> None:
    copies.parquet_copy(tmp_path)
    path = tmp_path / "test-00000-of-00001.parquet"
    renamed(path, "picture", "label")
    assert refused(tmp_path) == f"{path} has the columns picture, label; expected img or image, and label"


def test_cifar_100_is_called_so(tmp_path: Path) -> None:
    copies.parquet_copy(tmp_path / "hub")
    renamed(tmp_path / "hub" / "train-00000-of-00001.parquet", "img", "fine_label")
    assert "holds CIFAR-100, as its column fine_label shows" in refused(tmp_path / "hub")
    (tmp_path / "batches" / "cifar-100-python").mkdir(parents=True)
    assert "holds CIFAR-100, another data set" in refused(tmp_path / "batches")


def test_a_cut_parquet_file_is_refused(tmp_path: Path) -> None:
    copies.parquet_copy(tmp_path)
    path = next(tmp_path.glob("train-*"))
    path.write_bytes(path.read_bytes()[:500])
    assert path.name in refused(tmp_path)


def test_a_missing_split_is_refused(tmp_path: Path) -> None:
    next(copies.parquet_copy(tmp_path).glob("test-*")).unlink()
    assert "no test-*.parquet" in refused(tmp_path)


@pytest.mark.parametrize("label", [-1, 10])
def test_a_label_outside_the_ten_classes_is_named(label: int, tmp_path: Path) -> None:
    copies.parquet_copy(tmp_path)
    images = [copies.png(image) for image in copies.pixels("test")]
    copies.write_parquet(tmp_path, "test", images, [label, *range(1, 10)])
    assert f"label {label}, allowed are 0 to 9" in refused(tmp_path)


def test_labels_that_are_no_integers_are_refused(tmp_path: Path) -> None:
    copies.parquet_copy(tmp_path)
    images = [copies.png(image) for image in copies.pixels("test")]
    copies.write_parquet(tmp_path, "test", images, [0.5, *range(1, 10)])
    message = refused(tmp_path)
    assert "test-00000-of-00001.parquet" in message
    assert message.endswith("label is double, expected integers 0 to 9; fetch it again")


@pytest.mark.parametrize("nothing", [None, b""])
def test_an_image_without_bytes_is_named(nothing: bytes | None, tmp_path: Path) -> None:
    copies.parquet_copy(tmp_path)
    images = [copies.png(image) for image in copies.pixels("test")]
    copies.write_parquet(tmp_path, "test", [*images[:9], nothing], range(10))
    assert refused(tmp_path).endswith("test-00000-of-00001.parquet, row 9 has no image bytes; fetch the file again")


def test_labels_of_the_wrong_frequency_are_refused(tmp_path: Path) -> None:
    copies.parquet_copy(tmp_path)
    images = [copies.png(image) for image in copies.pixels("test")]
    copies.write_parquet(tmp_path, "test", images, [0, 0, *range(2, 10)])
    assert "2 test images of class airplane, expected 1" in refused(tmp_path)


def test_another_data_set_in_the_same_columns_is_refused(tmp_path: Path) -> None:
    copies.parquet_copy(tmp_path)
    big = copies.png(np.zeros((28, 28, 3), np.uint8))
    copies.write_parquet(tmp_path, "train", [big] * 20, copies.labels("train").tolist())
    assert "row 0 is a 28x28 RGB image" in refused(tmp_path)


def test_bytes_that_are_no_image_are_refused(tmp_path: Path) -> None:
    copies.parquet_copy(tmp_path)
    images = [copies.png(image) for image in copies.pixels("test")]
    copies.write_parquet(tmp_path, "test", [*images[:9], images[9][:60]], list(range(10)))
    assert "row 9 cannot be decoded" in refused(tmp_path)


def test_unknown_class_folders_are_named(tmp_path: Path) -> None:
    copies.folder_copy(tmp_path)
    (tmp_path / "test" / "truck").rename(tmp_path / "test" / "lorry")
    assert "lorry, truck" in refused(tmp_path)


def test_a_download_that_fails_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torchvision.datasets.cifar as torchvision_cifar

    def no_network(*arguments: object, **keywords: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(torchvision_cifar, "download_and_extract_archive", no_network)
    with pytest.raises(DataError, match=r"cannot be downloaded .* no route to host; give a folder"):
        read_cifar10(None, tmp_path)


def test_sources_with_other_labels_have_another_digest(tmp_path: Path) -> None:
    first = read_cifar10(copies.parquet_copy(tmp_path / "a"), tmp_path)
    images = [copies.png(image) for image in copies.pixels("test")]
    root = copies.parquet_copy(tmp_path / "b")
    copies.write_parquet(root, "test", images, [1, 0, *range(2, 10)])
    assert first.test_sha256 != read_cifar10(root, tmp_path).test_sha256


@pytest.mark.slow
@pytest.mark.skipif(not REAL.is_dir(), reason="no copy of CIFAR-10 beside the project")
def test_the_real_images_are_read_whole() -> None:
    read = read_cifar10(REAL, REAL)
    assert (read.source, read.layout) == ("other", "parquet")
    assert read.train_images.shape == (50_000, 32, 32, 3)
    assert np.bincount(read.test_labels).tolist() == [1000] * len(CLASSES)
    assert 110 < read.train_images.mean() < 130  # CIFAR-10's mean is .473 of 255
