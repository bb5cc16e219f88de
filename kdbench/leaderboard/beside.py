"""The second table of a board: what stands beside the primary number and explains it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from kdbench.leaderboard.boards import Basis, BoardView, Line, RowView, basis_of, only
from kdbench.scoring.scores import Arm, Diagnostics, Estimate, Movement, Range, Score, Undefined

Pick = Callable[[Arm], Score | None]


@dataclass(frozen=True)
class Column:
    """A column; `images` is how many test images all its estimates rest on, where that is one and the same number."""

    title: str
    hint: str
    times: int
    images: int | None


@dataclass(frozen=True)
class BesideLine:
    """An arm's numbers, one a column; None where there is none to expect.

    `cross_check` is the multi-bootstrap's interval of the row's primary number, on the row's first line.
    """

    row: RowView
    line: Line
    basis: Basis | None
    cells: tuple[Score | None, ...]
    cross_check: Range | None


@dataclass(frozen=True)
class Beside:
    """The table; `undefined` says why numbers are missing, each reason once with the columns that it holds for."""

    columns: tuple[Column, ...]
    lines: tuple[BesideLine, ...]
    undefined: tuple[str, ...]

    @property
    def checked(self) -> bool:
        return any(line.cross_check for line in self.lines)


def beside(view: BoardView) -> Beside:
    """The table of a board; columns in which no line has a number are left out."""
    arms = [(row, line) for row in view.rows for line in row.lines if line.arm.profile is not None]
    columns = [(title, hint, times, pick) for title, hint, times, pick in _columns(view) if _shown(pick, arms)]
    lines = tuple(_line(row, line, [pick for *_, pick in columns]) for row, line in arms)
    heads = tuple(
        Column(title, hint, times, only(cell.images for cell in _estimates([line.cells[number] for line in lines])))
        for number, (title, hint, times, _) in enumerate(columns)
    )
    return Beside(heads, lines, _reasons(heads, lines))


def _columns(view: BoardView) -> Iterator[tuple[str, str, int, Pick]]:
    yield "Clean accuracy over independent", "student less independent, same seed", 1, _moved(lambda m: m.clean_gain)
    if view.planted:
        yield "100 G to this teacher", "distance to the teacher that is closed", 100, _moved(lambda m: m.gap_closed)
    yield (
        "100 G, accuracy matched",
        "against an independent student of the same clean accuracy",
        100,
        _moved(lambda m: m.gap_closed_matched),
    )
    yield "TI", "share of the way to the teacher, as the crow flies", 1, _moved(lambda m: m.transfer_index)
    yield "Drift", "movement off that way", 1, _moved(lambda m: m.drift)
    yield "Cosine", "direction of the movement", 1, _moved(lambda m: m.cosine)
    for name in ("clean", "manipulated"):
        yield f"Same answers, {name}", "kappa with the teacher’s answers over independent’s", 1, _alike(name, "label")
    for name in ("clean", "manipulated"):
        yield f"Same errors, {name}", "kappa with the teacher’s errors over independent’s", 1, _alike(name, "error")
    yield (
        "Same errors of those possible",
        "manipulated: kappa with the teacher’s errors over the largest that both accuracies allow",
        1,
        _diagnosed(lambda d: d.likeness["manipulated"].error_consistency_relative if d.likeness else None),
    )
    yield "Permutation κ", "same answer when tiles move", 1, _diagnosed(lambda d: d.permutation_kappa)
    yield "Calibration error", "15 bins, clean images", 1, _diagnosed(lambda d: d.calibration_error)
    yield "CKA", "likeness of features to the teacher’s over independent’s", 1, _gained("cka")
    yield (
        "Occlusion maps",
        "rank correlation with the teacher’s over independent’s, the centre partialled out",
        1,
        _gained("occlusion_correlation_off_centre"),
    )
    yield (
        "Occlusion on the object",
        "share of what matters to the answer that lies on the object",
        1,
        _diagnosed(lambda d: d.occlusion_on_object),
    )


def _moved(pick: Callable[[Movement], Score | None]) -> Pick:
    return lambda arm: pick(arm.movement) if arm.movement else None


def _diagnosed(pick: Callable[[Diagnostics], Score | None]) -> Pick:
    return lambda arm: pick(arm.diagnostics) if arm.diagnostics else None


def _gained(name: str) -> Pick:
    return _diagnosed(lambda diagnostics: diagnostics.scalar_gains.get(name))


def _alike(name: str, kind: str) -> Pick:
    def pick(diagnostics: Diagnostics) -> Score | None:
        likeness = {str(key): value for key, value in diagnostics.likeness.items()}.get(name)
        if likeness is None:
            return None
        return likeness.label_kappa_gain if kind == "label" else likeness.error_consistency_gain

    return _diagnosed(pick)


def _shown(pick: Pick, arms: Sequence[tuple[RowView, Line]]) -> bool:
    return any(pick(line.arm) is not None for _, line in arms)


def _line(row: RowView, line: Line, picks: Sequence[Pick]) -> BesideLine:
    cells = tuple(pick(line.arm) for pick in picks)
    first = line is row.lines[0]
    return BesideLine(row, line, basis_of(_estimates(cells)), cells, row.row.cross_check if first else None)


def _estimates(cells: Sequence[Score | None]) -> list[Estimate]:
    return [cell for cell in cells if isinstance(cell, Estimate)]


def _reasons(columns: Sequence[Column], lines: Sequence[BesideLine]) -> tuple[str, ...]:
    found: dict[str, list[str]] = {}
    for line in lines:
        for column, cell in zip(columns, line.cells, strict=True):
            if isinstance(cell, Undefined):
                titles = found.setdefault(cell.reason, [])
                titles += [] if column.title in titles else [column.title]
    return tuple(f"{', '.join(titles)}: {reason}" for reason, titles in found.items())
