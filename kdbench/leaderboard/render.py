"""Renders the leaderboard: a main page, a page per board and per method, and files to download beside them.

No page needs another file or a network to be read.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from kdbench.files import atomic_file
from kdbench.leaderboard.boards import BoardView, board_path, board_views
from kdbench.leaderboard.confusion import Counts
from kdbench.leaderboard.downloads import BIBTEX, downloads
from kdbench.leaderboard.method_cards import shipped_cards
from kdbench.leaderboard.method_entries import MethodEntry, method_entries
from kdbench.leaderboard.method_pages import method_pages
from kdbench.leaderboard.overview import overviews
from kdbench.leaderboard.pairs import pair_table
from kdbench.leaderboard.provenance import RecordKey, failed_runs
from kdbench.leaderboard.published import read_published
from kdbench.leaderboard.sections import BoardSection, SectionMaker
from kdbench.leaderboard.stimuli import track_stimuli
from kdbench.leaderboard.templates import template_environment
from kdbench.records import Record
from kdbench.records.verification import Verification
from kdbench.scoring.scores import Scores
from kdbench.spec import QUESTIONS, Spec
from kdbench.testsets.gallery import Gallery
from kdbench.timing.step_times import Timings

PAGE = "index.html"


def render_site(
    scores: Scores,
    records: Sequence[Record],
    out: Path,
    *,
    spec: Spec,
    gallery: Mapping[str, Gallery] | None,
    timings: Timings | None = None,
    verifications: Mapping[RecordKey, Verification] | None = None,
    answers: Mapping[RecordKey, Counts] | None = None,
    faults: Sequence[str] = (),
) -> Path:
    """Write the pages of the leaderboard and the files to download. The same arguments give the same bytes.

    Args:
        scores: every score on the pages.
        records: for provenance, training curves and the extremes of costs.
        out: folder of the main page; made if it is missing.
        spec: for names of tracks and test sets, and the confidence of intervals.
        gallery: by track, pictures of its test sets; None for no gallery.
        timings: of the timing suite; None without them.
        verifications: what `kdbench verify` said of records.
        answers: which classes the networks of records took for which; None without confusion matrices.
        faults: a sentence about each file, other than records, that could not be read.

    Returns:
        Path of `index.html`.

    Raises:
        WriteError: a page cannot be written.
    """
    ordered = sorted(records, key=lambda record: (record.track, record.run_id, record.digests.testsets))
    maker = SectionMaker(ordered, spec, read_published(), verifications or {})
    views = board_views(scores, spec, ordered, shipped_cards())
    methods = method_entries(views)
    sections = tuple(maker.section(view) for view in views)
    common = _common(scores, views, maker)
    files = dict(_boards_and_methods(sections, methods, maker, answers or {}, gallery or {}, common))
    files |= downloads(views, methods) if views else {}
    main = _main(sections, methods, maker, gallery or {}, timings, faults, common | {"bibtex": files.get(BIBTEX, "")})
    for name, text in {**files, PAGE: main}.items():
        with atomic_file(out / name) as file:
            file.write(text.encode())
    return out / PAGE


def _common(scores: Scores, views: Sequence[BoardView], maker: SectionMaker) -> dict[str, Any]:
    """Return what every page shows or needs."""
    return {
        "scores": scores,
        "spec": maker.spec,
        "tracks": sorted({view.board.track for view in views}),
        "device_classes": sorted({board.device_class for board in scores.boards}),
        "record_count": len(maker.records),
        "verifications": maker.verifications,
    }


def _main(
    sections: Sequence[BoardSection],
    methods: Sequence[MethodEntry],
    maker: SectionMaker,
    gallery: Mapping[str, Gallery],
    timings: Timings | None,
    faults: Sequence[str],
    common: Mapping[str, Any],
) -> str:
    """Return the main page as text."""
    views = [section.view for section in sections]
    template = template_environment().get_template("page.html")
    return template.render(
        common,
        root="",
        sections=sections,
        overviews=overviews(views),
        methods=methods,
        questions_shown=[q for q in QUESTIONS if q in {view.board.question for view in views}],
        pair_table=pair_table(views),
        stimuli=track_stimuli(gallery, maker.spec),
        timings=timings,
        published=maker.published,
        failed=failed_runs(maker.records),
        faults=faults,
    )


def _boards_and_methods(
    sections: Sequence[BoardSection],
    methods: Sequence[MethodEntry],
    maker: SectionMaker,
    answers: Mapping[RecordKey, Counts],
    gallery: Mapping[str, Gallery],
    common: Mapping[str, Any],
) -> Iterator[tuple[str, str]]:
    """Yield path and text of every other page."""
    environment, classes = template_environment(), track_stimuli(gallery, maker.spec)
    board_page, method_page = (environment.get_template(name) for name in ("board-page.html", "method-page.html"))
    for section in sections:
        yield board_path(section.view), board_page.render(common, root="../", section=section)
    for page in method_pages(methods, maker, answers):
        yield page.path, method_page.render(common, root="../", page=page, class_names=classes)
