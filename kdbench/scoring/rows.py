"""The rows of a board: runs of the same method, config and code, with one arm per kind of teacher."""

import json
from collections.abc import Iterable, Sequence
from itertools import groupby, pairwise
from statistics import median

from kdbench.errors import RecordError
from kdbench.records import OCCLUSION_ON_OBJECT, Record
from kdbench.scoring.arms import Arm, Cost
from kdbench.scoring.comparisons import (
    RunsByTeacher,
    contrast_of,
    independent_profiles,
    mean_clean,
    movement_of,
)
from kdbench.scoring.context import BoardContext, ScoredRun, kind_of, measured_by_seed
from kdbench.scoring.diagnostics import Party
from kdbench.scoring.dose_response import dose_response
from kdbench.scoring.estimates import Estimate, Undefined
from kdbench.scoring.gates import failure_words, why_damaged, why_unranked
from kdbench.scoring.profiles import profile_of
from kdbench.scoring.questions import teacher_of
from kdbench.scoring.scores import Row, RowKind
from kdbench.scoring.standing import RowEvidence, cross_check, with_standing
from kdbench.scoring.transfer import transfer, transfer_by_axis, transfer_by_pair, transfer_by_seed
from kdbench.spec import BIAS_AXES, UNTRAINED, TeacherKind


def board_rows(runs: Sequence[ScoredRun], context: BoardContext) -> tuple[Row, ...]:
    """Return the rows of teachers, independents, methods and controls, in this order.

    Ranked methods come first. The others follow in the order of their transfer, larger ones first. Rows without
    transfer and unofficial rows come last.

    Args:
        runs: of the board's direction, in any order.
        context: of the board.

    Raises:
        RecordError: two runs are the same seed of the same arm.
    """
    teachers, methods, controls = (
        _rows_of_kind(kind, [run for run in runs if kind_of(run.record) == kind], context)
        for kind in ("teacher", "method", "control")
    )
    return (
        *(evidence.row for evidence in teachers),
        *(evidence.row for evidence in _rows_of_kind("independent", context.independents, context)),
        *sorted(with_standing(methods, context.scoring), key=_order),
        *sorted((evidence.row for evidence in controls), key=_order),
    )


def _order(row: Row) -> tuple[bool, bool, int, bool, float, str, str, str]:
    value = row.transfer.value if isinstance(row.transfer, Estimate) else None
    config = json.dumps(row.config)
    rank = row.rank or 0
    return bool(row.unofficial), row.rank is None, rank, value is None, -(value or 0.0), row.method, config, row.code


def _rows_of_kind(kind: RowKind, runs: Iterable[ScoredRun], context: BoardContext) -> list[RowEvidence]:
    ordered = sorted(runs, key=_identity)
    return [_row(kind, list(group), context) for _, group in groupby(ordered, key=_identity)]


def _identity(run: ScoredRun) -> tuple[str, str, str, str, bool, bool]:
    """Return the properties that all runs of a row share."""
    record = run.record
    config = json.dumps(record.config, sort_keys=True)
    return record.method, record.family, config, record.digests.code, not record.official, record.compiled


def _row(kind: RowKind, runs: Sequence[ScoredRun], context: BoardContext) -> RowEvidence:
    first = runs[0].record
    arms = _by_arm(runs, context.swapped)
    row = Row(
        kind=kind,
        method=first.method,
        config={key: _plain(value) for key, value in sorted(first.config.items())},
        family=first.family,
        arms=tuple(_arm(kind, teacher, arm, context) for teacher, arm in arms.items()),
        unofficial=tuple(dict.fromkeys(reason for run in runs for reason in run.record.unofficial)),
        compiled=first.compiled,
        code=first.digests.code,
        clean=mean_clean(arms, context.scoring) if first.role == "student" else None,
    )
    if kind in ("teacher", "independent") or first.role == "teacher":
        return RowEvidence(row, None)
    evidence = _with_transfer(row, arms, context)
    row = evidence.row.model_copy(update={"cross_check": cross_check(evidence, context.scoring)})
    if kind == "method":
        seeds = evidence.paired.seeds if evidence.paired else None
        row = row.model_copy(update={"unranked": why_unranked(row, arms, context, seeds)})
    else:
        row = row.model_copy(update={"caveat": why_damaged(arms, context)})
    return RowEvidence(row, evidence.paired)


def _plain(value: object) -> bool | int | float | str | None:
    return value if value is None or isinstance(value, bool | int | float | str) else json.dumps(value, sort_keys=True)


