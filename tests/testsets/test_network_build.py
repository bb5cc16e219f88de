"""The sets that networks make, with small networks in the places of the real ones."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from kdbench.data.cifar10 import CLASSES, Cifar10
from kdbench.data.pixels import resized
from kdbench.data.training_sets import balanced_subset
from kdbench.errors import DataError, SpecError
from kdbench.spec import Track
from kdbench.testsets import partial
from kdbench.testsets.arrays import TestArrays, array_digests
from kdbench.testsets.build import build_test_sets, facts_of_test_sets
from kdbench.testsets.contact_sheet import contact_sheet, gallery
from kdbench.testsets.fcn import VOC
from kdbench.testsets.kinds.noise_patch import NoisePatch
from kdbench.testsets.kinds.tiles import TileOrders
from kdbench.testsets.kinds.vgg_texture import eroded, grown_outwards, noise_fields
from kdbench.testsets.picture_networks import PictureNetworks
from kdbench.testsets.vgg import Texture
from tests.testsets.pictures import disk, small_cifar10
from tests.testsets.small_picture_networks import CAT, PAPER, narrow_vgg, networks, paper_track

CPU = torch.device("cpu")
BARE = (CLASSES.index("frog"), 2)  # a class, and how many of its images show no object


def with_bare_images(source: Cifar10) -> Cifar10:
    """The same images, some of a class with nothing but background."""
    images = source.test_images.copy()
    rows = np.flatnonzero(source.test_labels == BARE[0])[: BARE[1]]
    images[rows] = (60, 80, 170)
    return Cifar10(images, source.test_labels, images, source.test_labels, source="other", layout="parquet")


@pytest.fixture(scope="module")
def source() -> Cifar10:
    return with_bare_images(small_cifar10(2))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def arrays(store: Path, source: Cifar10) -> dict[str, TestArrays]:
    return build_test_sets(paper_track(), store, source=source, diagnostics=True, networks=networks())


@pytest.fixture(scope="module")
def clean(source: Cifar10) -> NDArray[np.uint8]:
    """(20, 224, 224, 3) the clean images as networks see them, rounded."""
    planes = resized(torch.from_numpy(source.test_images).permute(0, 3, 1, 2).float(), PAPER.data)
    return planes.round().byte().permute(0, 2, 3, 1).numpy()


def with_sets(track: Track, *names: str) -> Track:
    return track.model_copy(
        update={"test_sets": tuple(test_set for test_set in track.test_sets if test_set.name in names)}
    )


def facts(store: Path, source: Cifar10) -> dict[str, dict[str, Any]]:
    return facts_of_test_sets(paper_track(), store, source=source, diagnostics=True)


def test_every_set_is_stored_at_the_size_that_the_spec_says(arrays: dict[str, TestArrays]) -> None:
    primary = {test_set.name for test_set in PAPER.test_sets}
    stored = {name: arrays[name].images.shape[1] for name in arrays if name in primary}
    small = {"clean", "locality", "scramble-2", "scramble-7", "scramble-14", "noise"}
    assert stored == {test_set.name: 32 if test_set.name in small else 224 for test_set in PAPER.test_sets}


def test_scramble_and_noise_are_the_clean_images_and_a_table(arrays: dict[str, TestArrays]) -> None:
    for name, kind in (("scramble-7", TileOrders), ("scramble-2-permutation-1", TileOrders), ("noise-96", NoisePatch)):
        test_set = arrays[name]
        assert isinstance(test_set.manipulation, kind)
        np.testing.assert_array_equal(test_set.images, arrays["clean"].images)
    assert all(
        test_set.manipulation is None for name, test_set in arrays.items() if not name.startswith(("scramble", "noise"))
    )


def test_an_image_keeps_the_class_of_the_one_it_was_made_from(arrays: dict[str, TestArrays]) -> None:
    for test_arrays in arrays.values():
        np.testing.assert_array_equal(test_arrays.targets, arrays["clean"].targets[test_arrays.index])


def test_silhouettes_are_of_the_object_in_both_polarities(arrays: dict[str, TestArrays], source: Cifar10) -> None:
    white, black = arrays["shape-white"], arrays["shape-black"]
    np.testing.assert_array_equal(255 - white.images, black.images)
    coarse = white.images[0, 3::7, 3::7, 0] > 0  # the middles of the stored pixels
    np.testing.assert_array_equal(coarse, disk())


def test_images_without_an_object_are_left_out_and_counted(
    arrays: dict[str, TestArrays], store: Path, source: Cifar10
) -> None:
    bare = set(np.flatnonzero(source.test_labels == BARE[0]))
    for name in ("shape-white", "shape-black", "shape-cut-out", "texture-object"):
        assert set(arrays[name].index) == set(range(20)) - bare
        noted = facts(store, source)[name]
        assert noted["coverage"] == [0.0 if k == BARE[0] else 1.0 for k in range(10)]
        assert noted["uncovered_classes"] == ["frog"]
        assert noted["right_object"] == [1.0 if k == CLASSES.index("cat") else 0.0 for k in range(10)]


def test_a_disc_stands_for_the_object_that_was_not_found(arrays: dict[str, TestArrays], source: Cifar10) -> None:
    whole, covered = arrays["shape-white-all"], arrays["shape-white"]
    assert len(whole) == 20
    np.testing.assert_array_equal(whole.images[covered.index], covered.images)
    bare = whole.images[np.flatnonzero(source.test_labels == BARE[0])[0], :, :, 0]
    assert abs((bare > 0).mean() - np.pi * (12 / 32) ** 2) < 0.002


def test_a_cut_out_keeps_the_object_on_grey(arrays: dict[str, TestArrays], clean: NDArray[np.uint8]) -> None:
    test_set, mask = arrays["shape-cut-out"], arrays["shape-white"].images[..., 0] > 0
    np.testing.assert_array_equal(test_set.images[mask], clean[test_set.index][mask])
    assert (test_set.images[~mask] == 128).all()


def test_textures_are_laid_over_objects_and_nothing_else(
    arrays: dict[str, TestArrays], clean: NDArray[np.uint8]
) -> None:
    test_set, mask = arrays["texture-object"], arrays["shape-white"].images[..., 0] > 0
    np.testing.assert_array_equal(test_set.images[mask], arrays["texture"].images[test_set.index][mask])
    np.testing.assert_array_equal(test_set.images[~mask], clean[test_set.index][~mask])


class AlwaysTheDisk(nn.Module):
    """A cat in the same place of every image, whatever it shows."""

    def forward(self, pixels: Tensor) -> Tensor:
        scores = torch.zeros(len(pixels), len(VOC), *pixels.shape[2:])
        scores[:, CAT] = 2 * torch.from_numpy(np.kron(disk(), np.ones((7, 7))).astype(np.float32)) - 1
        return scores


def test_a_texture_comes_from_the_object_alone(tmp_path: Path) -> None:
    """Another background, the same object: the same texture, to the byte."""
    networks = PictureNetworks(
        CPU, make_segmenter=lambda device: AlwaysTheDisk(), make_vgg=lambda device: narrow_vgg(4)
    )
    original = small_cifar10(1)
    images = original.test_images.copy()
    images[:, ~disk()] = 255 - images[:, ~disk()]
    other = Cifar10(images, original.test_labels, images, original.test_labels, source="other", layout="parquet")
    track = with_sets(paper_track(10), "clean", "texture")
    made = [build_test_sets(track, tmp_path, source=each, networks=networks) for each in (original, other)]
    assert not np.array_equal(made[0]["clean"].images, made[1]["clean"].images)
    np.testing.assert_array_equal(made[0]["texture"].images, made[1]["texture"].images)


def test_the_share_of_textures_that_come_from_the_object_is_noted(store: Path, arrays: Any, source: Cifar10) -> None:
    expected = [0.0 if k == BARE[0] else 1.0 for k in range(10)]
    assert facts(store, source)["texture"]["source_from_object"] == expected


def test_a_second_call_makes_nothing(arrays: dict[str, TestArrays], store: Path, source: Cifar10) -> None:
    again = build_test_sets(paper_track(), store, source=source, diagnostics=True)
    assert array_digests(again) == array_digests(arrays)


def test_sets_that_are_not_built_are_not_made_without_networks(tmp_path: Path, source: Cifar10) -> None:
    with pytest.raises(DataError, match=r"shape-white, shape-black, texture of track cifar10-224 are not built"):
        build_test_sets(paper_track(), tmp_path, source=source)


def test_a_killed_build_goes_on_with_the_pieces_that_it_has(
    arrays: dict[str, TestArrays], tmp_path: Path, source: Cifar10, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partial, "CHUNK", 8)
    track = with_sets(paper_track(), "clean", "texture")
    made: list[int] = []
    synthesised = Texture.synthesised

    def counted(self: Texture, vgg: Any, sources: Any, *rest: Any) -> Any:
        made.append(len(sources))
        return synthesised(self, vgg, sources, *rest)

    def dies(name: str, done: int, total: int) -> None:
        if name == "texture" and done == 16:
            raise KeyboardInterrupt

    monkeypatch.setattr(Texture, "synthesised", counted)
    with pytest.raises(KeyboardInterrupt):
        build_test_sets(track, tmp_path, source=source, networks=networks(), progress=dies)
    assert made == [8, 8]
    damaged = next(tmp_path.glob("cifar10-224/texture-*/partial/cpu/000008.npz"))
    damaged.write_bytes(damaged.read_bytes()[:-10])
    again = build_test_sets(track, tmp_path, source=source, networks=networks())
    assert made == [8, 8, 8, 4]
    assert not list(tmp_path.rglob("partial"))
    difference = again["texture"].images.astype(int) - arrays["texture"].images
    assert np.abs(difference).max() <= 1  # a batch of another size may round otherwise


def test_a_limited_build_starts_from_the_same_noise(
    arrays: dict[str, TestArrays], tmp_path: Path, source: Cifar10
) -> None:
    track = with_sets(paper_track(10), "clean", "texture")
    limited = build_test_sets(track, tmp_path, source=source, networks=networks())
    rows = balanced_subset(source.test_labels, 10)
    np.testing.assert_array_equal(limited["clean"].images, arrays["clean"].images[rows])
    difference = limited["texture"].images.astype(int) - arrays["texture"].images[rows]
    assert np.abs(difference).max() <= 1


def test_starting_noise_is_a_function_of_the_image_alone() -> None:
    both, single = noise_fields(np.array([3, 9000]), 16), noise_fields(np.array([9000]), 16)
    np.testing.assert_array_equal(both[1:], single)
    assert not np.array_equal(both[0], both[1])
    assert abs(noise_fields(np.array([5]), 224).mean() - 127.5) < 1


def test_another_style_is_another_set(tmp_path: Path, source: Cifar10) -> None:
    def styled(picture: str) -> TestArrays:
        sets = [test_set for test_set in paper_track(10).test_sets if test_set.name in ("clean", "stylized")]
        sets[1] = sets[1].model_copy(
            update={"parameters": {**sets[1].parameters, "style": picture}, "diagnostic": False}
        )
        track = paper_track(10).model_copy(update={"test_sets": tuple(sets)})
        return build_test_sets(track, tmp_path, source=source, networks=networks())["stylized"]

    from PIL import Image

    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)).save(tmp_path / "mine.png")
    first, second = styled("coffee"), styled(str(tmp_path / "mine.png"))
    assert first.sha256 != second.sha256
    for wrong in ("no_such_picture", str(tmp_path / "missing.png")):
        with pytest.raises(DataError, match="style picture"):
            styled(wrong)


@pytest.mark.parametrize(
    ("name", "change", "error"),
    [
        ("shape-white", {"rendering": "fcn-outline"}, SpecError),
        ("shape-white", {"fallback": "square"}, SpecError),
        ("texture", {"place": "corner"}, SpecError),
        ("texture", {"pooling": "median"}, SpecError),
        ("texture", {"weights": "1 1"}, DataError),
        ("texture", {"layers": "conv9_1", "weights": "1"}, DataError),
        ("scramble-7", {"grid": 5}, DataError),
    ],
)
def test_a_set_that_cannot_be_made_is_named(
    name: str, change: dict[str, Any], error: type[Exception], tmp_path: Path, source: Cifar10
) -> None:
    wanted = ("clean", name)
    sets = tuple(
        test_set.model_copy(update={"parameters": test_set.parameters | change}) if test_set.name == name else test_set
        for test_set in paper_track().test_sets
        if test_set.name in wanted
    )
    track = paper_track().model_copy(update={"test_sets": sets})
    with pytest.raises(error, match=f"parameters of {name}: |test set {name} with .*fix the spec"):
        build_test_sets(track, tmp_path, source=source, networks=networks())


def test_erosion_takes_the_rim_but_not_the_images_edge() -> None:
    mask = np.zeros((1, 12, 12), bool)
    mask[0, 2:9, 4:] = True
    expected = np.zeros((12, 12), bool)
    expected[4:7, 6:] = True
    np.testing.assert_array_equal(eroded(mask, 2)[0], expected)


def test_outside_of_a_region_lies_its_nearest_pixel() -> None:
    image = np.arange(3 * 25, dtype=np.float32).reshape(3, 5, 5)
    region = np.zeros((5, 5), bool)
    region[2, 1:4] = True
    grown = grown_outwards(image, region)
    np.testing.assert_array_equal(grown, image[:, np.full((5, 5), 2), np.clip(np.arange(5), 1, 3)[None].repeat(5, 0)])


def test_pictures_for_people_show_what_networks_see(arrays: dict[str, TestArrays], tmp_path: Path) -> None:
    rows = gallery(arrays, data=PAPER.data)
    assert {row.shape for row in rows.values()} == {(10, 96, 96, 3)}
    assert not np.array_equal(rows["scramble-7"], rows["clean"])
    assert not np.array_equal(rows["noise"], rows["clean"])
    few = {name: arrays[name] for name in ("clean", "scramble-7", "texture")}
    contact_sheet(few, tmp_path / "sheet.png", PAPER.data)
    assert (tmp_path / "sheet.png").stat().st_size > 10000


def test_the_segmenter_of_these_tests_calls_a_disk_a_cat(source: Cifar10) -> None:
    segments = networks().segment(source.test_images[:1], PAPER.data)
    assert segments.objects.tolist() == [CAT]
