"""The networks of the boards in a results folder that were evaluated on the same test sets as a profiled network."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from kdbench.profiling.network_profile import BoardNetwork
from kdbench.records import require_records
from kdbench.records.current import read_current
from kdbench.scoring.arms import Profile
from kdbench.scoring.board import score
from kdbench.scoring.estimates import Estimate
from kdbench.scoring.scores import Board
from kdbench.spec import BIAS_AXES, Spec, Track


def board_networks(results: Path, spec: Spec, track: Track, profile: Profile) -> tuple[BoardNetwork, ...]:
    """Return the teachers, independents, methods and controls with profiles on these test sets, the nearest first.

    Args:
        results: folder of records.
        spec: how they are scored.
        track: as the network was evaluated on it.
        profile: of the network.

    Raises:
        InputError: there are no records.
    """
    require_records(results)
    scores = score(results, spec, current=read_current(results))
    boards = [board for board in scores.boards if board.track == track.name]
    networks = _arms([board for board in boards if board.testsets_digest == track.testsets_digest])
    measured = [network.model_copy(update={"distance": distance(network.profile, profile)}) for network in networks]
    return tuple(sorted(measured, key=lambda network: (network.distance is None, network.distance or 0.0)))


def distance(first: Profile, second: Profile) -> float | None:
    """Return the mean absolute difference of c over the axes that have it in both; None without such an axis."""
    pairs = [(first.axes[axis].bias, second.axes[axis].bias) for axis in BIAS_AXES]
    gaps = [abs(a.value - b.value) for a, b in pairs if isinstance(a, Estimate) and isinstance(b, Estimate)]
    return round(float(np.mean(gaps)), 6) if gaps else None


def _arms(boards: Sequence[Board]) -> Iterator[BoardNetwork]:
    """Yield every arm with a profile; an arm that stands on several boards, such as a teacher, counts once."""
    seen: set[tuple[str, ...]] = set()
    for board in boards:
        for row in board.rows:
            for arm in row.arms:
                if arm.profile is not None and arm.run_ids not in seen:
                    seen.add(arm.run_ids)
                    name = f"{row.arm_title(arm)} ({board.direction})" if row.kind == "method" else row.arm_title(arm)
                    yield BoardNetwork(name=name, kind=row.kind, seeds=len(arm.seeds), profile=arm.profile)
