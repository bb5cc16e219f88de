"""The base class of all validated, immutable values that are read from files."""

from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, Strict


class FrozenModel(BaseModel):
    """An immutable value that refuses unknown keys.

    A subclass may be stricter by class arguments: `strict=True` refuses a text in place of a number, and
    `allow_inf_nan=False` refuses numbers that are not finite.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")


Int64 = Annotated[int, Field(ge=-(2**63), lt=2**63)]
"""A whole number as tables and arrays hold it; a larger one would break them where it is used."""

Share = Annotated[float, Field(ge=0, le=1)]
"""A share of a whole."""

Item = TypeVar("Item")
Several = Annotated[tuple[Item, ...], Strict(False)]
"""A tuple that a file gives as a list, since TOML has lists only."""


class SpecModel(FrozenModel, strict=True, allow_inf_nan=False):
    """A part of the spec. Values must have their declared type: the text "3" is refused where a number is needed."""
