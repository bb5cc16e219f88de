"""Measures how the time of a training grows with the number of its images and with their size."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from kdbench.records.environment import describe_environment
from kdbench.spec import Direction, Track
from kdbench.testsets.spec import load_spec
from kdbench.timing.scaling import IMAGE_SIZE, IMAGES, ScalingAxis, ScalingPoint, ScalingTable
from kdbench.timing.scaling_effort import ScalingEffort
from kdbench.timing.timed_training import timed_training
from kdbench.training.stopwatch import Stopwatch

COMPACT, LARGE = "synthetic", "cifar10-224"  # tracks whose networks see more images, and larger ones


def scaling_of_steps(
    method: str,
    device: torch.device,
    effort: ScalingEffort,
    *,
    compact: Track | None = None,
    large: Track | None = None,
) -> ScalingTable:
    """Measure epochs of more and more images, and steps on larger and larger ones.

    Args:
        method: name or file of the method.
        device: where to train.
        effort: the sizes.
        compact: track of the epochs; None for `COMPACT`.
        large: track of the steps, with images that are resized; None for `LARGE`.
    """
    spec = load_spec()
    small, big = compact or spec.track(COMPACT), large or spec.track(LARGE)
    sizes = [_size_axis(big, direction, device, effort, method) for direction in big.directions]
    facts = describe_environment(device, small.training.precision_on(device.type), "kdbench timing --scaling")
    return ScalingTable(
        machine=f"{facts.processor}, {os.cpu_count()} cores, Python {facts.python}",
        torch=facts.torch,
        device=facts.device,
        axes=(_images_axis(small, device, effort, method), *sizes),
    )


def _images_axis(track: Track, device: torch.device, effort: ScalingEffort, method: str) -> ScalingAxis:
    direction = track.directions[0]
    epochs = {number: _epoch(track, direction, device, number, method) for number in effort.images}
    work = f"an epoch of {Path(method).stem} {direction}, networks of {track.name}"
    return ScalingAxis(name=IMAGES, work=work, points=_points(epochs, device, effort.rounds))


def _epoch(track: Track, direction: Direction, device: torch.device, images: int, method: str) -> Callable[[], None]:
    training = timed_training(track, direction, method, device, images)

    def epoch() -> None:
        for _ in range(images // track.training.batch_size):
            training.step()

    return epoch


def _size_axis(
    track: Track, direction: Direction, device: torch.device, effort: ScalingEffort, method: str
) -> ScalingAxis:
    steps = {size: _step(track, direction, device, size, effort.batch, method) for size in effort.pixels}
    work = f"a step of {Path(method).stem} {direction} on {effort.batch} images, networks of {track.name}"
    points = _points(steps, device, effort.rounds)
    return ScalingAxis(name=IMAGE_SIZE, work=work, images=effort.batch, points=points)


def _step(
    track: Track, direction: Direction, device: torch.device, size: int, batch: int, method: str
) -> Callable[[], None]:
    resized = resized_track(track, size, batch)
    return timed_training(resized, direction, method, device, images=2 * batch).step


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
