"""Pairs the runs of a row by seed with the networks that they are compared with: students, teachers, independents."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kdbench.scoring.arms import Movement
from kdbench.scoring.context import BoardContext, ScoredRun, measured_by_seed
from kdbench.scoring.estimates import Score, Undefined
from kdbench.scoring.gap import (
    Triangle,
    cosine,
    drift,
    gap_closed,
    needs_seeds,
    transfer_index,
)
from kdbench.scoring.intervals import estimate
from kdbench.scoring.matching import at_accuracy
from kdbench.scoring.measured import MeasuredRun
from kdbench.scoring.metrics import FloatArray
from kdbench.scoring.profiles import near_chance
from kdbench.scoring.transfer import Contrast
from kdbench.spec import BIAS_AXES, FAMILY_NAMES, Axis, Scoring, TeacherKind

RunsByTeacher = Mapping[TeacherKind | None, Sequence[ScoredRun]]
RunsBySeed = Mapping[int, MeasuredRun]


@dataclass(frozen=True)
class PairedContrast:
    """A contrast and the seeds of its rows."""

    seeds: tuple[int, ...]
    contrast: Contrast


@dataclass(frozen=True)
class PairedTriangle:
    """A triangle and the seeds of its rows."""

    seeds: tuple[int, ...]
    triangle: Triangle


def contrast_of(arms: RunsByTeacher, context: BoardContext) -> PairedContrast | Undefined:
    """Compare the students of both teachers and the teachers themselves, on the seeds on which all four are scored."""
    kinds = context.swapped
    missing = [kind for kind in kinds if not measured_by_seed(arms.get(kind, ()))]
    if missing:
        return Undefined(reason=_why_no_student(missing, arms))
    students = {kind: measured_by_seed(arms[kind]) for kind in kinds}
    teachers = {kind: context.teachers_of(arms[kind]) for kind in kinds}
    seeds = _common_seeds(*students.values(), *teachers.values())
    if not seeds:
        both = " and a ".join(map(teacher_words, kinds))
        return Undefined(reason=f"no seed has a scored {both} and a scored student of each")
    sides: list[FloatArray] = []
    for who, networks in (("student of the {}", students), ("{}", teachers)):
        for kind in kinds:
            profiles = _profiles(networks[kind], seeds, BIAS_AXES, who.format(teacher_words(kind)), context)
            if isinstance(profiles, Undefined):
                return profiles
            sides.append(profiles)
    images = students[kinds[0]][seeds[0]].images
    return PairedContrast(seeds, Contrast(sides[0] - sides[1], sides[2] - sides[3], images))


def _why_no_student(teachers: Sequence[TeacherKind], arms: RunsByTeacher) -> str:
    """Return why there are no students of some teachers, in words."""
    needs = {name for runs in arms.values() for run in runs for name in run.record.needs}
    words = " or the ".join(map(teacher_words, teachers))
    if "attention" in needs and all(kind.family == "cnn" for kind in teachers):
        return f"it reads the attention of its teacher, so it cannot have a student of the {words}"
    return f"no student of the {words} was scored"


def teacher_words(kind: TeacherKind) -> str:
    """Return a kind of teacher in words: "shape teacher", "natural ViT teacher"."""
    return f"natural {FAMILY_NAMES[kind.family]} teacher" if kind.bias == "natural" else f"{kind.bias} teacher"


def mean_clean(arms: RunsByTeacher, scoring: Scoring) -> Score | None:
    """Return the clean accuracy averaged over arms, on the seeds that all of them have; None without such a seed."""
    students = [measured_by_seed(runs) for runs in arms.values()]
    seeds = _common_seeds(*students)
    if not seeds:
        return None
    samples = np.stack([np.mean([runs[seed].clean for runs in students], axis=0) for seed in seeds])
    return estimate(samples, students[0][seeds[0]].images, scoring, share=True)


def independent_profiles(context: BoardContext) -> FloatArray:
    """Return (K, axes) biases of the board's independent students that have answers on every axis."""
    runs = measured_by_seed(context.references).values()
    profiles = [[run.axes[axis].bias[0] for axis in BIAS_AXES] for run in runs if not _incomplete({0: run}, BIAS_AXES)]
    return np.array(profiles).reshape(-1, len(BIAS_AXES))