def _by_arm(runs: Sequence[ScoredRun], swapped: Sequence[TeacherKind]) -> RunsByTeacher:
    """Return the runs by kind of teacher, those of the board in its order first, each kind sorted by seed."""
    order = dict.fromkeys((*swapped, *(teacher_of(run.record) for run in runs)))
    arms = {teacher: [run for run in runs if teacher_of(run.record) == teacher] for teacher in order}
    by_seed = {teacher: sorted(arm, key=lambda run: run.record.seed) for teacher, arm in arms.items() if arm}
    for arm in by_seed.values():
        for before, after in pairwise(arm):
            if before.record.seed == after.record.seed:
                raise RecordError(
                    f"{before.folder} and {after.folder} both hold seed {after.record.seed} of {after.record.method}; "
                    "move the outdated one out of the results folder"
                )
    return by_seed


def _with_transfer(row: Row, arms: RunsByTeacher, context: BoardContext) -> RowEvidence:
    """Return a row of students with its transfer and what belongs to it."""
    if row.kind == "control" and set(arms) == {None}:
        return RowEvidence(row, None)
    paired = contrast_of(arms, context)
    if isinstance(paired, Undefined):
        return RowEvidence(row.model_copy(update={"transfer": paired}), None)
    pairs = context.track.networks.pairs
    scores: dict[str, object] = {
        "transfer": transfer(paired.contrast, context.scoring),
        "transfer_by_axis": transfer_by_axis(paired.contrast, BIAS_AXES, context.scoring),
        "transfer_by_seed": transfer_by_seed(paired.contrast, paired.seeds, context.scoring),
        "transfer_by_pair": transfer_by_pair(paired.contrast, paired.seeds, pairs, context.scoring),
    }
    if context.question == "planted" and isinstance(scores["transfer"], Estimate):
        independents = independent_profiles(context)
        scores["dose_response"] = dose_response(paired.contrast, paired.seeds, independents, context.scoring)
    return RowEvidence(row.model_copy(update=scores), paired)


def _arm(kind: RowKind, teacher: TeacherKind | None, runs: Sequence[ScoredRun], context: BoardContext) -> Arm:
    measured = measured_by_seed(runs)
    taught = kind in ("method", "control") and runs[0].record.role == "student"
    return Arm(
        teacher_bias=teacher.bias if teacher else None,
        teacher_family=teacher.family if teacher else None,
        seeds=tuple(measured),
        failed=tuple(failure_words(run.record) for run in runs if run.measured is None),
        profile=profile_of(measured, context.num_classes, context.scoring) if measured else None,
        cost=_cost([run.record for run in runs if run.measured is not None], context),
        run_ids=tuple(run.record.run_id for run in runs),
        diagnostics=context.diagnosis.of(_parties(runs, context, taught)) if measured else None,
        movement=movement_of(runs, context) if taught else None,
        random_teacher=kind == "control" and teacher is not None and _is_untrained(runs[0].record, context),
    )


def _is_untrained(record: Record, context: BoardContext) -> bool:
    """Return whether a control's teacher was never trained, or it is such a teacher."""
    return record.method == UNTRAINED or record.teacher_run_id not in context.teachers


def _parties(runs: Sequence[ScoredRun], context: BoardContext, taught: bool) -> list[Party]:
    """Return the successful runs, each with the networks with which it is compared."""
    if not taught:
        return [Party(run.measured, on_object=_on_object(run)) for run in runs if run.measured is not None]
    references = [run for run in context.references if run.measured is not None]
    independents, teachers = measured_by_seed(references), context.teachers_of(runs)
    independent_likeness = {run.record.seed: context.likeness(run.record, runs[0].record) for run in references}
    return [
        Party(
            run.measured,
            independents.get(run.record.seed),
            teachers.get(run.record.seed),
            context.likeness(run.record, runs[0].record),
            independent_likeness.get(run.record.seed, {}),
            on_object=_on_object(run),
            own_teacher=not run.record.control,
        )
        for run in runs
        if run.measured is not None
    ]


def _on_object(run: ScoredRun) -> float | None:
    return run.record.scalars.get(OCCLUSION_ON_OBJECT)


def _cost(records: Sequence[Record], context: BoardContext) -> Cost | None:
    if not records:
        return None
    training = median(record.timing.training for record in records)
    references = [run.record for run in context.references if run.measured is not None]
    compared = references if records[0].role == "student" else []
    base = median(record.timing.training for record in compared) if compared else 0.0
    return Cost(
        training_seconds=training,
        epoch_seconds=median([seconds for record in records for seconds in record.timing.epochs] or [0.0]),
        evaluation_seconds=median(record.timing.evaluation for record in records),
        peak_memory_bytes=round(median(record.peak_memory_bytes for record in records)),
        student_images=round(median(record.budget.student_forward_images for record in records)),
        teacher_images=round(median(record.budget.teacher_forward_images for record in records)),
        relative_time=training / base if base > 0 else None,
        beside=max(record.timing.beside for record in (*records, *compared)),
    )
