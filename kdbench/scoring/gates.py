"""The conditions for a rank. A row that misses one stays on the board, with the reason in words."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from kdbench.records import Record
from kdbench.scoring.answers import Answers
from kdbench.scoring.comparisons import Arms
from kdbench.scoring.diagnostics import has_collapsed
from kdbench.scoring.intervals import estimate
from kdbench.scoring.measured import MeasuredRun
from kdbench.scoring.scores import Arm, Estimate, Row, Undefined
from kdbench.scoring.setting import Run, Setting, good
from kdbench.spec import BIAS_AXES, Axis

STATUS_WORDS = {
    "diverged": "diverged",
    "timeout": "ran out of time",
    "oom": "ran out of memory",
    "over_budget": "exceeded the budget",
}


def why_unranked(row: Row, arms: Arms, setting: Setting, seeds: Sequence[int] | None) -> str:
    """Why a method has no rank, in words; empty for a row that meets every condition.

    Args:
        row: with its primary number.
        arms: its runs by teacher bias.
        setting: of the board.
        seeds: that the primary number rests on; None where it is undefined.
    """
    return "; ".join(_reasons(row, arms, setting, seeds))


def _reasons(row: Row, arms: Arms, setting: Setting, seeds: Sequence[int] | None) -> Iterator[str]:
    runs = [run for arm in arms.values() for run in arm]
    yield from _failures(runs)
    if row.unofficial:
        yield f"unofficial: {', '.join(row.unofficial)}"
    yield from not_measurable(setting)
    incompetent = [*_incompetence(row, setting)][:1]
    yield from incompetent
    yield from _other_budget(runs, setting)
    yield from [*_collapse(arms, setting)][:1]
    yield from [*_teachers_incompetence(arms, setting)][:1]
    yield from _coverage(runs, setting)
    if isinstance(row.primary, Undefined) and not incompetent:
        yield f"{'transfer' if row.transfer else 'the gap closed'} is undefined: {row.primary.reason}"
    yield from _too_few_seeds(arms, setting, seeds)


def failure_words(record: Record) -> str:
    """A failed run in words: "seed 1 diverged: loss is not finite"."""
    what = f"seed {record.seed} {STATUS_WORDS.get(record.status, 'failed')}"
    return f"{what}: {record.reason}" if record.reason else what


def _failures(runs: Sequence[Run]) -> Iterator[str]:
    failed = [run.record for run in runs if run.measured is None]
    if failed:
        words = dict.fromkeys(failure_words(record) for record in failed)
        count, attempted = len({record.seed for record in failed}), len({run.record.seed for run in runs})
        yield f"{count} of {attempted} seeds failed: {'; '.join(words)}"


def not_measurable(setting: Setting) -> Iterator[str]:
    """Why a direction can rank nobody: what the validity study found, or too few live axes for the gap closed."""
    part = setting.track.scoring
    if setting.direction in part.not_measurable:
        yield f"the direction is not measurable: {part.not_measurable[setting.direction]}"
    if setting.track.primary != "gap-closed":
        return
    live, needed = part.live_axes.get(setting.direction), setting.scoring.live_axes_needed
    if live is None:
        yield "the track's spec names no live axes for this direction yet"
    elif len(live) < needed:
        yield f"the direction is not measurable: {len(live)} live axes ({', '.join(live)}), {needed} are needed"


def _incompetence(row: Row, setting: Setting) -> Iterator[str]:
    """Students whose clean accuracy is not well above chance, or far below independent's."""
    chance, scoring = 1 / setting.num_classes, setting.scoring
    base = clean_of(good(setting.references).values())
    if base is None:
        yield "there is no independent student to compare with"
        return
    for arm in row.arms:
        clean = arm.profile.clean if arm.profile else None
        if not isinstance(clean, Estimate):
            continue
        above_chance = clean.low - chance >= scoring.competence_margin
        if not (above_chance and clean.value - chance >= scoring.competence_ratio * (base - chance)):
            yield f"not competent: the student{_of(arm)} has clean accuracy {clean.value:.3f}, independent {base:.3f}"


def clean_of(runs: Iterable[MeasuredRun]) -> float | None:
    """Mean clean accuracy of some runs; None without any."""
    accuracies = [run.clean[0] for run in runs]
    return float(np.mean(accuracies)) if accuracies else None


def _of(arm: Arm) -> str:
    return f" of the {arm.teacher_bias} teacher" if arm.teacher_bias else ""


def _other_budget(runs: Sequence[Run], setting: Setting) -> Iterator[str]:
    """Another number of updates or of examples than the independent student had."""
    budgets = {_budget(run.record) for run in runs if run.measured is not None}
    alone = {_budget(run.record) for run in setting.references if run.measured is not None}
    if alone and budgets - alone:
        yield f"another budget than independent: {_budget_words(budgets - alone)}, independent {_budget_words(alone)}"


