"""A parameter has the type and the values that are declared; what is wrong is said in words."""

import pytest

from kdbench.spec.parameters import Parameter, ParameterValue, complaint

DECLARED = {
    "count": Parameter(int, least=1),
    "width": Parameter(float, required=False),
    "grey": Parameter(int, required=False, most=255),
    "place": Parameter(str, required=False, choices=("field", "object")),
}


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"count": 64, "width": 10}, ""),  # a whole number is a number, too
        ({"count": 64.5}, "key count has the value 64.5, which is not a whole number"),
        ({"count": "3"}, "key count has the value '3', which is not a whole number"),
        ({"count": 0}, "key count has the value 0; allowed: at least 1"),
        ({"count": 1, "width": -0.5}, "key width has the value -0.5; allowed: at least 0"),
        ({"count": 1, "grey": 256}, "key grey has the value 256; allowed: 0 to 255"),
        ({"count": 1, "place": "corner"}, "key place has the value 'corner'; allowed: field, object"),
        ({"width": 1.0}, "key count is missing; allowed there: count, width, grey, place"),
        ({"count": 1, "size": 1}, "unknown key size; allowed there: count, width, grey, place"),
    ],
)
def test_what_is_wrong_with_a_parameter_is_said(values: dict[str, ParameterValue], reason: str) -> None:
    assert complaint(values, DECLARED) == reason


def test_a_set_without_parameters_allows_none() -> None:
    assert complaint({"block": 8}, {}) == "unknown key block; allowed there: none"
