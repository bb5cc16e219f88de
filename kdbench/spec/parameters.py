"""What a test set's parameters may be: each kind of test set declares its own with these words."""

from collections.abc import Mapping
from dataclasses import dataclass

ParameterValue = int | float | str
WORDS: Mapping[type, str] = {int: "a whole number", float: "a number", str: "a text"}


@dataclass(frozen=True)
class Parameter:
    """One key of a test set's parameters.

    Attributes:
        type: of its value; a whole number is a number, too.
        required: whether every set of the kind has it.
        least, most: bounds of a number; None for no upper bound.
        choices: the only texts that are allowed; empty for any.
    """

    type: type[int] | type[float] | type[str]
    required: bool = True
    least: float = 0
    most: float | None = None
    choices: tuple[str, ...] = ()

    def complaint(self, key: str, value: ParameterValue) -> str:
        """Say in words what is wrong with a value; empty if nothing is."""
        if not isinstance(value, (int, float) if self.type is float else self.type):
            return f"key {key} has the value {value!r}, which is not {WORDS[self.type]}"
        if isinstance(value, str):
            allowed = "" if not self.choices or value in self.choices else ", ".join(self.choices)
        else:
            allowed = self._allowed_numbers(value)
        return f"key {key} has the value {value!r}, allowed are {allowed}" if allowed else ""

    def _allowed_numbers(self, value: float) -> str:
        """Return the numbers that are allowed, in words; empty if the value is one of them."""
        if self.most is not None:
            return "" if self.least <= value <= self.most else f"{self.least} to {self.most}"
        return "" if value >= self.least else f"{self.least} and more"


Parameters = Mapping[str, Parameter]


def complaint(values: Mapping[str, ParameterValue], parameters: Parameters) -> str:
    """Say in words what is wrong with the parameters of a test set; empty if nothing is.

    Args:
        values: of one test set, as the spec gives them.
        parameters: that its kind has.
    """
    allowed = f"allowed there: {', '.join(parameters) or 'none'}"
    for key, value in values.items():
        if key not in parameters:
            return f"unknown key {key}; {allowed}"
        if reason := parameters[key].complaint(key, value):
            return reason
    missing = [key for key, parameter in parameters.items() if parameter.required and key not in values]
    return f"key {missing[0]} is missing; {allowed}" if missing else ""
