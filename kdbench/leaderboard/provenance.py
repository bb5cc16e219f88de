"""The provenance of a board's numbers: machines, versions, commands, and every run with its outcome."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

from kdbench.jobs.sandbox import Measure
from kdbench.leaderboard.boards import BoardView
from kdbench.leaderboard.rows import records_of_row
from kdbench.records import Environment, Record

RecordKey = tuple[str, str]


@dataclass(frozen=True)
class Machine:
    """An environment, and the number of runs that were made in it."""

    environment: Environment
    runs: int

    @property
    def sandbox(self) -> str | None:
        """What confined the trainings and what of it this machine lacks, in words; None where nobody noted."""
        noted = self.environment.sandbox
        if noted is None:
            return None
        if noted == "none":
            return "none; the code of the methods could reach all that the user can"
        held = noted.split("+")
        missing = [measure for measure in get_args(Measure) if measure not in held]
        return "; this machine lacks ".join(", ".join(measures) for measures in (held, missing) if measures)


@dataclass(frozen=True)
class BoardProvenance:
    """How the numbers of a board were made.

    Attributes:
        arrays: name and SHA-256 of each test array.
    """

    machines: tuple[Machine, ...]
    runs: tuple[Record, ...]
    arrays: tuple[tuple[str, str], ...]


def record_key(record: Record) -> RecordKey:
    """Return what tells a record from all others on the page: its run, and the test sets that it was evaluated on."""
    return record.run_id, record.digests.testsets


def board_provenance(view: BoardView, records: Sequence[Record]) -> BoardProvenance:
    """Return the provenance of a board, from the records of its runs."""
    run_ids = dict.fromkeys(run.run_id for row in view.rows for run in records_of_row(row.row, records))
    by_run_id = {record.run_id: record for record in records}
    runs = tuple(by_run_id[run_id] for run_id in run_ids)
    counts = Counter(record.environment.model_dump_json() for record in runs)
    machines = tuple(Machine(Environment.model_validate_json(text), counts[text]) for text in sorted(counts))
    arrays = {(name, digest) for record in runs for name, digest in record.digests.arrays.items()}
    return BoardProvenance(machines, runs, tuple(sorted(arrays)))


def failed_runs(records: Sequence[Record]) -> tuple[Record, ...]:
    """Return the runs that did not end well, in a fixed order."""
    failed = [record for record in records if record.status != "ok"]
    return tuple(sorted(failed, key=lambda run: (run.track, run.method, run.seed, run.run_id)))
