"""A number of the board as `scores.json` has it: an estimate with its interval, or the reason why there is none."""

from typing import Annotated, Literal

from pydantic import Field

from kdbench.spec import FrozenModel, Int64


class Estimate(FrozenModel):
    """A number with its interval.

    Attributes:
        value, low, high: the estimate and its confidence interval.
        images: number of its test images; those from the same clean image count once.
        seeds: number of its random seeds.
        covers: what the interval covers: "images" alone (fewer seeds than an interval over seeds needs), "seeds" alone
            (records keep one number of the whole run), or "seeds and images".
    """

    kind: Literal["estimate"] = "estimate"
    value: float
    low: float
    high: float
    images: Int64
    seeds: Int64
    covers: Literal["images", "seeds", "seeds and images"]


class Undefined(FrozenModel):
    """A number that does not exist, with the reason in words."""

    kind: Literal["undefined"] = "undefined"
    reason: str


Score = Annotated[Estimate | Undefined, Field(discriminator="kind")]


class Range(FrozenModel):
    """From `low` to `high`."""

    low: float
    high: float
