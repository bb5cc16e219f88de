"""The types with which each kind of test set declares its parameters."""

from collections.abc import Mapping
from dataclasses import dataclass

ParameterValue = int | float | str
WORDS: Mapping[type, str] = {int: "a whole number", float: "a number", str: "a text"}


@dataclass(frozen=True)
class Parameter:
    """One key of a test set's parameters.

    Attributes:
        type: of its value; a whole number counts as a number.
        required: whether every set of the kind must have it.
        least, most: bounds of a number; None for no upper bound.
        choices: the allowed texts; empty for any text.
    """

    type: type[int] | type[float] | type[str]
    required: bool = True
    least: float = 0
    most: float | None = None
    choices: tuple[str, ...] = ()

    def complaint(self, key: str, value: ParameterValue) -> str:
        """Return in words why a value is not allowed; empty if it is allowed."""
        if not isinstance(value, (int, float) if self.type is float else self.type):
            return f"key {key} has the value {value!r}, which is not {WORDS[self.type]}"
        if isinstance(value, str):
            allowed = "" if not self.choices or value in self.choices else ", ".join(self.choices)
        else:
            allowed = self._allowed_numbers(value)
        return f"key {key} has the value {value!r}; allowed: {allowed}" if allowed else ""

    def _allowed_numbers(self, value: float) -> str:
        """Return in words which numbers are allowed; empty if the value is one of them."""
        if self.most is not None:
            return "" if self.least <= value <= self.most else f"{self.least} to {self.most}"
        return "" if value >= self.least else f"at least {self.least}"


Parameters = Mapping[str, Parameter]


def complaint(values: Mapping[str, ParameterValue], parameters: Parameters) -> str:
    """Return in words what is wrong with the parameters of a test set; empty if nothing is wrong.

    Args:
        values: of one test set in the spec.
        parameters: of its kind.
    """
    allowed = f"allowed there: {', '.join(parameters) or 'none'}"
    for key, value in values.items():
        if key not in parameters:
            return f"unknown key {key}; {allowed}"
        if reason := parameters[key].complaint(key, value):
            return reason
    missing = [key for key, parameter in parameters.items() if parameter.required and key not in values]
    return f"key {missing[0]} is missing; {allowed}" if missing else ""
