"""Measures how the time of a training grows with the number of its images and with their size."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from kdbench.records.environment import describe_environment
from kdbench.spec import Direction, Track
from kdbench.testsets.spec import load_spec
from kdbench.timing.scaling import IMAGE_SIZE, IMAGES, ScalingAxis, ScalingPoint, ScalingTable
from kdbench.timing.timed_training import timed_training
from kdbench.training.stopwatch import Stopwatch

METHOD = "lm"
COMPACT, LARGE = "synthetic", "cifar10-224"  # tracks whose networks see more images, and larger ones


@dataclass(frozen=True)
class ScalingEffort:
    """The size of a measurement.

    Attributes:
        images: numbers of training images.
        pixels: sizes of images; multiples of the large ViT's patch.
        batch: images per step at each of these sizes.
        rounds: in each of which all sizes are timed, one after the other.
        method: name or file of the method.
    """

    images: tuple[int, ...] = (256, 512, 1024, 2048)
    pixels: tuple[int, ...] = (64, 96, 128, 160)
    batch: int = 4
    rounds: int = 3
    method: str = METHOD


def scaling_of_steps(
    device: torch.device, effort: ScalingEffort, *, compact: Track | None = None, large: Track | None = None
) -> ScalingTable:
    """Measure epochs of more and more images, and steps on larger and larger ones.

    Args:
        device: where to train.
        effort: the sizes.
        compact: track of the epochs; None for `COMPACT`.
        large: track of the steps, with images that are resized; None for `LARGE`.
    """
    spec = load_spec()
    small, big = compact or spec.track(COMPACT), large or spec.track(LARGE)
    sizes = [_size_axis(big, direction, device, effort) for direction in big.directions]
    facts = describe_environment(device, small.training.precision_on(device.type), "kdbench timing --scaling")
    return ScalingTable(
        machine=f"{facts.processor}, {os.cpu_count()} cores, Python {facts.python}",
        torch=facts.torch,
        device=facts.device,
        axes=(_images_axis(small, device, effort), *sizes),
    )


def _images_axis(track: Track, device: torch.device, effort: ScalingEffort) -> ScalingAxis:
    direction = track.directions[0]
    epochs = {number: _epoch(track, direction, device, number, effort.method) for number in effort.images}
    work = f"an epoch of {METHOD} {direction}, networks of {track.name}"
    return ScalingAxis(name=IMAGES, work=work, points=_points(epochs, device, effort.rounds))


def _epoch(track: Track, direction: Direction, device: torch.device, images: int, method: str) -> Callable[[], None]:
    training = timed_training(track, direction, method, device, images)

    def epoch() -> None:
        for _ in range(images // track.training.batch_size):
            training.step()

    return epoch


def _size_axis(track: Track, direction: Direction, device: torch.device, effort: ScalingEffort) -> ScalingAxis:
    steps = {size: _step(track, direction, device, size, effort) for size in effort.pixels}
    work = f"a step of {METHOD} {direction} on {effort.batch} images, networks of {track.name}"
    points = _points(steps, device, effort.rounds)
    return ScalingAxis(name=IMAGE_SIZE, work=work, images=effort.batch, points=points)


def _step(
    track: Track, direction: Direction, device: torch.device, size: int, effort: ScalingEffort
) -> Callable[[], None]:
    resized = resized_track(track, size, effort.batch)
    return timed_training(resized, direction, effort.method, device, images=2 * effort.batch).step


def resized_track(track: Track, size: int, batch: int) -> Track:
    """Return a track with images of `size` pixels, a ViT for them, and `batch` images per step."""
    vit = track.backbones.vit
    vit = vit.model_copy(update={"arguments": {**vit.arguments, "img_size": size}})
    return track.model_copy(
        update={
            "data": track.data.model_copy(update={"image_size": size}),
            "backbones": track.backbones.model_copy(update={"vit": vit}),
            "training": track.training.model_copy(update={"batch_size": batch}),
        }
    )


def _points(work: Mapping[int, Callable[[], None]], device: torch.device, rounds: int) -> tuple[ScalingPoint, ...]:
    """Time the work of each size in turn, round after round, after a round of warm-up."""
    seconds: dict[int, list[float]] = {size: [] for size in work}
    stopwatch = Stopwatch(device)
    for _ in range(rounds + 1):
        for size, run in work.items():
            started = stopwatch.now()
            run()
            seconds[size].append(stopwatch.now() - started)
    return tuple(ScalingPoint(size=size, seconds=tuple(times[1:])) for size, times in seconds.items())