def _budget(record: Record) -> tuple[int, int]:
    return record.budget.steps, record.budget.examples


def _budget_words(budgets: Iterable[tuple[int, int]]) -> str:
    return " or ".join(f"{steps:,} steps on {examples:,} examples" for steps, examples in sorted(budgets))


def _collapse(arms: Arms, setting: Setting) -> Iterator[str]:
    """Students that give nearly always the same few answers to clean images."""
    clean_set = setting.track.primary_sets("clean")[0].name
    for bias, runs in arms.items():
        for seed, run in good(runs).items():
            if has_collapsed(run.answers[clean_set], setting.num_classes, setting.scoring):
                who = f" of the {bias} teacher" if bias else ""
                yield f"collapsed: the student{who} of seed {seed} answers with few of the classes only"


def _teachers_incompetence(arms: Arms, setting: Setting) -> Iterator[str]:
    base, margin = clean_of(good(setting.references).values()), setting.track.scoring.teacher_margin
    for bias, runs in arms.items():
        clean = clean_of(setting.teachers_of(runs).values())
        if base is not None and clean is not None and base - clean > margin:
            yield (
                f"the {bias} teacher is not competent: clean accuracy {clean:.3f}, independent {base:.3f}; "
                f"at most {margin:.2f} less is allowed"
            )


def _coverage(runs: Sequence[Run], setting: Setting) -> Iterator[str]:
    """Sets that leave out too many images of a class; those with estimated masks may."""
    first = next((run.measured for run in runs if run.measured is not None), None)
    if first is None or setting.track.data.source == "synthetic":
        return
    clean = first.answers[setting.track.primary_sets("clean")[0].name]
    for one in (one for axis in setting.axes for one in setting.track.primary_sets(axis)):
        share = _least_coverage(first.answers[one.name], clean) if one.name in first.answers else 1.0
        if share < setting.scoring.class_coverage:
            yield (
                f"the test set {one.name} covers {share:.0%} of the images of a class; "
                f"at least {setting.scoring.class_coverage:.0%} is needed"
            )


def _least_coverage(answers: Answers, clean: Answers) -> float:
    """The smallest share of a class's clean images that a set was made from; 1 where images have no origin."""
    if not answers.asked.has_origins:
        return 1.0
    covered = np.isin(np.arange(len(clean.label)), answers.asked.index)
    return min(float(covered[clean.asked.target == one].mean()) for one in np.unique(clean.asked.target))


def _too_few_seeds(arms: Arms, setting: Setting, seeds: Sequence[int] | None) -> Iterator[str]:
    students = set.intersection(*(set(good(runs)) for runs in arms.values()))
    compared = students if seeds is None else students & set(seeds)
    needed = setting.scoring.ranked_seeds
    if len(compared) >= needed:
        return
    alone = ", ".join(map(str, sorted(students - compared)))
    why = f": what the students of seed {alone} are compared with was not scored" if alone else ""
    yield f"needs {needed} seeds to be ranked, has {len(compared)}{why}"


def axis_warnings(teachers: Sequence[Run], setting: Setting) -> Iterator[str]:
    """Where the official seeds disagree with the live axes that were frozen before; they are not chosen anew.

    Args:
        teachers: of the direction's teacher family.
        setting: of the board.
    """
    frozen = setting.track.scoring.live_axes.get(setting.direction)
    if frozen is None or setting.track.primary != "gap-closed":
        return
    seen = measured_live_axes(good(teachers), good(setting.references), setting)
    if seen is None:
        return
    for axis in BIAS_AXES:
        if (axis in frozen) != (axis in seen):
            now, then = ("live", "not one") if axis in seen else ("not live", "one")
            yield f"on these seeds {axis} is {now}; of the axes frozen before it is {then}"


def measured_live_axes(
    teachers: dict[int, MeasuredRun], alone: dict[int, MeasuredRun], setting: Setting
) -> tuple[Axis, ...] | None:
    """Axes on which teacher and independent differ by `live_axis_gap` or more, and surely; None below three seeds."""
    seeds = sorted(set(teachers) & set(alone))
    if len(seeds) < setting.scoring.interval_seeds:
        return None
    live = []
    for axis in BIAS_AXES:
        if any(axis not in run.axes for seed in seeds for run in (teachers[seed], alone[seed])):
            continue
        gaps = np.stack([teachers[seed].axes[axis].bias - alone[seed].axes[axis].bias for seed in seeds])
        gap = estimate(gaps, teachers[seeds[0]].images, setting.scoring)
        if abs(gap.value) >= setting.scoring.live_axis_gap and (gap.low > 0 or gap.high < 0):
            live.append(axis)
    return tuple(live)
