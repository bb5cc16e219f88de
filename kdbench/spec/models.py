"""The base class of all validated, immutable values that are read from files."""

from pydantic import BaseModel, ConfigDict


class FrozenModel(BaseModel):
    """An immutable value that refuses unknown keys.

    A subclass may be stricter by class arguments: `strict=True` refuses a text in place of a number, and
    `allow_inf_nan=False` refuses numbers that are not finite.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
