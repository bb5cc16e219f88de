"""The size of the experiment behind a board, in words: epochs, updates, parameters, images, seeds, backbones."""

from collections.abc import Iterable, Iterator

from kdbench.leaderboard import wording
from kdbench.leaderboard.columns import board_estimates
from kdbench.scoring.scores import Board, BoardScale
from kdbench.spec import FAMILIES, FAMILY_NAMES, Track


def experiment_words(board: Board, track: Track | None) -> str:
    """Return the size of a board's experiment; empty if no run of it ended well.

    Args:
        board: of the scores.
        track: of the board; None if the spec has no such track.
    """
    if board.scale is None:
        return ""
    return "; ".join((_training(board.scale), *_networks(board.scale), _seeds(board.scale, track), *_images(board)))


def backbone_words(board: Board, track: Track) -> Iterator[str]:
    """Yield a sentence about the pretrained weights from which the seeds of a board start, if there are any."""
    pairs, used = track.networks.pairs, board.scale.backbones if board.scale else 0
    if pairs and used > 1:
        covered = "intervals over seeds cover the choice of backbones"
        yield f"Seed k starts from pair k modulo {pairs} of the pretrained backbones, so {covered} ({used} pairs here)."
        if board.scale and board.scale.seeds > used:
            yield "Several seeds share a pair, so the intervals are too narrow if backbones matter much."
    elif pairs:
        yield "All seeds of this board start from one pair of pretrained backbones; no interval covers their choice."
    elif any(track.networks[family].is_pretrained for family in FAMILIES):
        yield "All seeds start from the same pretrained backbones; no interval covers their choice."


def _training(scale: BoardScale) -> str:
    epochs, images = wording.plural(scale.epochs, "epoch"), wording.count(scale.images)
    return f"students train {epochs} of {images} images, {wording.plural(scale.updates, 'update')}"


def _networks(scale: BoardScale) -> Iterator[str]:
    yield from (
        f"{FAMILY_NAMES[family]} of {wording.count(scale.parameters[family])} parameters"
        for family in FAMILIES
        if family in scale.parameters
    )


def _seeds(scale: BoardScale, track: Track | None) -> str:
    seeds = wording.plural(scale.seeds, "seed")
    if track is None or not track.networks.pairs:
        return seeds
    return f"{seeds} on {wording.plural(scale.backbones, 'pair')} of pretrained backbones"


def _images(board: Board) -> Iterator[str]:
    images = [estimate.images for column, estimate in board_estimates(board) if column == "clean"]
    if images:
        yield f"{_extent(images)} clean test images"


def _extent(values: Iterable[int]) -> str:
    """Return a number, or the smallest and the largest of several."""
    low, *rest = sorted(set(values))
    return f"{wording.count(low)} to {wording.count(rest[-1])}" if rest else wording.count(low)
