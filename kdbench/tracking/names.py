"""Names runs by what differs between them, so that the list of runs in MLflow needs no other column."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kdbench.records import Record
from kdbench.scoring.scores import Board, Row
from kdbench.spec import FAMILY_NAMES, Direction, families

_DIGITS = 8  # of a digest


@dataclass(frozen=True)
class Features:
    """What may be said of a run.

    Attributes:
        head: always in its name.
        others: by kind, the most important first; empty where it says nothing. A name has those that tell the run apart
            from another one with the same head.
    """

    head: str
    others: Mapping[str, str]


def distinct_names(runs: Sequence[Features]) -> list[str]:
    """Return a name for each run: its head, and as few of its other features as tell it apart from the others."""
    by_head: dict[str, list[int]] = defaultdict(list)
    for place, run in enumerate(runs):
        by_head[run.head].append(place)
    names = [""] * len(runs)
    for head, places in by_head.items():
        for place, ending in zip(places, _endings([runs[place].others for place in places]), strict=True):
            names[place] = ", ".join((head, *ending))
    return names


def _endings(others: Sequence[Mapping[str, str]]) -> list[list[str]]:
    """Return the features that tell runs apart: one that splits no group of runs is left out."""
    kinds = list(dict.fromkeys(kind for features in others for kind in features))
    chosen: list[list[str]] = [[] for _ in others]
    for kind in sorted(kinds, key=_importance):
        longer = [[*ending, features.get(kind, "")] for ending, features in zip(chosen, others, strict=True)]
        if len(set(map(tuple, longer))) > len(set(map(tuple, chosen))):
            chosen = longer
    return [[feature for feature in ending if feature] for ending in chosen]


def _importance(kind: str) -> int:
    """Return the place of a kind of feature; settings of a method come after its teacher and before its seed."""
    return _ORDER.index(kind) if kind in _ORDER else _ORDER.index("seed")


_ORDER = (
    "direction",
    "teacher",
    "settings",
    "seed",
    "compiled",
    "device",
    "unofficial",
    "code",
    "training",
    "test sets",
    "run",
)


def features_of(record: Record) -> Features:
    """Return what may be said of the run of a record."""
    teacher = record.role == "teacher"
    digests = record.digests
    bias = f"{record.teacher_bias} teacher" if record.teacher_bias else ""
    return Features(
        f"{FAMILY_NAMES[record.family]} {record.method}" if teacher else record.method,
        {
            "direction": _direction(record.direction) if record.direction else "",
            "teacher": str(record.teacher_bias or "") if teacher else bias,
            **_settings(record.config),
            "seed": f"seed {record.seed}",
            "compiled": "compiled" if record.compiled else "",
            "device": record.environment.device_class,
            "unofficial": " ".join(record.unofficial),
            "code": f"code {digests.code[:_DIGITS]}",
            "training": f"training {digests.training[:_DIGITS]}",
            "test sets": f"test sets {digests.testsets[:_DIGITS]}",
            "run": f"run {record.run_id}",
        },
    )


def features_of_row(row: Row, board: Board, symbol: str, seed: int | None) -> Features:
    """Return what may be said of the transfer of a row, of one seed or of all (None)."""
    return Features(
        f"{symbol} of {row.method}",
        {
            "direction": _direction(board.direction),
            **_settings(row.config),
            "seed": "all seeds" if seed is None else f"seed {seed}",
            "compiled": "compiled" if row.compiled else "",
            "device": board.device_class,
            "unofficial": " ".join(row.unofficial),
            "code": f"code {row.code[:_DIGITS]}",
            "training": f"training {board.training_digest[:_DIGITS]}",
            "test sets": f"test sets {board.testsets_digest[:_DIGITS]}",
        },
    )


def _direction(direction: Direction) -> str:
    teacher, student = families(direction)
    return f"{FAMILY_NAMES[teacher]} to {FAMILY_NAMES[student]}"


def _settings(config: Mapping[str, object]) -> dict[str, str]:
    return {f"config.{key}": f"{key} {value}" for key, value in sorted(config.items())}
