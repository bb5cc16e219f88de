import numpy as np
import torch

from kdbench.data.pixels import resized
from kdbench.data.training_sets import TrainingSet
from kdbench.spec import Augmentation
from kdbench.testsets.spec import load_spec
from kdbench.training.batches import Batches

SETTINGS = load_spec().track("synthetic").data
CPU = torch.device("cpu")
PINNED_SUMS = [-161.357, -2.682, -22.886, 10.722]


def batches(*, shift: int = 0, flip: bool = False, count: int = 10, batch_size: int = 4, seed: int = 0) -> Batches:
    pixels = np.random.default_rng(0).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    data = TrainingSet(images=pixels, labels=np.arange(count, dtype=np.int64))
    augmentation = Augmentation(shift=shift, flip=flip)
    return Batches(
        data,
        SETTINGS,
        augmentation,
        batch_size=batch_size,
        stream=("s", seed),
        device=CPU,
        memory_format=torch.contiguous_format,
    )


def test_an_epoch_shows_every_image_at_most_once_and_drops_the_rest() -> None:
    seen = torch.cat([batch.index for batch in batches().epoch(0)])
    assert len(seen) == len(set(seen.tolist())) == 8


def test_the_order_changes_with_epoch_and_seed_and_repeats_with_both() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        return torch.cat([batch.index for batch in batches(seed=seed).epoch(epoch)]).tolist()

    assert order(0, 0) == order(0, 0)
    assert order(0, 0) != order(0, 1)
    assert order(0, 0) != order(1, 0)


def test_an_epoch_entered_in_the_middle_goes_on_as_if_unbroken() -> None:
    whole = list(batches(shift=2).epoch(1))
    rest = list(batches(shift=2).epoch(1, first=1))
    assert torch.equal(whole[1].images, rest[0].images)


def test_without_augmentation_pixels_are_only_normalised() -> None:
    source = batches()
    batch = next(iter(source.epoch(0)))
    raw = np.random.default_rng(0).integers(0, 256, (10, 32, 32, 3), dtype=np.uint8)[batch.index]
    expected = torch.from_numpy(raw).permute(0, 3, 1, 2) / 127.5 - 1
    torch.testing.assert_close(batch.images, expected)
    assert torch.equal(batch.labels, batch.index)


def test_a_shift_moves_the_picture_by_whole_pixels_and_repeats_its_edge() -> None:
    plain = {int(i): image for b in batches().epoch(0) for i, image in zip(b.index, b.images, strict=True)}
    for batch in batches(shift=2).epoch(0):
        for index, image in zip(batch.index, batch.images, strict=True):
            padded = torch.nn.functional.pad(plain[int(index)][None], (2,) * 4, mode="replicate")[0]
            windows = [padded[:, top : top + 32, left : left + 32] for top in range(5) for left in range(5)]
            assert any(torch.allclose(image, window, atol=1e-5) for window in windows)
            break


def test_flips_happen_about_half_of_the_time() -> None:
    plain = {int(i): image for b in batches(count=200).epoch(0) for i, image in zip(b.index, b.images, strict=True)}
    flipped = [
        torch.equal(image, plain[int(index)].flip(2))
        for batch in batches(count=200, flip=True).epoch(0)
        for index, image in zip(batch.index, batch.images, strict=True)
    ]
    assert 0.35 < np.mean(flipped) < 0.65


PAPER = load_spec().track("cifar10-224").data


def enlarged(*, shift: int = 0, flip: bool = False, stored: int = 32) -> Batches:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    if stored != 32:
        planes = resized(torch.from_numpy(pixels).permute(0, 3, 1, 2).float(), PAPER)
        pixels = planes.round().byte().permute(0, 2, 3, 1).contiguous().numpy()
    data = TrainingSet(images=pixels, labels=np.arange(4, dtype=np.int64))
    augmentation = Augmentation(shift=shift, flip=flip)
    return Batches(
        data, PAPER, augmentation, batch_size=4, stream=("s", 0), device=CPU, memory_format=torch.channels_last
    )


def test_small_images_are_resized_batch_by_batch() -> None:
    batch = next(enlarged().epoch(0))
    raw = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    planes = resized(torch.from_numpy(raw).permute(0, 3, 1, 2).float(), PAPER)[batch.index] / 255
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (PAPER.mean, PAPER.std))
    torch.testing.assert_close(batch.images, (planes - mean) / std, atol=1e-4, rtol=1e-4)
    assert batch.images.is_contiguous(memory_format=torch.channels_last)


def test_resized_images_are_augmented_as_stored_ones_are() -> None:
    small, large = (next(enlarged(shift=28, flip=True, stored=size).epoch(0)) for size in (32, 224))
    assert torch.equal(small.index, large.index)
    torch.testing.assert_close(small.images, large.images, atol=0.02, rtol=0)  # large ones were rounded to grey levels


def test_what_a_batch_is_is_pinned() -> None:
    """These bytes decide weights: where they change, `NUMERICS_VERSION` must be raised."""
    sums = [batch.images.double().sum().item() for batch in batches(shift=2, flip=True, count=16).epoch(3)]
    assert [round(total, 3) for total in sums] == PINNED_SUMS
