"""The tables of a board with numbers that explain transfer."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from kdbench.leaderboard.boards import BoardView
from kdbench.leaderboard.columns import common_value
from kdbench.leaderboard.rows import ArmLine, Basis, RowView, basis_of
from kdbench.scoring.arms import Arm, Diagnostics, Movement
from kdbench.scoring.estimates import Estimate, Range, Score, Undefined

ScoreOfArm = Callable[[Arm], Score | None]
ColumnSource = tuple[str, str, int, ScoreOfArm]  # title, hint, factor and number


@dataclass(frozen=True)
class ExplanationColumn:
    """A column of the table.

    Attributes:
        times: the factor by which its numbers are multiplied for the page.
        images: number of test images of all its estimates; None if it differs between them.
    """

    title: str
    hint: str
    times: int
    images: int | None


@dataclass(frozen=True)
class ExplanationLine:
    """The numbers of an arm.

    Attributes:
        basis: of all numbers of the line; None if it differs between them.
        cells: one per column; None if the column does not apply to the line.
        cross_check: on the first line of a row, the multi-bootstrap's interval of the row's transfer.
    """

    row: RowView
    arm_line: ArmLine
    basis: Basis | None
    cells: tuple[Score | None, ...]
    cross_check: Range | None


@dataclass(frozen=True)
class ExplanationTable:
    """The numbers that answer one question about each network; a line or column without any number is left out."""

    title: str
    columns: tuple[ExplanationColumn, ...]
    lines: tuple[ExplanationLine, ...]

    @property
    def checked(self) -> bool:
        """Whether a line has a multi-bootstrap's interval."""
        return any(line.cross_check for line in self.lines)


@dataclass(frozen=True)
class Explanations:
    """The tables of a board; `undefined` says why numbers are missing, each reason once with its columns."""

    tables: tuple[ExplanationTable, ...]
    undefined: tuple[str, ...]


def explanations_of(view: BoardView) -> Explanations:
    """Return the tables of a board that have a number."""
    between = "Where a student lies between the independent student and its teacher"
    tables = (
        _table(view, between, _movement_columns(), checked=True),
        _table(view, "How similar a student is to its teacher", _likeness_columns()),
        _table(view, "What a network does by itself", _own_columns()),
    )
    shown = tuple(table for table in tables if table.lines)
    return Explanations(shown, _reasons(shown))


def _table(view: BoardView, title: str, columns: Iterator[ColumnSource], *, checked: bool = False) -> ExplanationTable:
    """Return a table of the columns that have numbers; `checked` says that it has the multi-bootstrap, too."""
    arms = [(row, line) for row in view.rows for line in row.lines if line.arm.profile is not None]
    sources = [source for source in columns if any(source[-1](line.arm) is not None for _, line in arms)]
    scores = [score_of for *_, score_of in sources]
    lines = tuple(
        _line(row, line, scores, checked)
        for row, line in arms
        if any(score_of(line.arm) is not None for score_of in scores)
    )
    shown = (
        ExplanationColumn(name, hint, times, _images(line.cells[position] for line in lines))
        for position, (name, hint, times, _) in enumerate(sources)
    )
    return ExplanationTable(title, tuple(shown), lines)


def _own_columns() -> Iterator[ColumnSource]:
    """Yield the columns for what a network does, whatever its teacher does."""
    yield (
        "Same answers after scrambling",
        "agreement beyond chance (Cohen’s kappa) between the answers before and after tiles change places",
        1,
        _diagnosed(lambda d: d.permutation_kappa),
    )
    yield (
        "Calibration error",
        "difference between confidence and accuracy, in 15 bins, on clean images",
        1,
        _diagnosed(lambda d: d.calibration_error),
    )
    yield (
        "Occlusion on the object",
        "share of the occlusion map that lies on the object",
        1,
        _diagnosed(lambda d: d.occlusion_on_object),
    )


