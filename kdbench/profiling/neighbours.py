"""The networks of the boards in a results folder that were evaluated on the same test sets as a profiled network."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from kdbench.errors import RecordError
from kdbench.profiling.network_profile import BoardNetwork
from kdbench.records import find_records, read_record, require_records
from kdbench.records.current import read_current
from kdbench.scoring.arms import Profile
from kdbench.scoring.board import score
from kdbench.scoring.estimates import Estimate
from kdbench.scoring.scores import Board
from kdbench.spec import BIAS_AXES, Spec


def board_networks(results: Path, spec: Spec, arrays: Mapping[str, str], profile: Profile) -> tuple[BoardNetwork, ...]:
    """Return the teachers, independents, methods and controls with profiles on these test sets, the nearest first.

    Args:
        results: folder of records.
        spec: how they are scored.
        arrays: SHA-256 of each test set that the network was evaluated on.
        profile: of the network.

    Raises:
        InputError: there are no records.
    """
    require_records(results)
    scores = score(results, spec, current=read_current(results))
    digests = _with_these_arrays(results, arrays)
    networks = _arms([board for board in scores.boards if board.testsets_digest in digests])
    measured = [network.model_copy(update={"distance": distance(network.profile, profile)}) for network in networks]
    return tuple(sorted(measured, key=lambda network: (network.distance is None, network.distance or 0.0)))


def distance(first: Profile, second: Profile) -> float | None:
    """Return the mean absolute difference of c over the axes that have it in both; None without such an axis."""
    pairs = [(first.axes[axis].bias, second.axes[axis].bias) for axis in BIAS_AXES]
    gaps = [abs(a.value - b.value) for a, b in pairs if isinstance(a, Estimate) and isinstance(b, Estimate)]
    return round(float(np.mean(gaps)), 6) if gaps else None


def _with_these_arrays(results: Path, arrays: Mapping[str, str]) -> set[str]:
    """Return the digests under which records have answers on just these images, whatever their training set is."""
    digests = set()
    for folder in find_records(results):
        with suppress(RecordError):  # scoring names the records that cannot be read
            record = read_record(folder)
            if arrays.items() <= record.digests.arrays.items():
                digests.add(record.digests.testsets)
    return digests


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
