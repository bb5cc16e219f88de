"""Counts what a mirror has done, and what it could not do."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from kdbench.tracking.entries import Entry

Deed = Literal["added", "replaced", "unchanged"]


@dataclass
class Progress:
    """The state of a mirror.

    Attributes:
        report: is told how many runs are done, and how many there are.
        total, done: numbers of runs that MLflow should have, and that are dealt with.
        records: how many records were added, replaced, or left as they are.
        scores: how many runs of alpha or tau were written.
        unreadable: a sentence for each record that cannot be read.
        failures: a sentence for each failure of MLflow.
    """

    report: Callable[[int, int], None] | None
    total: int = 0
    done: int = 0
    records: dict[str, int] = field(default_factory=lambda: {"added": 0, "replaced": 0, "unchanged": 0})
    scores: int = 0
    unreadable: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def count(self, entry: Entry, deed: Deed) -> None:
        """Count a run that MLflow has now."""
        if entry.kind == "record":
            self.records[deed] += 1
        else:
            self.scores += deed != "unchanged"
        self._advance()

    def damaged(self, entry: Entry, reason: str) -> None:
        """Note a run whose content cannot be read."""
        self.unreadable.append(f"{entry.name}: {reason}")
        self._advance()

    def refused(self, entry: Entry, error: Exception) -> None:
        """Note a run that MLflow does not take."""
        self.failures.append(f"{entry.name}: MLflow refused it ({first_line(error)})")
        self._advance()

    def _advance(self) -> None:
        self.done += 1
        if self.report is not None:
            self.report(self.done, self.total)

    def warning(self, results: Path) -> str:
        """Return one sentence on the runs that were not mirrored and what to do; empty if there are none."""
        problems = self.unreadable + self.failures
        if not problems:
            return ""
        more = f" and {len(problems) - 1} more problems" if len(problems) > 1 else ""
        advice = "then mirror again" if self.unreadable else "no record is lost: mirror later"
        return f"{problems[0]}{more}; {advice} with `kdbench track {results}`"


def first_line(error: Exception) -> str:
    """Return the type of an error and the first line of what it says."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
