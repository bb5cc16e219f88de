"""Trains teachers again that have a record but no weights, as those of a copied board have, so that they can teach.

Their records stay as they are. On another machine the weights may differ from those of the record by rounding;
`restored.json` beside the record then says so.
"""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from rich.console import Console

from kdbench.errors import KdbenchError
from kdbench.jobs.completeness import existing_record
from kdbench.plan.context import RunContext
from kdbench.plan.matrix import PlannedRun
from kdbench.records import LOGITS, WEIGHTS, Record, read_record
from kdbench.records.restored import RestoredWeights, write_restored

TEACHERS: Final = ".teachers"
"""The folder in a results folder where teachers are trained again."""

Execute = Callable[[Sequence[PlannedRun], RunContext], object]


def teachers_without_weights(context: RunContext, missing: Sequence[PlannedRun]) -> list[PlannedRun]:
    """Return the teachers of runs that ended well according to their records, but of which no weights are left.

    Args:
        context: of the invocation.
        missing: runs that are to be done; a teacher that is one of them is left out.
    """
    coming = {run.run_id for run in missing}
    teachers = {run.teacher.run_id: run.teacher for run in missing if run.teacher}
    return [teacher for name, teacher in teachers.items() if name not in coming and _lacks_weights(context, teacher)]


def _lacks_weights(context: RunContext, teacher: PlannedRun) -> bool:
    record = existing_record(context, teacher)
    return record is not None and record.status == "ok" and not (context.folder(teacher) / WEIGHTS).exists()


def restore_teachers(context: RunContext, teachers: Sequence[PlannedRun], execute: Execute, console: Console) -> None:
    """Train teachers again in a folder of their own, and put their weights beside their records.

    Where the time of the invocation ends before, the next command goes on.

    Args:
        context: of the invocation.
        teachers: as `teachers_without_weights` returns them.
        execute: trains and evaluates runs in a context.
        console: is told what is done, and where weights differ from those of the record.

    Raises:
        KdbenchError: a second training failed.
    """
    place = replace(context, results=context.results / TEACHERS, diagnostics=False)
    console.print(
        f"Teachers without weights: {len(teachers)}. They are trained again; their records stay as they are.",
        highlight=False,
    )
    trained = {run.run_id for run in teachers if (record := existing_record(place, run)) and record.status == "ok"}
    execute([run for run in teachers if run.run_id not in trained], place)
    for teacher in teachers:
        if (record := existing_record(place, teacher)) is not None:
            _put_in_place(teacher, record, place.folder(teacher), context.folder(teacher), console)
    if not any(_lacks_weights(context, teacher) for teacher in teachers):
        shutil.rmtree(place.results, ignore_errors=True)


def _put_in_place(teacher: PlannedRun, made: Record, source: Path, folder: Path, console: Console) -> None:
    """Move the weights of a second training beside the record of the first."""
    if made.status != "ok":
        raise KdbenchError(
            f"{teacher.title} has a record without weights, and its second training ended as {made.status}: "
            f"{made.reason}"
        )
    record = read_record(folder)
    if made.digests.weights != record.digests.weights:
        difference = _largest_difference(record, made)
        write_restored(
            folder, RestoredWeights(of=record.digests.record, weights=made.digests.weights, accuracy=difference)
        )
        console.print(
            f"{teacher.title}: the second training gave other weights than the record has, as on another machine; "
            f"macro accuracies differ by at most {difference:.4f}.",
            highlight=False,
        )
    for name in (LOGITS, WEIGHTS):  # the weights last: with them, the teacher can teach
        if (source / name).exists():
            (source / name).replace(folder / name)
    shutil.rmtree(source, ignore_errors=True)


def _largest_difference(record: Record, made: Record) -> float:
    shared = record.test.keys() & made.test.keys()
    return max((abs(record.test[name].macro_accuracy - made.test[name].macro_accuracy) for name in shared), default=0.0)
