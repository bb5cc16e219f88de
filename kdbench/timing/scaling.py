"""How the time of the work grows with its size: what is measured, the table of it, and what it predicts."""

from collections.abc import Sequence
from pathlib import Path
from statistics import geometric_mean, median
from typing import Annotated

from pydantic import Field, ValidationError

from kdbench.errors import InputError
from kdbench.spec import FrozenModel
from kdbench.timing.power_laws import LEAST_POINTS, Bounded, PowerLaw, fit_power_law

IMAGES, IMAGE_SIZE = "images", "image size"
METHODS, SEEDS, WORKERS, CARDS = "methods", "seeds", "workers", "cards"
IMAGENET_IMAGES, IMAGENET_SIZE = 1_281_167, 224
DAY = 86400.0
Positive = Annotated[float, Field(gt=0)]
Words = Annotated[str, Field(max_length=200)]


class ScalingPoint(FrozenModel, strict=True, allow_inf_nan=False):
    """The measured times of one size.

    Attributes:
        size: number of images, pixels, methods, seeds, workers or cards.
        seconds: of each round.
    """

    size: Annotated[int, Field(gt=0, lt=2**31)]
    seconds: Annotated[tuple[Positive, ...], Field(min_length=1, max_length=1000, strict=False)]


class ScalingAxis(FrozenModel, strict=True, allow_inf_nan=False):
    """How the time depends on one size, all else being equal.

    Attributes:
        name: of the size.
        work: what was timed.
        images: that the work processes, at every size; 0 where that is not said.
        points: at different sizes; none where nothing was measured.
        reason: why there are no points.
    """

    name: Words
    work: Words
    images: Annotated[int, Field(ge=0, lt=2**31)] = 0
    points: Annotated[tuple[ScalingPoint, ...], Field(max_length=100, strict=False)] = ()
    reason: Words = ""

    @property
    def law(self) -> PowerLaw | None:
        """The fitted power law; None with too few sizes."""
        if len({point.size for point in self.points}) < LEAST_POINTS:
            return None
        return fit_power_law([point.size for point in self.points], self.typical_seconds)

    @property
    def typical_seconds(self) -> list[float]:
        """Seconds of each point without what slowed down a round as a whole.

        They are medians over the rounds, in each of which they are divided by the round's geometric mean; the median of
        these means restores their level.
        """
        rounds = list(zip(*(point.seconds for point in self.points), strict=False))
        means = [geometric_mean(times) for times in rounds]
        level = median(means)
        relative = [[value / mean for value in times] for times, mean in zip(rounds, means, strict=True)]
        return [level * median(values) for values in zip(*relative, strict=True)]


class ScalingTable(FrozenModel, strict=True):
    """All that was measured on one machine.

    Attributes:
        machine: its CPU and the version of Python.
        torch: version of PyTorch.
        device: the GPU's name, or "cpu".
        axes: one per size that was varied.
    """

    machine: Words
    torch: Words
    device: Words
    axes: Annotated[tuple[ScalingAxis, ...], Field(max_length=100, strict=False)]


def read_scaling(content: bytes, path: Path) -> ScalingTable:
    """Return the table that a process left as JSON; InputError if it left anything else."""
    try:
        return ScalingTable.model_validate_json(content)
    except ValidationError as error:
        raise InputError(f"nothing was measured: the timing suite left {path.name}, which it did not write") from error


def scaling_lines(table: ScalingTable) -> list[str]:
    """Return lines for a terminal: one per size that was varied, then the predictions."""
    head = f"{table.machine}, PyTorch {table.torch}, {table.device}"
    return [head, *(_line(axis) for axis in table.axes), *predictions(table.axes)]


def _line(axis: ScalingAxis) -> str:
    if not axis.points:
        return f"  {axis.name:10s} not measured: {axis.reason}"
    points = ", ".join(
        f"{point.size}: {value:.3g} s" for point, value in zip(axis.points, axis.typical_seconds, strict=True)
    )
    law = axis.law
    slope = f"slope {_in_words(law.slope)}" if law else "too few sizes for a slope"
    return f"  {axis.name:10s} {axis.work}: {points}; {slope}"


def _in_words(number: Bounded) -> str:
    return f"{number.value:.3g} ({number.low:.3g} to {number.high:.3g})"


def predictions(axes: Sequence[ScalingAxis]) -> list[str]:
    """Return what the fits predict for images of the size and number of ImageNet's, which nobody measured.

    The time per image is taken from the fit of the image size, and the number of images counts in proportion.
    """
    return [_prediction(axis, law) for axis in axes if axis.name == IMAGE_SIZE and axis.images and (law := axis.law)]


def _prediction(axis: ScalingAxis, law: PowerLaw) -> str:
    largest = max(point.size for point in axis.points)
    step = law.seconds(IMAGENET_SIZE)
    epoch = [value * IMAGENET_IMAGES / axis.images / DAY for value in (step.value, step.low, step.high)]
    return (
        f"  Extrapolated, not measured: for {axis.work}, an epoch of {IMAGENET_IMAGES:,} images of {IMAGENET_SIZE} "
        f"pixels would take one worker of this machine {epoch[0]:.3g} days ({epoch[1]:.3g} to {epoch[2]:.3g}); the "
        f"largest measured size is {largest} pixels."
    )
