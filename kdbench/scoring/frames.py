"""The scores of a results folder as a data frame."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from kdbench.errors import InputError, RecordError, describe_invalid
from kdbench.scoring.estimates import Estimate, Undefined
from kdbench.scoring.findings import finding_words
from kdbench.scoring.scores import Board, Row, Scores

if TYPE_CHECKING:
    import pandas as pd

SCORES_FILE = "scores.json"
SCORE_COLUMNS = (
    "track",
    "question",
    "direction",
    "device_class",
    "kind",
    "method",
    "config",
    "family",
    "compiled",
    "official",
    "code_digest",
    "rank",
    "rank_high",
    "unranked",
    "finding",
    "teacher_bias",
    "teacher_family",
    "number",
    "axis",
    "value",
    "low",
    "high",
    "seeds",
    "images",
    "covers",
    "p_value",
    "undefined",
)


def load_scores(folder: str | Path) -> "pd.DataFrame":
    """Return the scores of a results folder as a tidy data frame, one row per board, row and number.

    Examples:
        >>> scores = load_scores("runs")
        >>> alpha = scores[(scores.number == "transfer") & (scores.question == "architecture")]
        >>> lm = alpha.set_index("method").loc["lm"]
        >>> bool(lm.low < lm.value < lm.high)
        True

    Args:
        folder: with a `scores.json`, which `kdbench score` writes.

    Returns:
        A data frame with the columns

        - `track`, `question`, `direction`, `device_class`: of the board. Boards are never compared with each other.
        - `kind`: "teacher", "independent", "method" or "control".
        - `method`, `config`, `family`: name of the submission, its settings as JSON, and family of the network.
        - `compiled`, `official`: whether the row was trained through torch.compile, and whether it may be ranked.
        - `code_digest`: of the method's code.
        - `rank`, `rank_high`: best and worst rank that the seeds allow; missing for a row without a rank.
        - `unranked`: why a method has no rank, in words; else empty.
        - `finding`: the words for what a ranked row shows of transfer, such as "transfers" or "a trace"; else empty.
        - `teacher_bias`, `teacher_family`: of the arm that the number is of; missing for numbers of the whole row and
          without a teacher.
        - `number`: what was computed, by its place in `scores.json`, such as "transfer", "transfer_by_axis",
          "transfer_by_pair.0", "profile.clean", "profile.axes.bias" or "movement.transfer_index".
          `kdbench.scoring.scores` and `kdbench.scoring.arms` document each.
        - `axis`: bias axis of the number, such as "shape"; missing for a number over all axes.
        - `value`, `low`, `high`: the estimate and its confidence interval, in the unit of the number; missing where it
          is undefined.
        - `seeds`, `images`: number of random seeds and of test images that it rests on.
        - `covers`: what the interval covers: "images", "seeds", or "seeds and images".
        - `p_value`: one-sided, that the number is not above 0, adjusted for the tests of the board; missing where
          there is no test.
        - `undefined`: why there is no value, in words; else empty.

    Raises:
        InputError: there is no `scores.json` in the folder.
        RecordError: the file is damaged.
    """
    return score_frame(_read_scores(Path(folder) / SCORES_FILE))


def score_frame(scores: Scores) -> "pd.DataFrame":
    """Return scores as the data frame that `load_scores` documents."""
    import pandas as pd

    rows = [line for board in scores.boards for row in board.rows for line in _lines(board, row)]
    whole_numbers = dict.fromkeys(("rank", "rank_high", "seeds", "images"), "Int64")
    return pd.DataFrame(rows, columns=list(SCORE_COLUMNS)).astype(whole_numbers)


def _read_scores(path: Path) -> Scores:
    try:
        return Scores.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InputError(
            f"there are no scores in {path.parent}: {path.name}: {error.strerror}; "
            f"`kdbench score {path.parent}` computes them"
        ) from error
    except ValidationError as error:
        raise RecordError(
            f"{path} is not a file of scores: {describe_invalid(error, Scores)}; "
            f"`kdbench score {path.parent}` writes it again"
        ) from error


def _lines(board: Board, row: Row) -> Iterator[dict[str, Any]]:
    """Yield the lines of a row: its own numbers, then those of each arm."""
    for part, teacher in ((row, None), *((arm, arm.teacher) for arm in row.arms)):
        family, bias = teacher or (None, None)
        for number, axis, score in _numbers(part):
            p_value = row.p_by_axis.get(axis) if number == "transfer_by_axis" else None
            if number == "transfer":
                p_value = row.p_value
            names = {"teacher_bias": bias, "teacher_family": family, "number": number, "axis": axis, "p_value": p_value}
            yield {**_row_columns(board, row), **names, **_score_columns(score)}


def _row_columns(board: Board, row: Row) -> dict[str, Any]:
    return {
        "track": board.track,
        "question": board.question,
        "direction": board.direction,
        "device_class": board.device_class,
        "kind": row.kind,
        "method": row.method,
        "config": json.dumps(row.config, sort_keys=True),
        "family": row.family,
        "compiled": row.compiled,
        "official": not row.unofficial,
        "code_digest": row.code,
        "rank": row.rank,
        "rank_high": row.rank_high,
        "unranked": row.unranked,
        "finding": ", ".join(finding_words(row, board)),
    }


def _numbers(part: object, path: tuple[str, ...] = (), axis: Any = None) -> Iterator[tuple[str, Any, Any]]:
    """Yield every score of a row or arm: its place without the axis, the axis, and the score."""
    if isinstance(part, Estimate | Undefined):
        yield ".".join(path), axis, part
    elif isinstance(part, BaseModel):
        for name in type(part).model_fields:
            yield from _numbers(getattr(part, name), (*path, name), axis)
    elif isinstance(part, dict):
        by_axis = path[-1] == "axes" or path[-1].endswith("_by_axis")
        for key, value in part.items():
            yield from _numbers(value, path if by_axis else (*path, f"{key}"), key if by_axis else axis)


def _score_columns(score: Estimate | Undefined) -> dict[str, Any]:
    if isinstance(score, Undefined):
        return {"undefined": score.reason}
    return {**score.model_dump(exclude={"kind"}), "undefined": ""}
