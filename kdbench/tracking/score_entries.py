"""The runs of scores in MLflow: the alpha or tau of each row, one run per seed and one for all of them."""

from collections.abc import Mapping
from typing import Final

from kdbench.scoring.estimates import Estimate, Score
from kdbench.scoring.scores import Board, Row, Scores
from kdbench.spec import Question, digest
from kdbench.tracking.entries import Content, Entry, Measured
from kdbench.tracking.names import distinct_names, features_of_row
from kdbench.tracking.values import clean_name, text

SYMBOLS: Final[Mapping[Question, str]] = {"architecture": "alpha", "planted": "tau"}
ALL_SEEDS: Final = "all"


def entries_of_scores(scores: Scores, now: float) -> list[Entry]:
    """Return the runs of the rows with an alpha or a tau: one for each seed, and one for all of them.

    Args:
        scores: of the results folder.
        now: seconds since 1970.
    """
    boards = [board for board in scores.boards if any(row.transfer for row in board.rows)]
    entries: list[Entry] = []
    for track in dict.fromkeys(board.track for board in boards):
        parts = [
            (board, row, seed)
            for board in boards
            for row in board.rows
            if board.track == track and row.transfer is not None
            for seed in (None, *sorted(row.transfer_by_seed))
        ]
        features = [features_of_row(row, board, SYMBOLS[board.question], seed) for board, row, seed in parts]
        for part, title in zip(parts, distinct_names(features), strict=True):
            entries.append(_entry_of_score(*part, title, now))
    return entries


def _entry_of_score(board: Board, row: Row, seed: int | None, title: str, now: float) -> Entry:
    params = _params_of_score(board, row, seed)
    identity = [params, row.code, row.unofficial, row.compiled, board.training_digest, board.testsets_digest]
    metrics, tags = _numbers_of_score(board, row, seed), _tags_of_score(board, row, seed)
    return Entry(
        kind="score",
        track=board.track,
        name=f"{board.track}/{digest(identity)}",
        title=title,
        digest=digest([params, metrics, tags]),
        content=lambda: Content(params, tags, metrics, ended=now),
    )


def _score_of(row: Row, seed: int | None) -> Score | None:
    return row.transfer if seed is None else row.transfer_by_seed[seed]


def _params_of_score(board: Board, row: Row, seed: int | None) -> dict[str, str]:
    named = {
        "method": row.method,
        "role": "score",
        "track": board.track,
        "family": row.family,
        "direction": board.direction,
        "question": board.question,
        "seed": ALL_SEEDS if seed is None else seed,
        "device_class": board.device_class,
        **{f"config.{clean_name(name)}": value for name, value in row.config.items()},
    }
    return {name: text(value) for name, value in named.items() if value is not None}


def _numbers_of_score(board: Board, row: Row, seed: int | None) -> list[Measured]:
    """Return alpha or tau with its interval; for all seeds, also those of each axis and the clean accuracy."""
    symbol = SYMBOLS[board.question]
    scores: dict[str, Score | None] = {symbol: _score_of(row, seed)}
    if seed is None:
        scores |= {f"{symbol}_{axis}": score for axis, score in row.transfer_by_axis.items()}
    numbers: list[Measured] = []
    for name, score in scores.items():
        if isinstance(score, Estimate):
            values = {"": score.value, "_low": score.low, "_high": score.high}
            numbers += [(f"transfer/{name}{end}", value, 0) for end, value in values.items()]
    if seed is None and isinstance(row.clean, Estimate):
        numbers.append(("accuracy/clean", row.clean.value, 0))
    return numbers


def _tags_of_score(board: Board, row: Row, seed: int | None) -> dict[str, str]:
    score = _score_of(row, seed)
    undefined = "" if score is None or isinstance(score, Estimate) else score.reason
    named = {
        "official": "no" if row.unofficial else "yes",
        "unofficial": "; ".join(row.unofficial),
        "control": "yes" if row.kind == "control" else "no",
        "compiled": "yes" if row.compiled else "no",
        "transfer_undefined": undefined,
        "interval_covers": score.covers if isinstance(score, Estimate) else "",
        "digest.training": board.training_digest,
        "digest.testsets": board.testsets_digest,
        "digest.code": row.code,
    }
    return {name: text(value) for name, value in named.items() if value}
