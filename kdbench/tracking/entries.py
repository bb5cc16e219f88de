"""The runs that MLflow should have of a results folder, whatever they are of."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Measured = tuple[str, float, int]
"""Name, value and step of a metric."""


@dataclass(frozen=True)
class Content:
    """What MLflow shows of a run.

    Attributes:
        seconds: that it took.
        ended: when it ended, in seconds since 1970.
    """

    params: Mapping[str, str]
    tags: Mapping[str, str]
    metrics: Sequence[Measured]
    ended: float
    seconds: float = 0.0
    artifacts: Sequence[Path] = ()
    failed: bool = False


@dataclass(frozen=True)
class Entry:
    """A run that MLflow should have.

    Attributes:
        kind: a record, or a score of a row.
        name: identifies it among the runs of its results folder.
        title: its name for people.
        digest: changes whenever its content does.
        content: returns what MLflow shows; KdbenchError if it cannot be read.
    """

    kind: Literal["record", "score"]
    track: str
    name: str
    title: str
    digest: str
    content: Callable[[], Content]
