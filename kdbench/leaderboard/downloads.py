"""The files beside the page: each board as CSV and as JSON, a badge per method, and the papers as BibTeX."""

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence

from kdbench.leaderboard import wording
from kdbench.leaderboard.anchors import slug
from kdbench.leaderboard.badges import badge, badge_path
from kdbench.leaderboard.boards import BoardView
from kdbench.leaderboard.method_cards import MethodCard
from kdbench.leaderboard.method_entries import MethodEntry
from kdbench.leaderboard.rows import RowView
from kdbench.resources import VERSION
from kdbench.scoring.estimates import Estimate, Score

FOLDER = "data"
BIBTEX = f"{FOLDER}/methods.bib"
_FORMULA = re.compile(r"^[=+\-@\t\r]")  # a spreadsheet runs cells that begin like this
Cell = str | int | float | None


def downloads(views: Sequence[BoardView], methods: Sequence[MethodEntry]) -> dict[str, str]:
    """Return the text of every file, by its path beside the page."""
    files = {csv_path(view): board_csv(view) for view in views}
    files |= {json_path(view): view.board.model_dump_json(indent=1) + "\n" for view in views}
    files |= {badge_path(row): badge(view, row) for view in views for row in view.methods}
    return files | {BIBTEX: bibtex(methods)}


def csv_path(view: BoardView) -> str:
    """Return the path of a board's CSV file beside the page."""
    return f"{FOLDER}/{view.anchor}.csv"


def json_path(view: BoardView) -> str:
    """Return the path of a board's JSON file beside the page."""
    return f"{FOLDER}/{view.anchor}.json"


def board_csv(view: BoardView) -> str:
    """Return methods and controls of a board as CSV with a line of names; transfer and accuracy have their intervals.

    A text that a spreadsheet would run as a formula gets an apostrophe in front.
    """
    rows = [dict(_cells(view, row)) for row in (*view.methods, *view.controls, *view.variants)]
    text = io.StringIO()
    writer = csv.DictWriter(text, dict(_cells(view, None)), lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _safe(value) for name, value in row.items()} for row in rows)
    return text.getvalue()


def _cells(view: BoardView, row: RowView | None) -> Iterator[tuple[str, Cell]]:
    """Yield the name and value of every column; without a row, the names alone."""
    board, scored = view.board, row.row if row else None
    yield from (("track", board.track), ("question", board.question), ("direction", board.direction))
    yield "device_class", board.device_class
    yield "kind", scored.kind if scored else None
    yield "method", row.name if row else None
    yield "config", json.dumps(scored.config, sort_keys=True) if scored else None
    yield "rank", scored.rank if scored else None
    yield "rank_high", scored.rank_high if scored else None
    yield from _estimate("transfer", scored.transfer if scored else None)
    yield "finding", scored.finding if scored else None
    yield "beyond", scored.beyond if scored else None
    yield "p_value", scored.p_value if scored else None
    yield from _estimate("clean", scored.clean if scored else None)
    yield "relative_time", row.relative_time if row else None
    for axis in wording.SHOWN_AXES:
        yield from _estimate(f"transfer_{axis}", scored.transfer_by_axis.get(axis) if scored else None)
    yield "unranked", scored.unranked if scored else None
    yield "unofficial", "; ".join(scored.unofficial) if scored else None


def _estimate(name: str, score: Score | None) -> Iterator[tuple[str, Cell]]:
    number = score if isinstance(score, Estimate) else None
    yield name, number.value if number else None
    yield f"{name}_low", number.low if number else None
    yield f"{name}_high", number.high if number else None
    yield f"{name}_seeds", number.seeds if number else None
    yield f"{name}_images", number.images if number else None
    yield f"{name}_covers", number.covers if number else None


def _safe(value: Cell) -> Cell:
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value


def bibtex(methods: Sequence[MethodEntry]) -> str:
    """Return an entry for the benchmark, and one for the paper of each method that names one."""
    own = {"title": "{kdbench}: does a distilled student inherit its teacher's inductive biases?", "version": VERSION}
    cards: Mapping[str, MethodCard] = {slug(method.name): method.card for method in methods if method.card}
    papers = (_paper(name, card) for name, card in cards.items() if card.authors)
    return "\n".join((_entry("software", "kdbench", own), *papers))


def _paper(name: str, card: MethodCard) -> str:
    fields = {"author": _authors(card.authors), "title": card.work or card.title, "year": card.year}
    if card.venue:
        fields["booktitle"] = card.venue
    if card.arxiv:
        fields |= {"eprint": card.arxiv, "archiveprefix": "arXiv"}
    return _entry("inproceedings" if card.venue else "misc", name, fields)


def _authors(text: str) -> str:
    """Return authors as BibTeX separates them: `Xu and Liu and others`."""
    names = re.split(r", | & ", text.replace(" et al.", ", others"))
    return " and ".join(names)


def _entry(kind: str, key: str, fields: Mapping[str, str]) -> str:
    lines = (f"  {name} = {{{value}}},\n" for name, value in fields.items())
    return f"@{kind}{{{key},\n{''.join(lines)}}}\n"