def _movement_columns() -> Iterator[ColumnSource]:
    """Yield the columns for the position of students between the independent student and their teacher."""
    yield (
        "Clean accuracy minus independent",
        "student minus independent student of the same seed",
        1,
        _moved(lambda m: m.clean_gain),
    )
    yield (
        "Distance to the teacher closed, %",
        "share of the squared distance between the profiles of independent student and teacher that the student closes",
        100,
        _moved(lambda m: m.gap_closed),
    )
    yield (
        "Distance closed at equal accuracy, %",
        "compared with an independent student of the same clean accuracy",
        100,
        _moved(lambda m: m.gap_closed_matched),
    )
    yield (
        "Way to the teacher (transfer index)",
        "share of the straight way from the independent student to the teacher",
        1,
        _moved(lambda m: m.transfer_index),
    )
    yield "Movement aside (drift)", "movement to the side of the straight way", 1, _moved(lambda m: m.drift)
    yield (
        "Direction (cosine)",
        "cosine between the student’s movement and the straight way to the teacher",
        1,
        _moved(lambda m: m.cosine),
    )


def _likeness_columns() -> Iterator[ColumnSource]:
    """Yield the columns for the similarity of students and teachers."""
    for name in ("clean", "manipulated"):
        yield (
            f"Same answers, {name}",
            "agreement beyond chance (Cohen’s kappa) with the teacher’s answers, minus that of the independent student",
            1,
            _alike(name, "label"),
        )
    for name in ("clean", "manipulated"):
        yield (
            f"Same errors, {name}",
            "agreement beyond chance (Cohen’s kappa) on which answers are right, minus that of the independent student",
            1,
            _alike(name, "error"),
        )
    yield (
        "Same errors, share of the maximum",
        "on manipulated images, the ratio of this agreement to the largest that both accuracies allow",
        1,
        _diagnosed(lambda d: d.likeness["manipulated"].error_consistency_relative if d.likeness else None),
    )
    yield (
        "Similar features (CKA)",
        "centred kernel alignment: how similar features are to the teacher’s, minus that of the independent student",
        1,
        _gained("cka"),
    )
    yield (
        "Occlusion maps",
        "rank correlation with the teacher’s maps minus that of independent, corrected for distance to the centre",
        1,
        _gained("occlusion_correlation_off_centre"),
    )


def _moved(score_of: Callable[[Movement], Score | None]) -> ScoreOfArm:
    return lambda arm: score_of(arm.movement) if arm.movement else None


def _diagnosed(score_of: Callable[[Diagnostics], Score | None]) -> ScoreOfArm:
    return lambda arm: score_of(arm.diagnostics) if arm.diagnostics else None


def _gained(name: str) -> ScoreOfArm:
    return _diagnosed(lambda diagnostics: diagnostics.scalar_gains.get(name))


def _alike(name: str, kind: str) -> ScoreOfArm:
    def score_of(diagnostics: Diagnostics) -> Score | None:
        likeness = {str(key): value for key, value in diagnostics.likeness.items()}.get(name)
        if likeness is None:
            return None
        return likeness.label_kappa_gain if kind == "label" else likeness.error_consistency_gain

    return _diagnosed(score_of)


def _line(row: RowView, line: ArmLine, scores_of: Sequence[ScoreOfArm], checked: bool) -> ExplanationLine:
    cells = tuple(score_of(line.arm) for score_of in scores_of)
    basis = basis_of(cell for cell in cells if cell is not None)
    cross_check = row.row.cross_check if checked and line is row.lines[0] else None
    return ExplanationLine(row, line, basis, cells, cross_check)


def _images(cells: Iterator[Score | None]) -> int | None:
    """Return the number of test images of all estimates in a column; None if it differs between them."""
    return common_value(cell.images for cell in cells if isinstance(cell, Estimate))


def _reasons(tables: Sequence[ExplanationTable]) -> tuple[str, ...]:
    """Return why numbers are undefined, each reason once with the titles of its columns."""
    titled_cells = (
        (column.title, cell)
        for table in tables
        for line in table.lines
        for column, cell in zip(table.columns, line.cells, strict=True)
    )
    titles_by_reason: dict[str, list[str]] = {}
    for title, cell in titled_cells:
        if isinstance(cell, Undefined):
            titles = titles_by_reason.setdefault(cell.reason, [])
            titles += [] if title in titles else [title]
    return tuple(f"{', '.join(titles)}: {reason}" for reason, titles in titles_by_reason.items())
