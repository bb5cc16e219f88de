"""The rows of a board as the page shows them: a line per arm, and notes on the row."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from kdbench.leaderboard import wording
from kdbench.leaderboard.columns import common_value, profile_scores
from kdbench.leaderboard.method_cards import MethodCard
from kdbench.leaderboard.wording import Mark
from kdbench.records import Record
from kdbench.scoring.arms import Arm
from kdbench.scoring.estimates import Estimate, Score, Undefined
from kdbench.scoring.questions import teacher_of
from kdbench.scoring.scores import Row


@dataclass(frozen=True)
class Basis:
    """The seeds that numbers rest on, and what their intervals cover."""

    seeds: int
    images_only: bool

    @property
    def words(self) -> str:
        """The number of seeds, in words."""
        return wording.plural(self.seeds, "seed")


@dataclass(frozen=True)
class ArmLine:
    """One arm of a row: one line of numbers.

    Attributes:
        label: which teacher or student it is, in words.
        mark: its mark on charts.
        beyond_paper: whether the method is not published for a teacher of this family, as the records say.
        basis: of all numbers of the line, where they have it in common.
        shared_reason: why every number of the line is undefined, where the reason is the same for all; else empty.
        axes_reason: why several axes of the line are undefined, if they share the reason; shown once, not in each cell.
        conflict_reason: why the shape decisions are undefined; shown below the row, since a cell is narrow.
    """

    label: str
    mark: Mark
    beyond_paper: bool
    arm: Arm
    basis: Basis | None
    shared_reason: str
    axes_reason: str
    conflict_reason: str


@dataclass(frozen=True)
class RowView:
    """A row with its lines and notes.

    Attributes:
        anchor: its id on the page.
        card: who its method is; None for one that is not shipped.
        images_shown: what the method shows to its networks, in its own words, as the records say; else empty.
        axes_basis: of the transfer by axis, where all axes have it in common.
        failures: failed runs, unless the reason for the missing rank mentions them.
        undefined: undefined numbers with their reasons, unless the cells show them.
        collapsed: the arms that nearly always answer with the same few classes, with the test sets.
    """

    row: Row
    anchor: str
    card: MethodCard | None
    name: str
    config: str
    images_shown: str
    lines: tuple[ArmLine, ...]
    axes_basis: Basis | None
    failures: tuple[str, ...]
    undefined: tuple[str, ...]
    collapsed: tuple[str, ...]

    @property
    def failed(self) -> bool:
        """Whether a run of the row failed."""
        return any(line.arm.failed for line in self.lines)

    @property
    def relative_time(self) -> float | None:
        """Training time as a ratio to independent's, of the slower of its students; None if it is not known."""
        ratios = [line.arm.cost.relative_time for line in self.lines if line.arm.cost is not None]
        return max((ratio for ratio in ratios if ratio is not None), default=None)

    @property
    def ranked(self) -> bool:
        """Whether the row has a rank."""
        return self.row.rank is not None and not self.row.unofficial

    @property
    def rank_range(self) -> str:
        """`1–3`, where the row shares its rank; else empty."""
        low, high = self.row.rank, self.row.rank_high
        return f"{low}–{high}" if self.ranked and high is not None and high != low else ""


def row_view(row: Row, anchor: str, records: Sequence[Record], card: MethodCard | None = None) -> RowView:
    """Return a row of the scores as the page shows it.

    Args:
        row: of the scores.
        anchor: its id on the page.
        records: those of its runs, as far as they are known.
        card: who its method is.
    """
    lines = tuple(_arm_line(row, arm, [run for run in records if run.run_id in arm.run_ids]) for arm in row.arms)
    failures = _said_once((line, line.arm.failed) for line in lines)
    axes = _said_once((line, _unless_shared(line, line.axes_reason)) for line in lines)
    conflict = _said_once((line, _unless_shared(line, line.conflict_reason)) for line in lines)
    return RowView(
        row=row,
        anchor=anchor,
        card=card,
        name=wording.row_words(row),
        config=wording.config_words(row.config),
        images_shown=common_value(run.images_shown for run in records) or "",
        lines=lines,
        axes_basis=basis_of(row.transfer_by_axis.values()),
        failures=tuple(reason for reason in failures if reason not in row.unranked),
        undefined=(
            *(f"Axes undefined: {reason}" for reason in axes),
            *(f"Shape decisions undefined: {reason}" for reason in conflict),
        ),
        collapsed=tuple(_collapsed(lines)) if row.kind in ("method", "control") else (),
    )


