"""What is asked of a method file, and what may be answered.

A process that must not run the code of a method asks another one, which imports the file (see `describing`). It reads
the answer as if an adversary had written it.
"""

import math
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import Field, JsonValue, model_validator

from kdbench.errors import plain_text
from kdbench.spec import TEACHER, UNTRAINED, Direction, Family, FrozenModel, Track

if TYPE_CHECKING:  # PyTorch takes seconds to import
    from kdbench.api import Shapes

NAME_PATTERN = r"[a-z0-9][a-z0-9_-]*"
RESERVED_NAMES = (TEACHER, UNTRAINED)
LONGEST_NAME = 60  # characters
MOST_VIEWS = 64  # per image
LONGEST_TEXT = 300  # characters, of a summary or a paper
_LONGEST_VALUE = 2000  # characters, of a text in a config
_Text = Annotated[str, Field(max_length=LONGEST_TEXT)]


@dataclass(frozen=True)
class Trial:
    """The networks for which a method is made on trial.

    Attributes:
        track: that the method is to train on, as it is run.
        directions: those that are wanted; the method is tried in those of them that it has.
        shapes: of the track's networks.
    """

    track: Track
    directions: tuple[Direction, ...]
    shapes: "Mapping[Family, Shapes]"


@dataclass(frozen=True)
class Inquiry:
    """A question about one method file.

    Attributes:
        path: the file, as messages name it; it may lie out of reach of the process that answers.
        source: bytes of the file.
        config: values of its config; what is not among them has the method's default.
        configs: further values by the name of the method that they are for; a text may stand for a number.
        trial: the networks for which to make it; None makes it for none.
    """

    path: Path
    source: bytes
    config: Mapping[str, Any] = field(default_factory=dict)
    configs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    trial: Trial | None = None


class Description(FrozenModel, strict=True, allow_inf_nan=False):
    """A method that keeps the contract, as far as it can be told without its code; see `kdbench.api.Method`.

    Attributes:
        beyond_paper: further directions in which it can be made, although it is not published for them.
        config: all values of the config, as JSON.
    """

    name: Annotated[str, Field(pattern=f"^{NAME_PATTERN}$", max_length=LONGEST_NAME)]
    summary: _Text
    paper: _Text
    images: _Text
    directions: Annotated[tuple[Direction, ...], Field(min_length=1, max_length=10)]
    beyond_paper: Annotated[tuple[Direction, ...], Field(max_length=10)]
    needs: Annotated[tuple[Annotated[str, Field(max_length=LONGEST_NAME)], ...], Field(max_length=10)]
    uses_teacher: bool
    views: Annotated[float, Field(ge=1, le=MOST_VIEWS)]
    per_sample: bool
    config: dict[str, JsonValue]

    @model_validator(mode="after")
    def _has_a_name_and_texts_that_can_be_shown(self) -> Self:
        if self.name in RESERVED_NAMES:
            raise ValueError(f"the name {self.name!r} is reserved")
        if self.images != plain_text(self.images, LONGEST_TEXT):
            raise ValueError("`images` has control characters or lines")
        for value in _leaves(self.config):
            if isinstance(value, float) and not math.isfinite(value):
                raise ValueError("the config has a number that is not finite")
            if isinstance(value, str) and (len(value) > _LONGEST_VALUE or not _is_plain(value)):
                raise ValueError(f"the config has a text with control characters or over {_LONGEST_VALUE} characters")
        return self


def _leaves(value: JsonValue) -> list[JsonValue]:
    """Return all texts, numbers and other single values in a JSON value, keys included."""
    if isinstance(value, dict):
        return [*value, *(leaf for inner in value.values() for leaf in _leaves(inner))]
    if isinstance(value, list):
        return [leaf for inner in value for leaf in _leaves(inner)]
    return [value]


def _is_plain(text: str) -> bool:
    return not any(unicodedata.category(character) == "Cc" for character in text)


class Answer(FrozenModel, strict=True, allow_inf_nan=False):
    """The answer to an inquiry: exactly one of the two.

    Attributes:
        description: of a method that keeps the contract.
        refusal: a sentence that says why the file is refused.
    """

    description: Description | None = None
    refusal: str | None = None

    @model_validator(mode="after")
    def _is_one_of_the_two(self) -> Self:
        if (self.description is None) == (self.refusal is None):
            raise ValueError("there must be either a description or a refusal")
        return self


Describe = Callable[[Sequence[Inquiry]], Sequence[Description]]
"""Answers inquiries in their order; SubmissionError for the first file that is refused."""
