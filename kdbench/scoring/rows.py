"""The rows of a board: runs of the same method, config and code, an arm a teacher bias."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path
from statistics import median
from typing import Final, Literal

import numpy as np

from kdbench.errors import RecordError
from kdbench.records import Record
from kdbench.scoring.measured import MeasuredRun
from kdbench.scoring.metrics import Floats
from kdbench.scoring.profiles import near_chance, profile_of
from kdbench.scoring.scores import Arm, Cost, Estimate, Row, Score, Undefined
from kdbench.scoring.transfer import Contrast, transfer, transfer_by_axis
from kdbench.spec import BIAS_AXES, Direction, Scoring, TeacherBias, Track, families

INDEPENDENT: Final = "independent"
NO_RANKS = "meets the conditions for a rank; ranks are not computed yet"
Kind = Literal["teacher", "independent", "method"]


@dataclass(frozen=True)
class Run:
    """A record with what was measured; `measured` is None for a failed run."""

    folder: Path
    record: Record
    measured: MeasuredRun | None


@dataclass(frozen=True)
class Setting:
    """What the rows of one board share.

    Attributes:
        teachers: all teacher runs of the board's group, by run id.
        alone: independents of the board, which a method's clean accuracy and cost are compared with.
    """

    track: Track
    scoring: Scoring
    teachers: Mapping[str, Run]
    alone: tuple[Run, ...]

    @property
    def num_classes(self) -> int:
        return self.track.data.num_classes


def board_rows(runs: Sequence[Run], direction: Direction, track: Track, scoring: Scoring) -> tuple[Row, ...]:
    """Teachers, independents, then methods by transfer: official before unofficial, undefined last.

    Args:
        runs: all runs of a track, pair of digests and device class, in any order.
        direction: of the board. Its own independents serve it, else those of the same student family.
        track: settings of the track.
        scoring: confidence and thresholds.

    Raises:
        RecordError: two runs are the same seed of the same arm.
    """
    teacher_family, student_family = families(direction)
    teachers = [run for run in runs if run.record.role == "teacher"]
    students = [run for run in runs if run.record.role == "student"]
    alone = [run for run in students if run.record.method == INDEPENDENT and run.record.family == student_family]
    alone = [run for run in alone if run.record.direction == direction] or alone
    methods = [run for run in students if run.record.method != INDEPENDENT and run.record.direction == direction]
    setting = Setting(track, scoring, {run.record.run_id: run for run in teachers}, tuple(alone))
    pinned = [run for run in teachers if run.record.family == teacher_family]
    return (
        *_rows("teacher", pinned, setting),
        *_rows(INDEPENDENT, alone, setting),
        *sorted(_rows("method", methods, setting), key=_order),
    )


def _order(row: Row) -> tuple[bool, bool, float, str, str, str]:
    value = row.transfer.value if isinstance(row.transfer, Estimate) else None
    return bool(row.unofficial), value is None, -(value or 0.0), row.method, json.dumps(row.config), row.code


def _rows(kind: Kind, runs: Iterable[Run], setting: Setting) -> list[Row]:
    ordered = sorted(runs, key=_identity)
    return [_row(kind, list(group), setting) for _, group in groupby(ordered, key=_identity)]


def _identity(run: Run) -> tuple[str, str, str, str, bool]:
    """What the runs of one row have in common."""
    record = run.record
    config = json.dumps(record.config, sort_keys=True)
    return record.method, record.family, config, record.digests.code, not record.official


def _row(kind: Kind, runs: Sequence[Run], setting: Setting) -> Row:
    first = runs[0].record
    arms = _by_arm(runs, setting.track.teacher_biases)
    row = Row(
        kind=kind,
        method=first.method,
        config={key: _plain(value) for key, value in sorted(first.config.items())},
        family=first.family,
        arms=tuple(_arm(kind, bias, arm, setting) for bias, arm in arms.items()),
        unofficial=tuple(dict.fromkeys(reason for run in runs for reason in run.record.unofficial)),
        code=first.digests.code,
    )
    if kind != "method":
        return row
    scored = _transfers(arms, setting) if setting.track.primary == "transfer" else {}
    return row.model_copy(update={**scored, "unranked": _unranked(row, arms, scored.get("transfer"), setting)})


def _plain(value: object) -> bool | int | float | str | None:
    return value if value is None or isinstance(value, bool | int | float | str) else json.dumps(value, sort_keys=True)


Arms = Mapping[TeacherBias | None, Sequence[Run]]


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


def _good(runs: Iterable[Run]) -> dict[int, MeasuredRun]:
    return {run.record.seed: run.measured for run in runs if run.measured is not None}


def _arm(kind: Kind, bias: TeacherBias | None, runs: Sequence[Run], setting: Setting) -> Arm:
    good = _good(runs)
    return Arm(
        teacher_bias=bias,
        seeds=tuple(good),
        failed=tuple(_failure(run.record) for run in runs if run.measured is None),
        profile=profile_of(good, setting.num_classes, setting.scoring) if good else None,
        cost=_cost(kind, [run.record for run in runs if run.measured is not None], setting),
        run_ids=tuple(run.record.run_id for run in runs),
    )


def _failure(record: Record) -> str:
    words = {
        "diverged": "diverged",
        "timeout": "ran out of time",
        "oom": "ran out of memory",
        "over_budget": "exceeded the budget",
    }
    what = f"seed {record.seed} {words.get(record.status, 'failed')}"
    return f"{what}: {record.reason}" if record.reason else what


def _cost(kind: Kind, records: Sequence[Record], setting: Setting) -> Cost | None:
    if not records:
        return None
    training = median(record.timing.training for record in records)
    alone = [run.record.timing.training for run in setting.alone if run.measured is not None]
    base = median(alone) if alone and kind != "teacher" else 0.0
    return Cost(
        training_seconds=training,
        epoch_seconds=median([seconds for record in records for seconds in record.timing.epochs] or [0.0]),
        evaluation_seconds=median(record.timing.evaluation for record in records),
        peak_memory_bytes=round(median(record.peak_memory_bytes for record in records)),
        relative_time=training / base if base > 0 else None,
    )


def _transfers(arms: Arms, setting: Setting) -> dict[str, object]:
    """tau and tau by axis of a method's row, or why there is none."""
    contrast = _contrast(arms, setting)
    if isinstance(contrast, Undefined):
        return {"transfer": contrast}
    by_axis = transfer_by_axis(contrast, BIAS_AXES, setting.scoring)
    total: Score = transfer(contrast, setting.scoring)
    return {"transfer": total, "transfer_by_axis": by_axis}


