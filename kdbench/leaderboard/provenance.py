"""Where the numbers come from: machines, versions, commands, and every run with its outcome."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from kdbench.leaderboard.boards import BoardView
from kdbench.leaderboard.charts import runs_of
from kdbench.records import Environment, Record


@dataclass(frozen=True)
class Machine:
    """An environment and how many runs were made in it."""

    environment: Environment
    runs: int


@dataclass(frozen=True)
class Provenance:
    """All that is known of how a board's numbers were made."""

    machines: tuple[Machine, ...]
    runs: tuple[Record, ...]
    arrays: tuple[tuple[str, str], ...]


def provenance_of(view: BoardView, records: Sequence[Record]) -> Provenance:
    """Provenance of one board, from the records of its runs."""
    runs = tuple(dict.fromkeys(run.run_id for row in view.rows for run in runs_of(row, records)))
    by_id = {record.run_id: record for record in records}
    mine = tuple(by_id[run_id] for run_id in runs)
    counts = Counter(record.environment.model_dump_json() for record in mine)
    machines = tuple(Machine(Environment.model_validate_json(text), counts[text]) for text in sorted(counts))
    arrays = {(name, digest) for record in mine for name, digest in record.digests.arrays.items()}
    return Provenance(machines, mine, tuple(sorted(arrays)))


def failed_runs(records: Sequence[Record]) -> tuple[Record, ...]:
    """Runs that did not end well, in a fixed order."""
    return tuple(
        sorted(
            (one for one in records if one.status != "ok"),
            key=lambda one: (one.track, one.method, one.seed, one.run_id),
        )
    )
