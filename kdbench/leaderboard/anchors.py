"""The ids of boards and rows in the page: the same for the same content, whatever else the page shows."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Sequence

from kdbench.scoring.scores import Board, Row
from kdbench.spec import Track

_LONGEST = 48  # characters of a name in an id
_USUAL_DEVICE = "cpu-float32"


def slug(text: str) -> str:
    """Return a text in lower-case letters, digits and hyphens; what is cut or replaced is told apart by a digest."""
    plain = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    kept = plain[:_LONGEST].rstrip("-")
    return kept if kept == plain and re.fullmatch(r"[\w ,.-]+", text, re.ASCII) else f"{kept or 'name'}-{_mark(text)}"


def file_stem(name: str) -> str:
    """Return the name of a file about something: the name itself if any file system takes it, else one with a digest.

    No two names have the same, even where a file system does not distinguish capital letters.
    """
    plain = re.fullmatch(r"[a-z0-9][a-z0-9_-]*", name) and len(name) <= _LONGEST
    return name if plain else f"{slug(name)[:_LONGEST]}-{_mark(name)}"


def board_anchor(board: Board, track: Track | None) -> str:
    """Return the id of a board, such as `synthetic-architecture-cnn-to-vit`.

    The kind of device belongs to it unless it is the usual one, and so do digests that are not those of the spec, and
    the networks of the open division.

    Args:
        board: of the scores.
        track: of the spec; None if the spec has no such track.
    """
    digests = (board.training_digest, board.testsets_digest)
    known = track is not None and digests == (track.training_digest, track.testsets_digest) and board.pair is None
    networks = [board.pair.model_dump_json()] if board.pair else []
    parts = [slug(board.track), board.question, board.direction]
    parts += [slug(board.device_class)] if board.device_class != _USUAL_DEVICE else []
    return "-".join([*parts, *([] if known else [_mark("".join([*digests, *networks]))])])


def row_anchors(anchor: str, rows: Sequence[Row]) -> list[str]:
    """Return an id for each row of the board with an id: its method, with a digest unless it is the only official one.

    Args:
        anchor: of the board.
        rows: of the board.
    """
    names = [_row_name(row) for row in rows]
    official = Counter(name for name, row in zip(names, rows, strict=True) if not row.unofficial)
    return [
        f"{anchor}-{name}" if not row.unofficial and official[name] == 1 else f"{anchor}-{name}-{_mark(_content(row))}"
        for name, row in zip(names, rows, strict=True)
    ]


def _row_name(row: Row) -> str:
    name = slug(row.title)
    return f"{name}-{row.family}" if row.kind in ("teacher", "independent") else name


def _content(row: Row) -> str:
    return json.dumps([row.kind, row.config, row.code, row.unofficial, row.family], sort_keys=True)


def _mark(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:6]
