"""Says what is still to be done of a run, by the record that its folder holds, and removes what a done one left."""

from collections.abc import Collection, Iterator
from dataclasses import replace

from kdbench.plan.context import RunContext
from kdbench.plan.matrix import PlannedRun
from kdbench.records import OCCLUSION_UNDEFINED, RESULT, WEIGHTS, Record, comparison_name, read_record, teacher_label
from kdbench.records.restored import weights_beside
from kdbench.spec import TeacherKind
from kdbench.testsets.diagnostics import evaluated_sets
from kdbench.training.outcome import OUTCOME
from kdbench.training.snapshots import snapshot_path


def existing_record(context: RunContext, run: PlannedRun) -> Record | None:
    """Return the record of a run, None if it has none.

    Raises:
        RecordError: the record is damaged.
    """
    folder = context.folder(run)
    return read_record(folder) if (folder / RESULT).exists() else None


def is_complete(context: RunContext, run: PlannedRun, record: Record, *, coming: Collection[str] = frozenset()) -> bool:
    """Return whether a record answers all that the invocation asks.

    It may lack the diagnostic sets, or comparisons with teachers that were trained after it was written. So what a
    record says does not depend on the order of the commands that made it and its teachers.

    Args:
        context: of the invocation.
        run: of the record.
        record: of the run.
        coming: run ids of teachers that the invocation will train before it evaluates the run.
    """
    if record.status != "ok":
        return True
    if context.diagnostics and not _diagnostic_sets(run) <= record.test.keys():
        return False
    if not context.diagnostics and not _keeps_weights(context, run, record):
        return True  # comparisons alone are no reason to train the run again
    return all(_is_compared(context, record, kind) for kind in _comparable(context, run, coming))


def _diagnostic_sets(run: PlannedRun) -> set[str]:
    return {test_set.name for test_set in evaluated_sets(run.track, diagnostics=True)}


def _comparable(context: RunContext, run: PlannedRun, coming: Collection[str]) -> Iterator[TeacherKind]:
    """Yield the teachers that a run can be compared with: those with weights, and those that will be trained."""
    for teacher in run.references:
        record = existing_record(context, teacher)
        has_weights = (context.folder(teacher) / WEIGHTS).exists()
        if teacher.run_id in coming or (record and record.status == "ok" and has_weights):
            yield teacher.kind


def _is_compared(context: RunContext, record: Record, kind: TeacherKind) -> bool:
    has_maps = comparison_name(OCCLUSION_UNDEFINED, kind) in record.scalars
    return teacher_label(kind) in record.compared_with and (has_maps or not context.diagnostics)


def keeping_diagnostics(context: RunContext, run: PlannedRun) -> RunContext:
    """Return the context in which a run is evaluated: with the diagnostic sets if its record has their answers."""
    record = existing_record(context, run)
    has_diagnostics = record is not None and _diagnostic_sets(run) <= record.test.keys()
    return replace(context, diagnostics=context.diagnostics or has_diagnostics)


def needs_evaluation_only(context: RunContext, run: PlannedRun) -> bool:
    """Return whether a run has a record that lacks nothing but answers, and the weights that give them."""
    record = existing_record(context, run)
    if record is None or record.status != "ok" or record.snapshots:  # weights along the training are not kept
        return False
    return _keeps_weights(context, run, record)


def _keeps_weights(context: RunContext, run: PlannedRun, record: Record) -> bool:
    """Return whether the weights that lie beside a record are those that its answers are from."""
    folder = context.folder(run)
    return (folder / WEIGHTS).exists() and weights_beside(folder, record) == record.digests.weights


def forget_training(context: RunContext, run: PlannedRun, record: Record) -> None:
    """Remove what a training left for the evaluation, once the record of its run is written.

    A command that is killed between the two leaves it to the next one.
    """
    folder = context.folder(run)
    if record.digests.weights is None or record.status == "ok":  # else --retry-failed needs no second training
        (folder / OUTCOME).unlink(missing_ok=True)
    for number in range(1, len(record.snapshots) + 1):
        snapshot_path(folder, number).unlink(missing_ok=True)
    context.environment_file(run).unlink(missing_ok=True)
