"""The doses of the planted teachers of a track."""

from typing import Annotated, Self

from pydantic import Field, Strict, model_validator

from kdbench.spec.models import FrozenModel

LEAST_CONTRAST = 0.5  # between the two doses of a seed
Dose = Annotated[float, Field(ge=0, le=1)]
DosePair = Annotated[tuple[Dose, Dose], Strict(False)]  # TOML has lists only


class Planted(FrozenModel, strict=True, allow_inf_nan=False):
    """What is planted in teachers: the label of a conflict image follows its shape with a probability, the dose.

    Attributes:
        doses: of the two teachers of a seed, "shape" before "texture"; seed k has pair number k modulo their number.
    """

    doses: Annotated[tuple[DosePair, ...], Strict(False), Field(min_length=1)]

    def of_seed(self, seed: int) -> tuple[float, float]:
        """Return the doses of a seed's teachers, "shape" before "texture"."""
        return self.doses[seed % len(self.doses)]

    @model_validator(mode="after")
    def _the_doses_of_a_seed_differ(self) -> Self:
        for shape, texture in self.doses:
            if round(shape - texture, 9) < LEAST_CONTRAST:
                raise ValueError(
                    f"doses has the pair [{shape}, {texture}]; the first must be larger by at least {LEAST_CONTRAST}"
                )
        return self
