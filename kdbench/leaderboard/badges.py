"""A badge per method of a board, as SVG: its transfer with its interval, and what the row shows."""

from markupsafe import escape

from kdbench.leaderboard.boards import BoardView
from kdbench.leaderboard.rows import RowView
from kdbench.leaderboard.wording import number, plural
from kdbench.scoring.estimates import Estimate
from kdbench.scoring.findings import digits_of, finding_words

_CHARACTER = 6.5  # pixels, of 11 pixel letters on average
_SIDE = 7  # pixels beside a text
_LONGEST = 40  # characters of a name
_COLOURS = {True: "#00735a", False: "#55585f"}  # of a row that transfers, and of any other


def badge_path(row: RowView) -> str:
    """Return the path of a row's badge beside the main page."""
    return f"data/badges/{row.anchor}.svg"


def badge(view: BoardView, row: RowView) -> str:
    """Return the badge of a method of a board; it needs no other file."""
    name = row.name if len(row.name) <= _LONGEST else f"{row.name[: _LONGEST - 1]}…"
    left, right = f"kdbench {name}", f"{view.board.track} {view.short_title}: {_result(view, row)}"
    first, second = (round(len(text) * _CHARACTER) + 2 * _SIDE for text in (left, right))
    words = escape(f"{left}: {right}")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{first + second}" height="20" role="img" aria-label="{words}">'
        f'<title>{words}</title><rect width="{first + second}" height="20" rx="3" fill="#1b1d22"/>'
        f'<path d="M{first} 0h{second - 3}a3 3 0 0 1 3 3v14a3 3 0 0 1-3 3h-{second - 3}z" '
        f'fill="{_COLOURS[row.row.finding == "transfers" and not row.row.unofficial]}"/>'
        f"{_text(left, _SIDE, first)}{_text(right, first + _SIDE, second)}</svg>\n"
    )


def _result(view: BoardView, row: RowView) -> str:
    """Return the transfer of a row with its interval, its number of seeds and what it shows; or that it has none."""
    score = row.row.transfer
    if not isinstance(score, Estimate):
        return "undefined"
    digits = digits_of(score.value)
    value, low, high = (number(end, digits) for end in (score.value, score.low, score.high))
    shown = ["unofficial"] if row.row.unofficial else list(finding_words(row.row, view.board))
    return ", ".join([f"{value} [{low}, {high}]", plural(score.seeds, "seed"), *shown])


def _text(words: str, x: int, width: int) -> str:
    style = 'y="14" fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11"'
    return (
        f'<text x="{x}" {style} textLength="{width - 2 * _SIDE}" lengthAdjust="spacingAndGlyphs">{escape(words)}</text>'
    )
