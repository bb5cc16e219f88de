"""The base class of all validated, immutable values that are read from files."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class FrozenModel(BaseModel):
    """An immutable value that refuses unknown keys.

    A subclass may be stricter by class arguments: `strict=True` refuses a text in place of a number, and
    `allow_inf_nan=False` refuses numbers that are not finite.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")


Int64 = Annotated[int, Field(ge=-(2**63), lt=2**63)]
"""A whole number as tables and arrays hold it; a larger one would break them where it is used."""
