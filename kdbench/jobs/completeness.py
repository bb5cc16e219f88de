"""Says what is still to be done of a run, by the record that its folder holds, and removes what a done one left."""

from kdbench.plan.context import RunContext
from kdbench.plan.matrix import PlannedRun
from kdbench.records import OCCLUSION_UNDEFINED, RESULT, WEIGHTS, Record, comparison_name, read_record
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


def is_complete(context: RunContext, run: PlannedRun, record: Record) -> bool:
    """Return whether a record answers all that the invocation asks; one from before --diagnostics may not."""
    if record.status != "ok" or not context.diagnostics:
        return True
    test_sets = evaluated_sets(run.track, diagnostics=True)
    return all(test_set.name in record.test for test_set in test_sets) and _comparisons(context, run) <= set(
        record.scalars
    )


def _comparisons(context: RunContext, run: PlannedRun) -> set[str]:
    """Return the name of one scalar of the record per teacher that a run is compared with, without failed teachers."""
    records = [(teacher.kind, existing_record(context, teacher)) for teacher in run.references]
    return {comparison_name(OCCLUSION_UNDEFINED, kind) for kind, record in records if record and record.status == "ok"}


def needs_evaluation_only(context: RunContext, run: PlannedRun) -> bool:
    """Return whether a run has a record that lacks nothing but answers, and the weights that give them."""
    record = existing_record(context, run)
    if record is None or record.status != "ok" or record.snapshots:  # weights along the training are not kept
        return False
    return (context.folder(run) / WEIGHTS).exists()


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
