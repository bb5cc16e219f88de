"""The main table of a board: one line per method and control, with small charts of transfer on one scale."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kdbench.leaderboard import wording
from kdbench.leaderboard.boards import BoardView
from kdbench.leaderboard.geometry import Band, Scale, Whisker
from kdbench.leaderboard.provenance import RecordKey
from kdbench.leaderboard.rows import ArmLine, RowView
from kdbench.records.verification import Verdict, Verification
from kdbench.scoring.estimates import Estimate, Score
from kdbench.spec import Axis


@dataclass(frozen=True)
class CleanChange:
    """By how much the students of one teacher differ from independent in clean accuracy, in points."""

    arm_line: ArmLine
    gain: Estimate

    @property
    def words(self) -> str:
        """The difference with its sign and its interval: `−5.6 [−6.2, −5.0]`."""
        value, low, high = (wording.signed(100 * end) for end in (self.gain.value, self.gain.low, self.gain.high))
        return f"{value} [{low}, {high}]"


@dataclass(frozen=True)
class BoardLine:
    """A row of the table.

    Attributes:
        transfer: None where it is undefined or does not apply.
        axes: transfer on each axis that has one.
        changes: of clean accuracy, a line per kind of teacher.
        verified: how many of its runs somebody has computed again, and whether they agreed; empty if none.
        contradicted: whether one of them did not agree.
    """

    view: RowView
    transfer: Whisker | None
    axes: Mapping[Axis, Whisker]
    changes: tuple[CleanChange, ...]
    verified: str
    contradicted: bool

    def same_basis(self, score: Score) -> bool:
        """Return whether a number rests on the seeds of the row's transfer, and its interval covers the same."""
        shown = self.transfer.score if self.transfer else None
        return (
            isinstance(score, Estimate)
            and shown is not None
            and (score.seeds, score.covers) == (shown.seeds, shown.covers)
        )


@dataclass(frozen=True)
class BoardTable:
    """The rows of a board.

    Attributes:
        zero, one: where these values of transfer lie, in percent of the width; axis_zero, axis_one for single axes.
        band: what the null controls reach.
    """

    methods: tuple[BoardLine, ...]
    controls: tuple[BoardLine, ...]
    zero: float
    one: float
    axis_zero: float
    axis_one: float
    band: Band | None


def board_table(view: BoardView, verifications: Mapping[RecordKey, Verification]) -> BoardTable:
    """Return the main table of a board.

    Args:
        view: of the board.
        verifications: what `kdbench verify` said of records.
    """
    digest = view.board.testsets_digest
    verdicts = {run: checked.verdict for (run, testsets), checked in verifications.items() if testsets == digest}
    rows = (*view.methods, *view.controls, *view.variants)
    band = view.board.null_band
    whole = [end for row in rows for end in _ends(row.row.transfer)] + ([band.low, band.high] if band else [])
    single = [end for row in rows for score in row.row.transfer_by_axis.values() for end in _ends(score)]
    scale, axis_scale = Scale.around(whole, 0.0, 1.0), Scale.around(single, 0.0, 1.0)
    return BoardTable(
        methods=tuple(_line(row, scale, axis_scale, verdicts) for row in view.methods),
        controls=tuple(_line(row, scale, axis_scale, verdicts) for row in (*view.controls, *view.variants)),
        zero=scale.percent(0),
        one=scale.percent(1),
        axis_zero=axis_scale.percent(0),
        axis_one=axis_scale.percent(1),
        band=Band.of(band, scale),
    )


def _ends(score: object) -> Sequence[float]:
    return (score.low, score.high) if isinstance(score, Estimate) else ()


def _line(row: RowView, scale: Scale, axis_scale: Scale, verdicts: Mapping[str, Verdict]) -> BoardLine:
    runs = [run for line in row.lines for run in line.arm.run_ids]
    checked = [verdicts[run] for run in runs if run in verdicts]
    agreed = len(checked) - checked.count("different")
    return BoardLine(
        view=row,
        transfer=Whisker.of(row.row.transfer, scale),
        axes={
            axis: whisker
            for axis, score in row.row.transfer_by_axis.items()
            if (whisker := Whisker.of(score, axis_scale)) is not None
        },
        changes=tuple(
            CleanChange(line, line.arm.movement.clean_gain)
            for line in row.lines
            if line.arm.movement and isinstance(line.arm.movement.clean_gain, Estimate)
        ),
        verified=f"verified: {agreed} of {wording.plural(len(runs), 'run')}" if checked else "",
        contradicted=agreed < len(checked),
    )
