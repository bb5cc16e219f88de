"""A page per method: everything that the records say of it, on all boards, with its source and how to run it again."""

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from kdbench.leaderboard.anchors import file_stem
from kdbench.leaderboard.boards import BoardView
from kdbench.leaderboard.confusion import ArmConfusions, Counts, arm_confusions
from kdbench.leaderboard.curves import RowCurves
from kdbench.leaderboard.method_cards import MethodCard
from kdbench.leaderboard.method_entries import MethodEntry
from kdbench.leaderboard.provenance import RecordKey
from kdbench.leaderboard.rows import RowView, records_of_row
from kdbench.leaderboard.sections import BoardSection, SectionMaker, narrowed
from kdbench.leaderboard.source_code import highlighted
from kdbench.leaderboard.stimuli import set_words
from kdbench.records import Record
from kdbench.scoring.scores import RowKind
from kdbench.spec import Spec

_FOLDERS: Mapping[RowKind, str] = {"method": "methods", "control": "controls", "independent": "controls"}


@dataclass(frozen=True)
class MethodPart:
    """A method on one board.

    Attributes:
        section: of the board, with the rows of the method only.
        rows: those rows.
        curves: of those rows, and of the teachers on the page of the independent student.
        commands: that make the runs of the rows again, each with the name of its row.
    """

    section: BoardSection
    rows: tuple[RowView, ...]
    curves: tuple[RowCurves, ...]
    confusions: tuple[ArmConfusions, ...]
    commands: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class CodeVersion:
    """Runs of a method that were made from one version of its code.

    Attributes:
        code: digest.
        shipped: whether this version is the one that this kdbench has.
        first, last: when the first and the last of the runs were written, UTC.
        places: the boards that show the runs.
    """

    code: str
    shipped: bool
    runs: int
    first: str
    last: str
    places: tuple[BoardView, ...]


@dataclass(frozen=True)
class MethodPage:
    """Everything about one method, control, or the independent student.

    Attributes:
        card: None if no row has the shipped code.
        source: of the shipped file, as HTML; None without a card.
        versions: of its code, the most recent one first.
    """

    name: str
    path: str
    control: bool
    card: MethodCard | None
    images_shown: tuple[str, ...]
    beyond_paper: tuple[str, ...]
    parts: tuple[MethodPart, ...]
    source: Markup | None
    versions: tuple[CodeVersion, ...]

    @property
    def shipped_code(self) -> str:
        """The digest of the shipped code; empty without a card."""
        return next((version.code for version in self.versions if version.shipped), "")


def method_path(row: RowView) -> str:
    """Return the path of the page about a row's method, beside the main page."""
    return f"{_FOLDERS[row.row.kind]}/{file_stem(row.row.method)}.html"


def method_pages(
    entries: Sequence[MethodEntry], maker: SectionMaker, answers: Mapping[RecordKey, Counts]
) -> tuple[MethodPage, ...]:
    """Return a page per method and control, whatever versions of its code there are.

    Args:
        entries: of all boards.
        maker: of sections.
        answers: of the students on every test set, by record.
    """
    by_path: dict[str, list[MethodEntry]] = {}
    for entry in entries:
        by_path.setdefault(method_path(entry.places[0][1]), []).append(entry)
    return tuple(_page(path, of_path, maker, answers) for path, of_path in by_path.items())


def _page(
    path: str, entries: Sequence[MethodEntry], maker: SectionMaker, answers: Mapping[RecordKey, Counts]
) -> MethodPage:
    places = [place for entry in entries for place in entry.places]
    views = tuple({view.anchor: view for view, _ in places}.values())
    card = next((entry.card for entry in entries if entry.card), None)
    return MethodPage(
        name=entries[0].name,
        path=path,
        control=entries[0].control,
        card=card,
        images_shown=tuple(dict.fromkeys(entry.images_shown for entry in entries if entry.images_shown)),
        beyond_paper=tuple(dict.fromkeys(words for entry in entries for words in entry.beyond_paper)),
        parts=tuple(_part(view, [row for of, row in places if of is view], maker, answers) for view in views),
        source=highlighted(card.source) if card else None,
        versions=_versions(places, maker.records),
    )


def _part(
    view: BoardView, rows: Sequence[RowView], maker: SectionMaker, answers: Mapping[RecordKey, Counts]
) -> MethodPart:
    kinds = {row.row.kind for row in rows}
    section = maker.section(narrowed(view, rows[0].row.method, [*kinds]))
    return MethodPart(
        section=section,
        rows=tuple(rows),
        curves=tuple(curve for curve in section.curves if curve.view in rows or "independent" in kinds),
        confusions=tuple(
            confusions
            for row in rows
            for confusions in arm_confusions(row, view.board.testsets_digest, answers, _set_names(view, maker.spec))
        ),
        commands=tuple((row.name, _command(view, row)) for row in rows if not row.row.unofficial),
    )


def _set_names(view: BoardView, spec: Spec) -> dict[str, str]:
    """Return the names of a board's test sets for people, in the order of the spec."""
    track = spec.tracks.get(view.board.track)
    return {made.name: set_words(made.name, made, track.data) for made in track.test_sets} if track else {}


def _command(view: BoardView, row: RowView) -> str:
    """Return the command that makes the runs of an official row again."""
    board, scored = view.board, row.row
    method = scored.method if row.card else f"path/to/{scored.method}.py"
    chosen = ["--methods", "independent", "--controls", scored.method]
    words = ["kdbench", "run", "--track", board.track]
    words += chosen if scored.kind == "control" else ["--methods", method]
    words += ["--questions", board.question, "--directions", board.direction, "--seeds", _seeds(board.seeds)]
    for setting in scored.differing:
        key = setting.partition("=")[0]
        words += ["--config", f"{scored.method}.{key}={json.dumps(scored.config.get(key))}"]
    return shlex.join([*words, *(["--compile"] if scored.compiled else [])])


def _seeds(seeds: Sequence[int]) -> str:
    """Return seeds as the command line takes them: `0-4`, or `0,2`."""
    if len(seeds) > 1 and list(seeds) == list(range(seeds[0], seeds[-1] + 1)):
        return f"{seeds[0]}-{seeds[-1]}"
    return ",".join(map(str, seeds))


def _versions(places: Sequence[tuple[BoardView, RowView]], records: Sequence[Record]) -> tuple[CodeVersion, ...]:
    by_code: dict[str, list[tuple[BoardView, RowView]]] = {}
    for view, row in places:
        by_code.setdefault(row.row.code, []).append((view, row))
    versions = [_version(code, of_code, records) for code, of_code in by_code.items()]
    return tuple(sorted(versions, key=lambda version: (version.last, version.code), reverse=True))


def _version(code: str, places: Sequence[tuple[BoardView, RowView]], records: Sequence[Record]) -> CodeVersion:
    runs = {run.run_id: run for run in _runs(places, records)}
    times = sorted(run.finished for run in runs.values())
    return CodeVersion(
        code=code,
        shipped=any(row.card for _, row in places),
        runs=len(runs),
        first=times[0] if times else "",
        last=times[-1] if times else "",
        places=tuple({view.anchor: view for view, _ in places}.values()),
    )


def _runs(places: Sequence[tuple[BoardView, RowView]], records: Sequence[Record]) -> Iterator[Record]:
    for view, row in places:
        yield from records_of_row(
            row.row, [run for run in records if run.digests.testsets == view.board.testsets_digest]
        )