def _contrast(arms: Arms, setting: Setting) -> Contrast | Undefined:
    """Students of both teachers and the teachers themselves, on the seeds on which all four went well."""
    biases = setting.track.teacher_biases
    missing = [bias for bias in biases if not _good(arms.get(bias, ()))]
    if missing:
        return Undefined(reason=f"no student of the {' or '.join(missing)} teacher was scored")
    students = {bias: _good(arms[bias]) for bias in biases}
    teachers = {bias: _teachers_of(arms[bias], setting) for bias in biases}
    seeds = sorted(set.intersection(*(set(one) for one in (*students.values(), *teachers.values()))))
    if not seeds:
        return Undefined(reason=f"no seed has scored students and teachers of the biases {' and '.join(biases)}")
    return _difference(students, teachers, seeds, setting)


def _difference(
    students: Mapping[TeacherBias, Mapping[int, MeasuredRun]],
    teachers: Mapping[TeacherBias, Mapping[int, MeasuredRun]],
    seeds: Sequence[int],
    setting: Setting,
) -> Contrast | Undefined:
    sides: list[Floats] = []
    for who, networks in (("student of the {} teacher", students), ("{} teacher", teachers)):
        profiles = []
        for bias in setting.track.teacher_biases[:2]:
            runs = {seed: networks[bias][seed] for seed in seeds}
            undefined = near_chance(runs, setting.num_classes, setting.scoring) or _incomplete(runs)
            if undefined:
                return Undefined(reason=f"{who.format(bias)}: {undefined.reason}")
            profiles.append(np.stack([[run.axes[axis].bias for axis in BIAS_AXES] for run in runs.values()]))
        sides.append(profiles[0] - profiles[1])
    return Contrast(
        students=sides[0], teachers=sides[1], images=students[setting.track.teacher_biases[0]][seeds[0]].images
    )


def _incomplete(runs: Mapping[int, MeasuredRun]) -> Undefined | None:
    missing = sorted({name for run in runs.values() for axis in BIAS_AXES for name in run.missing.get(axis, ())})
    return Undefined(reason=f"no answers on {', '.join(missing)}") if missing else None


def _teachers_of(students: Iterable[Run], setting: Setting) -> dict[int, MeasuredRun]:
    """The teachers that these students had, by the students' seed."""
    pairs = ((run.record.seed, setting.teachers.get(run.record.teacher_run_id or "")) for run in students)
    return {seed: teacher.measured for seed, teacher in pairs if teacher is not None and teacher.measured is not None}


def _unranked(row: Row, arms: Arms, tau: object, setting: Setting) -> str:
    """Why a method has no rank, in words."""
    complete = set.intersection(*(set(_good(runs)) for runs in arms.values()))
    needed = setting.scoring.ranked_seeds
    incompetent = _incompetence(row, setting)
    reasons = [
        _failures(arms),
        f"unofficial: {', '.join(row.unofficial)}" if row.unofficial else "",
        incompetent,
        f"transfer is undefined: {tau.reason}" if isinstance(tau, Undefined) and not incompetent else "",
        f"needs {needed} seeds to be ranked, has {len(complete)}" if len(complete) < needed else "",
    ]
    return "; ".join(reason for reason in reasons if reason) or NO_RANKS


def _failures(arms: Arms) -> str:
    runs = [run for arm in arms.values() for run in arm]
    failed = [run.record for run in runs if run.measured is None]
    if not failed:
        return ""
    words = dict.fromkeys(_failure(record) for record in failed)
    count, attempted = len({record.seed for record in failed}), len({run.record.seed for run in runs})
    return f"{count} of {attempted} seeds failed: {'; '.join(words)}"


def _incompetence(row: Row, setting: Setting) -> str:
    """Which arm misses the gate: clean accuracy well above chance, and not far below independent's."""
    chance, scoring = 1 / setting.num_classes, setting.scoring
    alone = _good(setting.alone)
    if not alone:
        return "there is no independent student to compare with"
    base = float(np.mean([run.clean[0] for run in alone.values()]))
    for arm in row.arms:
        clean = arm.profile.clean if arm.profile else None
        if not isinstance(clean, Estimate):
            continue
        above_chance = clean.low - chance >= scoring.competence_margin
        if not (above_chance and clean.value - chance >= scoring.competence_ratio * (base - chance)):
            who = f" of the {arm.teacher_bias} teacher" if arm.teacher_bias else ""
            return f"not competent: the student{who} has clean accuracy {clean.value:.3f}, independent {base:.3f}"
    return ""
