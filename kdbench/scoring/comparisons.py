"""From the runs of a row to what is computed of them seed by seed: students beside students, teachers, independents."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from scipy.special import ndtr, ndtri

from kdbench.scoring.gap import (
    Triangle,
    cosine,
    drift,
    gap_by_axis,
    gap_closed,
    needs_seeds,
    transfer_index,
)
from kdbench.scoring.intervals import estimate
from kdbench.scoring.measured import MeasuredRun
from kdbench.scoring.metrics import Floats
from kdbench.scoring.profiles import near_chance
from kdbench.scoring.scores import Movement, Score, Undefined
from kdbench.scoring.setting import Run, Setting, good
from kdbench.scoring.transfer import Contrast
from kdbench.spec import BIAS_AXES, Axis, TeacherBias

Arms = Mapping[TeacherBias | None, Sequence[Run]]
Networks = Mapping[int, MeasuredRun]


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


def contrast_of(arms: Arms, setting: Setting) -> PairedContrast | Undefined:
    """Students of both teachers and the teachers themselves, on the seeds on which all four went well."""
    biases = setting.track.teacher_biases
    missing = [bias for bias in biases if not good(arms.get(bias, ()))]
    if missing:
        return Undefined(reason=f"no student of the {' or '.join(missing)} teacher was scored")
    students = {bias: good(arms[bias]) for bias in biases}
    teachers = {bias: setting.teachers_of(arms[bias]) for bias in biases}
    seeds = _common(*students.values(), *teachers.values())
    if not seeds:
        return Undefined(reason=f"no seed has scored students and teachers of the biases {' and '.join(biases)}")
    sides: list[Floats] = []
    for who, networks in (("student of the {} teacher", students), ("{} teacher", teachers)):
        for bias in biases[:2]:
            profiles = _profiles(networks[bias], seeds, BIAS_AXES, who.format(bias), setting)
            if isinstance(profiles, Undefined):
                return profiles
            sides.append(profiles)
    images = students[biases[0]][seeds[0]].images
    return PairedContrast(seeds, Contrast(sides[0] - sides[1], sides[2] - sides[3], images))


def triangle_of(runs: Sequence[Run], setting: Setting, alone: Networks) -> PairedTriangle | Undefined:
    """Students of one teacher, the independent ones and the teachers, on the seeds on which all three went well.

    Args:
        runs: the students.
        setting: of the board; its axes.
        alone: independent students by seed.
    """
    students, teachers = good(runs), setting.teachers_of(runs)
    seeds = _common(students, alone, teachers)
    if not seeds:
        return Undefined(reason="no seed has a scored student, independent student and teacher")
    sides: list[Floats] = []
    for who, networks in (("student", students), ("independent student", alone), ("teacher", teachers)):
        profiles = _profiles(networks, seeds, setting.axes, who, setting)
        if isinstance(profiles, Undefined):
            return profiles
        sides.append(profiles)
    return PairedTriangle(seeds, Triangle(sides[0], sides[1], sides[2], images=students[seeds[0]].images))


def movement_of(runs: Sequence[Run], setting: Setting) -> Movement | None:
    """Where students stand between independent and teacher; None where no seed has all three."""
    students, alone = good(runs), good(setting.references)
    seeds = _common(students, alone, setting.teachers_of(runs))
    if not seeds:
        return None
    gains = np.stack([students[seed].clean - alone[seed].clean for seed in seeds])
    paired = triangle_of(runs, setting, alone)
    scores = _undefined_movement(paired, setting) if isinstance(paired, Undefined) else _moved(paired.triangle, setting)
    return Movement(
        axes=setting.axes,
        clean_gain=estimate(gains, students[seeds[0]].images, setting.scoring),
        gap_closed_matched=_gap_closed_matched(runs, setting),
        **scores,
    )


def _moved(triangle: Triangle, setting: Setting) -> dict[str, Score | dict[Axis, Score]]:
    axes, scoring = setting.axes, setting.scoring
    return {
        "gap_closed": gap_closed(triangle, scoring),
        "gap_by_axis": gap_by_axis(triangle, axes, scoring),
        "transfer_index": transfer_index(triangle, scoring),
        "index_by_axis": {axis: transfer_index(triangle.axis(number), scoring) for number, axis in enumerate(axes)},
        "drift": drift(triangle, scoring),
        "cosine": cosine(triangle, scoring),
    }


def _undefined_movement(why: Undefined, setting: Setting) -> dict[str, Score | dict[Axis, Score]]:
    by_axis: dict[Axis, Score] = dict.fromkeys(setting.axes, why)
    single: dict[str, Score] = dict.fromkeys(("gap_closed", "transfer_index", "drift", "cosine"), why)
    return {**single, "gap_by_axis": by_axis, "index_by_axis": by_axis}


def _gap_closed_matched(runs: Sequence[Run], setting: Setting) -> Score | None:
    """G against independent students of the same clean accuracy; None where no run kept such."""
    if not setting.matched:
        return None
    students = good(runs)
    matched: dict[int, MeasuredRun] = {}
    for seed in _common(students, setting.matched, setting.teachers_of(runs)):
        found = at_accuracy(setting.matched[seed].snapshots, float(students[seed].clean[0]), setting)
        if isinstance(found, Undefined):
            return Undefined(reason=f"seed {seed}: {found.reason}")
        matched[seed] = found
    if len(matched) < setting.scoring.interval_seeds:
        return Undefined(reason=needs_seeds(len(matched), setting.scoring))
    paired = triangle_of(runs, setting, matched)
    return paired if isinstance(paired, Undefined) else gap_closed(paired.triangle, setting.scoring)


def at_accuracy(along: Sequence[MeasuredRun], clean: float, setting: Setting) -> MeasuredRun | Undefined:
    """A network as it was along its training when it had a clean accuracy, interpolated on the probit scale.

    Accuracies on shifted data lie on a line over clean accuracy if both are on that scale: Miller et al. (2021),
    arXiv:2107.04649.

    Args:
        along: snapshots of one training, in order.
        clean: the accuracy sought. The last two snapshots that enclose it are taken.
        setting: competence, below which a snapshot's bias means nothing.
    """
    floor = 1 / setting.num_classes + setting.scoring.competence_margin
    competent = [one for one in along if float(one.clean[0]) >= floor]
    for before, after in reversed(list(pairwise(competent))):
        first, last = float(before.clean[0]), float(after.clean[0])
        if min(first, last) <= clean <= max(first, last) and first != last:
            return _between(before, after, _probit_share(first, clean, last), 1 / setting.num_classes)
    accuracies = [float(one.clean[0]) for one in competent]
    reach = f"{min(accuracies):.3f} to {max(accuracies):.3f}" if accuracies else "none"
    return Undefined(reason=f"clean accuracy {clean:.3f} is outside of the matched independent's ({reach})")


def _probit_share(first: float, between: float, last: float) -> float:
    low, middle, high = ndtri(np.clip([first, between, last], 1e-6, 1 - 1e-6))
    return float((middle - low) / (high - low))


def _between(before: MeasuredRun, after: MeasuredRun, share: float, chance: float) -> MeasuredRun:
    """The profile `share` of the way from one snapshot to the other, every accuracy on the probit scale.

    An axis's accuracy is the one that its c stands for beside the clean accuracy. All that is not interpolated is the
    latter snapshot's.
    """

    def on_the_way(first: Floats, last: Floats) -> Floats:
        low, high = (ndtri(np.clip(one, 1e-6, 1 - 1e-6)) for one in (first, last))
        accuracy: Floats = ndtr(low + share * (high - low))
        return accuracy

    def accuracy(run: MeasuredRun, axis: Axis) -> Floats:
        return chance + run.axes[axis].bias * (run.clean - chance)

    clean = on_the_way(before.clean, after.clean)
    axes = {
        axis: replace(one, bias=(on_the_way(accuracy(before, axis), accuracy(after, axis)) - chance) / (clean - chance))
        for axis, one in after.axes.items()
        if axis in before.axes
    }
    return replace(after, axes=axes, clean=clean)


def _common(*networks: Iterable[int]) -> tuple[int, ...]:
    return tuple(sorted(set.intersection(*(set(one) for one in networks))))


def _profiles(
    networks: Networks, seeds: Sequence[int], axes: Sequence[Axis], who: str, setting: Setting
) -> Floats | Undefined:
    """(K, axes, 1 + S) biases, or why there are none."""
    runs = {seed: networks[seed] for seed in seeds}
    undefined = near_chance(runs, setting.num_classes, setting.scoring) or _incomplete(runs, axes)
    if undefined:
        return Undefined(reason=f"{who}: {undefined.reason}")
    return np.stack([[run.axes[axis].bias for axis in axes] for run in runs.values()])


def _incomplete(runs: Networks, axes: Sequence[Axis]) -> Undefined | None:
    missing = sorted({name for run in runs.values() for axis in axes for name in run.missing.get(axis, ())})
    return Undefined(reason=f"no answers on {', '.join(missing)}") if missing else None
