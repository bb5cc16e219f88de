"""The rows of a board: runs of the same method, config and code, an arm a teacher bias."""

import json
from collections.abc import Iterable, Sequence
from itertools import groupby, pairwise
from statistics import median

from kdbench.errors import RecordError
from kdbench.records import OCCLUSION_ON_OBJECT, Record
from kdbench.scoring.comparisons import Arms, contrast_of, movement_of, triangle_of
from kdbench.scoring.diagnostics import Diagnosis, Party
from kdbench.scoring.gates import failure_words, why_unranked
from kdbench.scoring.profiles import profile_of
from kdbench.scoring.scores import Arm, Cost, Estimate, Row, Score, Undefined
from kdbench.scoring.setting import Kind, Run, Setting, good, kind_of
from kdbench.scoring.standing import Entry, cross_check, with_standing
from kdbench.scoring.transfer import transfer, transfer_by_axis
from kdbench.spec import BIAS_AXES, TeacherBias


def board_rows(runs: Sequence[Run], setting: Setting) -> tuple[Row, ...]:
    """Teachers, independents, methods, then controls.

    Ranked methods come first; then by the primary number, larger first, undefined and then unofficial rows last.

    Args:
        runs: that belong to the board's direction, in any order.
        setting: of the board.

    Raises:
        RecordError: two runs are the same seed of the same arm.
    """
    teachers, methods, controls = (
        _entries(kind, [run for run in runs if kind_of(run.record) == kind], setting)
        for kind in ("teacher", "method", "control")
    )
    return (
        *(entry.row for entry in teachers),
        *(entry.row for entry in _entries("independent", setting.alone, setting)),
        *sorted(with_standing(methods, setting.scoring), key=_order),
        *sorted((entry.row for entry in controls), key=_order),
    )


def _order(row: Row) -> tuple[bool, bool, int, bool, float, str, str, str]:
    value = row.primary.value if isinstance(row.primary, Estimate) else None
    config = json.dumps(row.config)
    rank = row.rank or 0
    return bool(row.unofficial), row.rank is None, rank, value is None, -(value or 0.0), row.method, config, row.code


def _entries(kind: Kind, runs: Iterable[Run], setting: Setting) -> list[Entry]:
    ordered = sorted(runs, key=_identity)
    return [_entry(kind, list(group), setting) for _, group in groupby(ordered, key=_identity)]


def _identity(run: Run) -> tuple[str, str, str, str, bool, bool]:
    """What the runs of one row have in common."""
    record = run.record
    config = json.dumps(record.config, sort_keys=True)
    return record.method, record.family, config, record.digests.code, not record.official, record.compiled


def _entry(kind: Kind, runs: Sequence[Run], setting: Setting) -> Entry:
    first = runs[0].record
    arms = _by_arm(runs, setting.track.teacher_biases)
    row = Row(
        kind=kind,
        method=first.method,
        config={key: _plain(value) for key, value in sorted(first.config.items())},
        family=first.family,
        arms=tuple(_arm(kind, bias, arm, setting) for bias, arm in arms.items()),
        unofficial=tuple(dict.fromkeys(reason for run in runs for reason in run.record.unofficial)),
        compiled=first.compiled,
        code=first.digests.code,
    )
    if kind in ("teacher", "independent") or first.role == "teacher":
        return Entry(row, None)
    entry = _with_primary(row, arms, setting)
    row = entry.row.model_copy(update={"cross_check": cross_check(entry, setting.scoring)})
    if kind == "method":
        seeds = entry.paired.seeds if entry.paired else None
        row = row.model_copy(update={"unranked": why_unranked(row, arms, setting, seeds)})
    return Entry(row, entry.paired)


def _plain(value: object) -> bool | int | float | str | None:
    return value if value is None or isinstance(value, bool | int | float | str) else json.dumps(value, sort_keys=True)


