"""Renders the leaderboard: one HTML file that needs nothing beside it and no network."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from kdbench.files import atomic_file
from kdbench.leaderboard import wording
from kdbench.leaderboard.beside import Beside, beside
from kdbench.leaderboard.boards import BoardView, board_views
from kdbench.leaderboard.charts import CurveRow, ProfileChart, curve_rows, forests, profile_charts
from kdbench.leaderboard.costs import CostLine, cost_lines
from kdbench.leaderboard.provenance import Provenance, failed_runs, provenance_of
from kdbench.leaderboard.published import TRACK as PUBLISHED_TRACK
from kdbench.leaderboard.published import PublishedTable, published_seconds, read_published
from kdbench.leaderboard.stimuli import track_stimuli
from kdbench.records import Record
from kdbench.resources import shipped
from kdbench.scoring.scores import Board, Scores
from kdbench.spec import Spec
from kdbench.testsets.gallery import Gallery
from kdbench.timing.suite import Timings, read_timings

PAGE = "index.html"
TEMPLATES = ("leaderboard", "templates")


@dataclass(frozen=True)
class Section:
    """Everything that the page says about one board.

    Attributes:
        paper_seconds: an epoch's as the paper printed them, by submission; empty on tracks that are not its own.
    """

    view: BoardView
    beside: Beside
    charts: tuple[ProfileChart, ...]
    curves: tuple[CurveRow, ...]
    costs: tuple[CostLine, ...]
    paper_seconds: Mapping[str, str]
    step_ratios: Mapping[str, float]
    provenance: Provenance


def render_site(
    scores: Scores,
    records: Sequence[Record],
    out: Path,
    *,
    spec: Spec,
    gallery: Mapping[str, Gallery] | None,
    timing: Path | None = None,
) -> Path:
    """Writes the leaderboard page. The same arguments give the same bytes.

    Args:
        scores: every score on the page.
        records: provenance, costs' spreads and training curves.
        out: folder of the page; made if it is missing.
        spec: names tracks, test sets and the confidence of intervals.
        gallery: by track, pictures of its test sets; None for no gallery.
        timing: JSON of the timing suite (pytest-benchmark), if there is one.

    Returns:
        Path of `index.html`.

    Raises:
        InputError: the timing file cannot be read.
        WriteError: the page cannot be written.
    """
    page = render_page(scores, records, spec=spec, gallery=gallery or {}, timing=timing)
    with atomic_file(out / PAGE) as file:
        file.write(page.encode())
    return out / PAGE


def render_page(
    scores: Scores, records: Sequence[Record], *, spec: Spec, gallery: Mapping[str, Gallery], timing: Path | None
) -> str:
    """The page as text; see `render_site`."""
    ordered = sorted(records, key=lambda record: (record.track, record.run_id, record.digests.testsets))
    published = read_published()
    timings = read_timings(timing) if timing is not None else None
    sections = [_section(view, ordered, published, timings) for view in board_views(scores, spec)]
    return (
        template_environment()
        .get_template("page.html")
        .render(
            scores=scores,
            spec=spec,
            sections=sections,
            forests=forests([section.view for section in sections]),
            stimuli=track_stimuli(gallery, spec),
            timings=timings,
            published=published,
            failed=failed_runs(ordered),
            record_count=len(ordered),
            device_classes=sorted({board.device_class for board in scores.boards}),
        )
    )


def _section(
    view: BoardView, records: Sequence[Record], published: Sequence[PublishedTable], timings: Timings | None
) -> Section:
    board = view.board
    mine = [record for record in records if record.digests.testsets == board.testsets_digest]
    return Section(
        view=view,
        beside=beside(view),
        charts=profile_charts(view),
        curves=curve_rows(view, mine),
        costs=cost_lines(view, mine),
        paper_seconds=published_seconds(published, board.direction) if board.track == PUBLISHED_TRACK else {},
        step_ratios=_step_ratios(board, timings) if timings else {},
        provenance=provenance_of(view, mine),
    )


def _step_ratios(board: Board, timings: Timings) -> dict[str, float]:
    """By method, the time of a step over that of independent's, as the timing suite found it for a board."""
    place = (board.track, board.direction, board.device_class.startswith("cpu"))
    return {
        one.method: one.ratio
        for one in timings.steps
        if (one.track, one.direction, one.device == "cpu") == place and one.ratio is not None
    }


def template_environment() -> Environment:
    """Jinja with escaping on for every template, whatever its name, and no undefined variable let through."""
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
        count=wording.count,
        p_value=wording.p_value,
        duration=wording.duration,
        memory=wording.memory,
        plural=wording.plural,
    )
    environment.globals.update(_globals(folder))
    return environment


def _globals(folder: Path) -> dict[str, Any]:
    def inlined(name: str) -> Markup:
        """A shipped style sheet or script; the only text that is not escaped."""
        return Markup((folder / name).read_text(encoding="utf-8"))

    return {
        "inlined": inlined,
        "axes": wording.SHOWN_AXES,
        "axis_names": wording.AXIS_NAMES,
        "axis_hints": wording.AXIS_HINTS,
        "direction_words": wording.direction_words,
    }
