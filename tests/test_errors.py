"""What users read of errors that other libraries raise."""

from typing import Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, field_validator, model_validator

from kdbench.errors import describe_error, describe_invalid


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid")

    size: int
    kind: Literal["round", "square"] = "round"


class Other(BaseModel):
    model_config = ConfigDict(extra="forbid")

    weight: float


class Thing(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str
    parts: tuple[Part, ...] = ()
    named: dict[str, Part] = {}
    either: Part | Other | None = None

    @field_validator("name")
    @classmethod
    def _has_a_letter(cls, name: str) -> str:
        if not name:
            raise ValueError("a thing needs a name")
        return name

    @model_validator(mode="after")
    def _has_few_parts(self) -> "Thing":
        if len(self.parts) > 2:
            raise ValueError("a thing has at most two parts")
        return self


def described(values: Any, model: Any = Thing) -> str:
    """The description of what is wrong with the values."""
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(model).validate_python(values)
    return describe_invalid(caught.value, Thing)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"name": "a", "parts": [{"size": 1, "sise": 2}]}, "unknown key parts.0.sise = 2; allowed there: size, kind"),
        ({"name": "a", "named": {"b": {"size": 1, "c": 2}}}, "unknown key named.b.c = 2; allowed there: size, kind"),
        ({"name": "a", "colour": 1}, "unknown key colour = 1; allowed there: name, parts, named, either"),
        ({"parts": []}, "key name is missing"),
        ({"name": 3}, "key name has the value 3: it should be a valid string"),
        (
            {"name": "a", "parts": [{"size": 1, "kind": "flat"}]},
            "key parts.0.kind has the value 'flat': it should be 'round' or 'square'",
        ),
        ({"name": ""}, "name: a thing needs a name"),
        ({"name": "a", "parts": [{"size": 1}] * 3}, "a thing has at most two parts"),
    ],
)
def test_a_wrong_value_is_described_with_key_value_and_what_is_allowed(values: Any, sentence: str) -> None:
    assert described(values) == sentence


def test_an_unknown_key_is_told_before_what_follows_from_it() -> None:
    sentence = "unknown key nam = 'a'; allowed there: name, parts, named, either"
    assert described({"nam": "a"}) == f"{sentence} (and 1 more problem)"
    assert described({"nam": "a", "parts": 3}) == f"{sentence} (and 2 more problems)"


def test_where_one_of_several_models_may_stand_no_keys_are_named() -> None:
    assert described({"name": "a", "either": {"length": 1}}).startswith("unknown key either.Part.length = 1 (and")


def test_entries_of_a_mapping_are_described_by_their_name() -> None:
    assert described({"b": {"title": "c"}}, dict[str, Thing]).startswith(
        "unknown key b.title = 'c'; allowed there: name"
    )


def test_a_long_value_is_cut_off() -> None:
    sentence = described({"name": "a", "parts": "x" * 10_000})
    assert sentence.startswith("key parts has the value 'xxx")
    assert len(sentence) < 200


def test_a_file_that_is_not_json_is_described_without_its_text() -> None:
    with pytest.raises(ValidationError) as caught:
        Thing.model_validate_json("{")
    assert describe_invalid(caught.value, Thing).startswith("Invalid JSON: ")


def test_an_error_of_another_library_is_on_one_line() -> None:
    assert describe_error(ValueError("one\n two")) == "ValueError: one two"
    assert describe_error(KeyboardInterrupt()) == "KeyboardInterrupt"
