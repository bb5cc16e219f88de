"""The doses of the planted teachers of a track."""

from typing import Annotated, Literal, Self

from pydantic import Field, Strict, model_validator

from kdbench.spec.models import Share, SpecModel

LEAST_CONTRAST = 0.5  # between the two doses of a seed
DosePair = Annotated[tuple[Share, Share], Strict(False)]  # TOML has lists only


class Planted(SpecModel):
    """What is planted in teachers: the label of a conflict image follows its shape with a probability, the dose.

    Attributes:
        doses: of the two teachers of a seed, "shape" before "texture"; seed k has pair number k modulo their number.
            They are multiples of .01, so that labels can be drawn in integer arithmetic.
    """

    doses: Annotated[tuple[DosePair, ...], Strict(False), Field(min_length=1)]

    def of_seed(self, seed: int) -> tuple[float, float]:
        """Return the doses of a seed's teachers, "shape" before "texture"."""
        return self.doses[seed % len(self.doses)]

    def dose(self, bias: Literal["shape", "texture"], seed: int) -> float:
        """Return the dose of one of a seed's teachers."""
        shape, texture = self.of_seed(seed)
        return shape if bias == "shape" else texture

    @model_validator(mode="after")
    def _doses_are_whole_hundredths(self) -> Self:
        for dose in (dose for pair in self.doses for dose in pair):
            if round(dose * 100, 9) % 1:
                raise ValueError(f"doses has {dose}; give multiples of .01")
        return self

    @model_validator(mode="after")
    def _the_doses_of_a_seed_differ(self) -> Self:
        for shape, texture in self.doses:
            if round(shape - texture, 9) < LEAST_CONTRAST:
                raise ValueError(
                    f"doses has the pair [{shape}, {texture}]; the first must be larger by at least {LEAST_CONTRAST}"
                )
        return self
