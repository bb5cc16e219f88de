"""Renders the leaderboard: one HTML file that needs no other file and no network, and files to download beside it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from kdbench.files import atomic_file
from kdbench.leaderboard import wording
from kdbench.leaderboard.board_table import BoardLine, BoardTable, board_table
from kdbench.leaderboard.boards import BoardView, board_views, track_of
from kdbench.leaderboard.costs import CostLine, cost_lines
from kdbench.leaderboard.curves import RowCurves, training_curves
from kdbench.leaderboard.dose_charts import DoseCharts, dose_charts
from kdbench.leaderboard.downloads import BIBTEX, csv_path, downloads, json_path
from kdbench.leaderboard.explanations import ExplanationTable, explanation_table
from kdbench.leaderboard.frontier import Frontier, frontier
from kdbench.leaderboard.headlines import percent
from kdbench.leaderboard.method_cards import shipped_cards
from kdbench.leaderboard.method_entries import method_anchor, method_entries
from kdbench.leaderboard.overview import overviews
from kdbench.leaderboard.pairs import pair_table
from kdbench.leaderboard.positions import Positions, positions
from kdbench.leaderboard.profiles import ProfileChart, profile_charts
from kdbench.leaderboard.provenance import BoardProvenance, RecordKey, board_provenance, failed_runs
from kdbench.leaderboard.published import PAPER_TRACK, PublishedTable, published_seconds, read_published
from kdbench.leaderboard.stimuli import track_stimuli
from kdbench.records import Record
from kdbench.records.verification import Verification
from kdbench.resources import shipped
from kdbench.scoring.findings import digits_of, finding_words
from kdbench.scoring.scores import Scores
from kdbench.spec import QUESTIONS, Spec
from kdbench.testsets.gallery import Gallery
from kdbench.timing.step_times import Timings

PAGE = "index.html"
TEMPLATES = ("leaderboard", "templates")


@dataclass(frozen=True)
class BoardSection:
    """Everything that the page says about one board.

    Attributes:
        paper_seconds: seconds per epoch as the paper printed them, by submission; empty on other tracks than the
            paper's.
    """

    view: BoardView
    doses: DoseCharts
    table: BoardTable
    positions: Positions | None
    frontier: Frontier | None
    explanations: ExplanationTable
    charts: tuple[ProfileChart, ...]
    curves: tuple[RowCurves, ...]
    costs: tuple[CostLine, ...]
    paper_seconds: Mapping[str, str]
    provenance: BoardProvenance


def render_site(
    scores: Scores,
    records: Sequence[Record],
    out: Path,
    *,
    spec: Spec,
    gallery: Mapping[str, Gallery] | None,
    timings: Timings | None = None,
    verifications: Mapping[RecordKey, Verification] | None = None,
    faults: Sequence[str] = (),
) -> Path:
    """Write the leaderboard page and the files to download. The same arguments give the same bytes.

    Args:
        scores: every score on the page.
        records: for provenance, training curves and the extremes of costs.
        out: folder of the page; made if it is missing.
        spec: for names of tracks and test sets, and the confidence of intervals.
        gallery: by track, pictures of its test sets; None for no gallery.
        timings: of the timing suite; None without them.
        verifications: what `kdbench verify` said of records.
        faults: a sentence about each file, other than records, that could not be read.

    Returns:
        Path of `index.html`.

    Raises:
        WriteError: the page cannot be written.
    """
    page, files = render_page(
        scores,
        records,
        spec=spec,
        gallery=gallery or {},
        timings=timings,
        verifications=verifications or {},
        faults=faults,
    )
    for name, text in {**files, PAGE: page}.items():
        with atomic_file(out / name) as file:
            file.write(text.encode())
    return out / PAGE


def render_page(
    scores: Scores,
    records: Sequence[Record],
    *,
    spec: Spec,
    gallery: Mapping[str, Gallery],
    timings: Timings | None,
    verifications: Mapping[RecordKey, Verification],
    faults: Sequence[str],
) -> tuple[str, dict[str, str]]:
    """Return the page as text, and the text of the files beside it by their paths; see `render_site`."""
    ordered = sorted(records, key=lambda record: (record.track, record.run_id, record.digests.testsets))
    published = read_published()
    views = board_views(scores, spec, ordered, shipped_cards())
    methods = method_entries(views)
    files = downloads(views, methods) if views else {}
    page = (
        template_environment()
        .get_template("page.html")
        .render(
            scores=scores,
            spec=spec,
            sections=[_section(view, ordered, spec, published, verifications) for view in views],
            overviews=overviews(views),
            methods=methods,
            bibtex=files.get(BIBTEX, ""),
            questions_shown=[q for q in QUESTIONS if q in {view.board.question for view in views}],
            tracks=sorted({view.board.track for view in views}),
            pair_table=pair_table(views),
            stimuli=track_stimuli(gallery, spec),
            timings=timings,
            published=published,
            failed=failed_runs(ordered),
            verifications=verifications,
            faults=faults,
            record_count=len(ordered),
            device_classes=sorted({board.device_class for board in scores.boards}),
        )
    )
    return page, files


def _section(
    view: BoardView,
    records: Sequence[Record],
    spec: Spec,
    published: Sequence[PublishedTable],
    verifications: Mapping[RecordKey, Verification],
) -> BoardSection:
    board, track = view.board, track_of(view.board, spec)
    board_records = [record for record in records if record.digests.testsets == board.testsets_digest]
    return BoardSection(
        view=view,
        doses=dose_charts(view, track.planted if track else None),
        table=board_table(view, verifications),
        positions=positions(view),
        frontier=frontier(view),
        explanations=explanation_table(view),
        charts=profile_charts(view),
        curves=training_curves(view, board_records),
        costs=cost_lines(view, board_records),
        paper_seconds=published_seconds(published, board.direction) if board.track == PAPER_TRACK else {},
        provenance=board_provenance(view, board_records),
    )


def template_environment() -> Environment:
    """Return Jinja's environment: every template is escaped, and an undefined variable is an error."""
    folder = shipped(*TEMPLATES)
    environment = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        number=wording.number,
        capitalized=wording.capitalized,
        lower_first=wording.lower_first,
        count=wording.count,
        p_value=wording.p_value,
        finding_words=finding_words,
        digits_of=digits_of,
        duration=wording.duration,
        memory=wording.memory,
        plural=wording.plural,
        device_words=wording.device_words,
        ratio=wording.ratio,
        method_anchor=method_anchor,
        csv_path=csv_path,
        json_path=json_path,
        same_basis=BoardLine.same_basis,
        percent=percent,
    )
    environment.globals.update(_globals(folder))
    return environment


def _globals(folder: Path) -> dict[str, Any]:
    def inlined(name: str) -> Markup:
        """Return a shipped style sheet or script, the only text that is not escaped."""
        return Markup((folder / name).read_text(encoding="utf-8"))

    return {
        "inlined": inlined,
        "axes": wording.SHOWN_AXES,
        "axis_names": wording.AXIS_NAMES,
        "axis_hints": wording.AXIS_HINTS,
        "bibtex_path": BIBTEX,
        "direction_words": wording.direction_words,
        "question_titles": wording.QUESTION_TITLES,
        "question_names": wording.QUESTION_NAMES,
    }