def triangle_of(
    runs: Sequence[ScoredRun], context: BoardContext, independents: RunsBySeed
) -> PairedTriangle | Undefined:
    """Compare students of one teacher, independent students and the teachers, on the seeds on which all are scored.

    Args:
        runs: the students.
        context: of the board.
        independents: independent students by seed.
    """
    students, teachers = measured_by_seed(runs), context.teachers_of(runs)
    seeds = _common_seeds(students, independents, teachers)
    if not seeds:
        return Undefined(reason="no seed has a scored student, a scored independent student and a scored teacher")
    sides: list[FloatArray] = []
    for who, networks in (("student", students), ("independent student", independents), ("teacher", teachers)):
        profiles = _profiles(networks, seeds, BIAS_AXES, who, context)
        if isinstance(profiles, Undefined):
            return profiles
        sides.append(profiles)
    return PairedTriangle(seeds, Triangle(sides[0], sides[1], sides[2], images=students[seeds[0]].images))


def movement_of(runs: Sequence[ScoredRun], context: BoardContext) -> Movement | None:
    """Return the movement of students from the independent one to the teacher; None if no seed has all three."""
    students, independents = measured_by_seed(runs), measured_by_seed(context.references)
    seeds = _common_seeds(students, independents, context.teachers_of(runs))
    if not seeds:
        return None
    gains = np.stack([students[seed].clean - independents[seed].clean for seed in seeds])
    paired = triangle_of(runs, context, independents)
    if isinstance(paired, Undefined):
        scores = _undefined_movement(paired)
    else:
        scores = _movement_scores(paired.triangle, context.scoring)
    return Movement(
        clean_gain=estimate(gains, students[seeds[0]].images, context.scoring),
        gap_closed_matched=_gap_closed_matched(runs, context),
        **scores,
    )


def _movement_scores(triangle: Triangle, scoring: Scoring) -> dict[str, Score | dict[Axis, Score]]:
    return {
        "gap_closed": gap_closed(triangle, scoring),
        "transfer_index": transfer_index(triangle, scoring),
        "index_by_axis": {axis: transfer_index(triangle.axis(n), scoring) for n, axis in enumerate(BIAS_AXES)},
        "drift": drift(triangle, scoring),
        "cosine": cosine(triangle, scoring),
    }


def _undefined_movement(why: Undefined) -> dict[str, Score | dict[Axis, Score]]:
    by_axis: dict[Axis, Score] = dict.fromkeys(BIAS_AXES, why)
    single: dict[str, Score] = dict.fromkeys(("gap_closed", "transfer_index", "drift", "cosine"), why)
    return {**single, "index_by_axis": by_axis}


def _gap_closed_matched(runs: Sequence[ScoredRun], context: BoardContext) -> Score | None:
    """Return G relative to independent students with the same clean accuracy; None without their snapshots."""
    if not context.matched:
        return None
    students = measured_by_seed(runs)
    matched: dict[int, MeasuredRun] = {}
    for seed in _common_seeds(students, context.matched, context.teachers_of(runs)):
        snapshots, clean = context.matched[seed].snapshots, float(students[seed].clean[0])
        network = at_accuracy(snapshots, clean, context.num_classes, context.scoring)
        if isinstance(network, Undefined):
            return Undefined(reason=f"seed {seed}: {network.reason}")
        matched[seed] = network
    if len(matched) < context.scoring.interval_seeds:
        return Undefined(reason=needs_seeds(len(matched), context.scoring))
    paired = triangle_of(runs, context, matched)
    return paired if isinstance(paired, Undefined) else gap_closed(paired.triangle, context.scoring)


def _common_seeds(*networks: Iterable[int]) -> tuple[int, ...]:
    return tuple(sorted(set.intersection(*(set(seeds) for seeds in networks))))


def _profiles(
    networks: RunsBySeed, seeds: Sequence[int], axes: Sequence[Axis], who: str, context: BoardContext
) -> FloatArray | Undefined:
    """Return (K, axes, 1 + S) biases, or why there are none."""
    runs = {seed: networks[seed] for seed in seeds}
    undefined = near_chance(runs, context.num_classes, context.scoring) or _incomplete(runs, axes)
    if undefined:
        return Undefined(reason=f"{who}: {undefined.reason}")
    return np.stack([[run.axes[axis].bias for axis in axes] for run in runs.values()])


def _incomplete(runs: RunsBySeed, axes: Sequence[Axis]) -> Undefined | None:
    missing = sorted({name for run in runs.values() for axis in axes for name in run.missing.get(axis, ())})
    return Undefined(reason=f"there are no answers on {', '.join(missing)}") if missing else None