def _by_arm(runs: Sequence[Run], biases: Sequence[TeacherBias]) -> Arms:
    """The runs by teacher bias in the track's order, each by seed."""
    order: tuple[TeacherBias | None, ...] = tuple(dict.fromkeys((*biases, *(run.record.teacher_bias for run in runs))))
    arms = {bias: [run for run in runs if run.record.teacher_bias == bias] for bias in order}
    by_seed = {bias: sorted(arm, key=lambda run: run.record.seed) for bias, arm in arms.items() if arm}
    for arm in by_seed.values():
        for before, after in pairwise(arm):
            if before.record.seed == after.record.seed:
                raise RecordError(
                    f"{before.folder} and {after.folder} are both seed {after.record.seed} of {after.record.method}; "
                    "delete the outdated one"
                )
    return by_seed


def _with_primary(row: Row, arms: Arms, setting: Setting) -> Entry:
    """A row of students with its primary number: tau where teachers are planted, else G."""
    if setting.track.primary == "gap-closed":
        return _with_gap_closed(row, arms, setting)
    if row.kind == "control" and set(arms) == {None}:
        return Entry(row, None)
    found = contrast_of(arms, setting)
    if isinstance(found, Undefined):
        return Entry(row.model_copy(update={"transfer": found}), None)
    scores = {
        "transfer": transfer(found.contrast, setting.scoring),
        "transfer_by_axis": transfer_by_axis(found.contrast, BIAS_AXES, setting.scoring),
    }
    return Entry(row.model_copy(update=scores), found)


def _with_gap_closed(row: Row, arms: Arms, setting: Setting) -> Entry:
    movement = row.arms[0].movement
    found = triangle_of(next(iter(arms.values())), setting, good(setting.references))
    if isinstance(found, Undefined) or movement is None:
        why: Score = found if isinstance(found, Undefined) else Undefined(reason="nothing to compare with")
        return Entry(row.model_copy(update={"gap_closed": why}), None)
    return Entry(row.model_copy(update={"gap_closed": movement.gap_closed}), found)


def _arm(kind: Kind, bias: TeacherBias | None, runs: Sequence[Run], setting: Setting) -> Arm:
    fine = good(runs)
    taught = kind in ("method", "control") and runs[0].record.role == "student"
    return Arm(
        teacher_bias=bias,
        seeds=tuple(fine),
        failed=tuple(failure_words(run.record) for run in runs if run.measured is None),
        profile=profile_of(fine, setting.num_classes, setting.scoring) if fine else None,
        cost=_cost([run.record for run in runs if run.measured is not None], setting),
        run_ids=tuple(run.record.run_id for run in runs),
        diagnostics=Diagnosis(setting.track, setting.scoring).of(_parties(runs, setting, taught)) if fine else None,
        movement=movement_of(runs, setting) if taught else None,
    )


def _parties(runs: Sequence[Run], setting: Setting, taught: bool) -> list[Party]:
    """The runs that went well, each with the networks it is compared with."""
    if not taught:
        return [Party(run.measured, on_object=_on_object(run)) for run in runs if run.measured is not None]
    references = [run for run in setting.references if run.measured is not None]
    alone, teachers = good(references), setting.teachers_of(runs)
    likeness_alone = {run.record.seed: setting.likeness(run.record, runs[0].record) for run in references}
    return [
        Party(
            run.measured,
            alone.get(run.record.seed),
            teachers.get(run.record.seed),
            setting.likeness(run.record, runs[0].record),
            likeness_alone.get(run.record.seed, {}),
            on_object=_on_object(run),
            own_teacher=not run.record.control,
        )
        for run in runs
        if run.measured is not None
    ]


def _on_object(run: Run) -> float | None:
    return run.record.scalars.get(OCCLUSION_ON_OBJECT)


def _cost(records: Sequence[Record], setting: Setting) -> Cost | None:
    if not records:
        return None
    training = median(record.timing.training for record in records)
    alone = [run.record.timing.training for run in setting.references if run.measured is not None]
    base = median(alone) if alone and records[0].role == "student" else 0.0
    return Cost(
        training_seconds=training,
        epoch_seconds=median([seconds for record in records for seconds in record.timing.epochs] or [0.0]),
        evaluation_seconds=median(record.timing.evaluation for record in records),
        peak_memory_bytes=round(median(record.peak_memory_bytes for record in records)),
        student_images=round(median(record.budget.student_forward_images for record in records)),
        teacher_images=round(median(record.budget.teacher_forward_images for record in records)),
        relative_time=training / base if base > 0 else None,
    )
