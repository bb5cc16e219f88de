"""Stored pixels become what a network sees by the same arithmetic everywhere."""

import numpy as np
import pytest
import torch

from kdbench.data.pixels import Normalisation, pixels_at_size, resized
from kdbench.testsets.spec import load_spec

TRACKS = load_spec().tracks
CPU = torch.device("cpu")


def noise(size: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (2, size, size, 3), np.uint8)


def test_images_at_the_size_of_the_track_keep_their_pixels() -> None:
    images = noise(32)
    images.flags.writeable = False  # as in a memory-mapped array
    pixels = pixels_at_size(images, TRACKS["cifar10-32"].data, CPU)
    np.testing.assert_array_equal(pixels.numpy(), images.transpose(0, 3, 1, 2).astype(np.float32))


def test_stored_images_are_enlarged_and_stay_within_the_range_of_a_pixel() -> None:
    pixels = pixels_at_size(noise(32), TRACKS["cifar10-224"].data, CPU)
    assert pixels.shape == (2, 3, 224, 224)
    assert (pixels.min().item(), pixels.max().item()) == (0.0, 255.0)


def test_images_of_a_third_size_are_refused_with_the_two_that_are_allowed() -> None:
    with pytest.raises(ValueError, match="64 pixels wide; this track allows 32 or 224"):
        resized(torch.zeros(1, 3, 64, 64), TRACKS["cifar10-224"].data)


def test_normalised_pixels_are_standard_scores_in_the_wanted_memory_format() -> None:
    data = TRACKS["cifar10-32"].data
    pixels = torch.stack([torch.full((4, 4), 255 * value) for value in data.mean])[None]
    above = pixels + 255 * torch.tensor(data.std).view(3, 1, 1)
    normalised = Normalisation(data, CPU)(torch.cat([pixels, above]), torch.channels_last)
    torch.testing.assert_close(normalised[0], torch.zeros(3, 4, 4), atol=1e-5, rtol=0)
    torch.testing.assert_close(normalised[1], torch.ones(3, 4, 4), atol=1e-5, rtol=0)
    assert normalised.is_contiguous(memory_format=torch.channels_last)
