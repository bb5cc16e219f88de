"""How much of the scaling of a training is measured."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ScalingEffort:
    """The size of a measurement.

    Attributes:
        images: numbers of training images.
        pixels: sizes of images; multiples of the large ViT's patch.
        batch: images per step at each of these sizes.
        rounds: in each of which all sizes are timed, one after the other.
    """

    images: tuple[int, ...] = (256, 512, 1024, 2048)
    pixels: tuple[int, ...] = (64, 96, 128, 160)
    batch: int = 4
    rounds: int = 3
