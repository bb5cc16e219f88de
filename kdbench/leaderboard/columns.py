"""The columns of a board's table, and the numbers in them."""

from collections.abc import Iterable, Iterator
from typing import Literal, TypeVar, cast, get_args

from kdbench.leaderboard import wording
from kdbench.scoring.arms import Profile
from kdbench.scoring.estimates import Estimate, Score
from kdbench.scoring.scores import Board

BoardColumn = Literal[
    "transfer", "clean", "shape", "texture", "locality", "scramble", "noise", "conflict", "shape_bias"
]
_Member = TypeVar("_Member")


def common_value(values: Iterable[_Member]) -> _Member | None:
    """Return the value that all of `values` equal; None if they differ or if there are none."""
    distinct = set(values)
    return distinct.pop() if len(distinct) == 1 else None


def profile_scores(profile: Profile) -> Iterator[tuple[BoardColumn, Score]]:
    """Yield every score that a board shows of a profile, with its column."""
    yield "clean", profile.clean
    for axis in wording.SHOWN_AXES:
        if axis in profile.axes:
            axis_score = profile.axes[axis]
            for score in (axis_score.bias, axis_score.accuracy, axis_score.ratio):
                yield cast(BoardColumn, axis), score
    if profile.conflict is not None:
        yield "conflict", profile.conflict.shape
        yield "conflict", profile.conflict.texture
        yield "shape_bias", profile.conflict.shape_bias


def board_estimates(board: Board) -> Iterator[tuple[BoardColumn, Estimate]]:
    """Yield every estimate that a board's table shows, with its column."""
    for row in board.rows:
        if isinstance(row.transfer, Estimate):
            yield "transfer", row.transfer
        for axis, score in row.transfer_by_axis.items():
            if isinstance(score, Estimate) and axis in wording.SHOWN_AXES:
                yield cast(BoardColumn, axis), score
        for profile in (arm.profile for arm in row.arms if arm.profile is not None):
            yield from ((column, score) for column, score in profile_scores(profile) if isinstance(score, Estimate))


def images_by_column(board: Board) -> dict[BoardColumn, int | None]:
    """Return by column the number of test images of all estimates; None if it differs between them."""
    images: dict[BoardColumn, set[int]] = {column: set() for column in get_args(BoardColumn)}
    for column, estimate in board_estimates(board):
        images[column].add(estimate.images)
    return {column: common_value(numbers) for column, numbers in images.items()}
