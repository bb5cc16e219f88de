"""The base of all validated, immutable values that files hold."""

from pydantic import BaseModel, ConfigDict


class FrozenModel(BaseModel):
    """A value that never changes once it is made; keys that it does not have are refused.

    A subclass may ask for more by class arguments: `strict=True` takes no text for a number, `allow_inf_nan=False` only
    finite numbers.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