def basis_of(scores: Iterable[Score]) -> Basis | None:
    """Return the seeds and what intervals cover, where all estimates among the scores have them in common."""
    return common_value(Basis(score.seeds, score.covers == "images") for score in scores if isinstance(score, Estimate))


def records_of_row(row: Row, records: Sequence[Record]) -> list[Record]:
    """Return the records of a row, by teacher and seed."""
    run_ids = {run_id for arm in row.arms for run_id in arm.run_ids}
    by_run_id = {record.run_id: record for record in records if record.run_id in run_ids}
    return sorted(
        by_run_id.values(),
        key=lambda record: (teacher_of(record) or (), record.seed, record.run_id),
    )


def _arm_line(row: Row, arm: Arm, records: Sequence[Record]) -> ArmLine:
    scores = [score for _, score in profile_scores(arm.profile)] if arm.profile is not None else []
    return ArmLine(
        label=wording.arm_words(row, arm),
        mark=wording.mark_of(arm.teacher),
        beyond_paper=any(run.beyond_paper for run in records),
        arm=arm,
        basis=basis_of(scores),
        shared_reason=_shared_reason(scores),
        axes_reason=_axes_reason(arm),
        conflict_reason=_conflict_reason(arm),
    )


def _shared_reason(scores: Sequence[Score]) -> str:
    if not scores:
        return "no run of this line could be scored"
    return common_value("" if isinstance(score, Estimate) else score.reason for score in scores) or ""


def _axes_reason(arm: Arm) -> str:
    axes = arm.profile.axes.values() if arm.profile is not None else ()
    reasons = [axis.bias.reason for axis in axes if isinstance(axis.bias, Undefined)]
    return (common_value(reasons) or "") if len(reasons) > 1 else ""


def _conflict_reason(arm: Arm) -> str:
    conflict = arm.profile.conflict if arm.profile is not None else None
    return conflict.shape_bias.reason if conflict and isinstance(conflict.shape_bias, Undefined) else ""


def _unless_shared(line: ArmLine, reason: str) -> tuple[str, ...]:
    """Return a reason, unless it is that of every number of the line."""
    return (reason,) if reason and not line.shared_reason else ()


def _said_once(reasons_by_line: Iterable[tuple[ArmLine, Iterable[str]]]) -> tuple[str, ...]:
    """Return each reason once, with the lines that it belongs to where those are not all."""
    pairs = list(reasons_by_line)
    return tuple(
        reason if len(labels) == len(pairs) else f"{', '.join(labels)}: {reason}"
        for reason, labels in _labels_by_reason(pairs).items()
    )


def _labels_by_reason(reasons_by_line: Iterable[tuple[ArmLine, Iterable[str]]]) -> Mapping[str, tuple[str, ...]]:
    """Return the labels of the lines that each reason belongs to."""
    labels: dict[str, tuple[str, ...]] = {}
    for line, reasons in reasons_by_line:
        for reason in dict.fromkeys(reasons):
            labels[reason] = (*labels.get(reason, ()), line.label)
    return labels


def _collapsed(lines: Sequence[ArmLine]) -> Iterator[str]:
    """Yield test sets with nearly always the same few answers, and the lines that give them where those are not all."""
    labels_by_set = _labels_by_reason(
        (line, line.arm.diagnostics.collapsed if line.arm.diagnostics else ()) for line in lines
    )
    for labels in dict.fromkeys(labels_by_set.values()):
        names = ", ".join(name for name, collapsed in labels_by_set.items() if collapsed == labels)
        yield names if len(labels) == len(lines) else f"{names} ({', '.join(labels)})"
