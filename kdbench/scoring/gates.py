"""The conditions for a rank. A row that does not meet one stays on the board, with the reason in words."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from kdbench.records import Record
from kdbench.scoring.answers import Answers
from kdbench.scoring.comparisons import RunsByTeacher, teacher_words
from kdbench.scoring.context import BoardContext, ScoredRun, measured_by_seed
from kdbench.scoring.diagnostics import has_collapsed
from kdbench.scoring.estimates import Estimate, Undefined
from kdbench.scoring.measured import MeasuredRun
from kdbench.scoring.scores import Row
from kdbench.spec import BIAS_AXES, TeacherKind

STATUS_WORDS = {
    "diverged": "diverged",
    "timeout": "ran out of time",
    "oom": "ran out of memory",
    "over_budget": "exceeded the budget",
}


def why_unranked(row: Row, arms: RunsByTeacher, context: BoardContext, seeds: Sequence[int] | None) -> str:
    """Return why a method has no rank, in words; empty for a row that meets every condition.

    Args:
        row: with its transfer.
        arms: its runs by kind of teacher.
        context: of the board.
        seeds: those that transfer rests on; None where it is undefined.
    """
    return "; ".join(_reasons(row, arms, context, seeds))


def _reasons(row: Row, arms: RunsByTeacher, context: BoardContext, seeds: Sequence[int] | None) -> Iterator[str]:
    runs = [run for arm in arms.values() for run in arm]
    yield from _failures(runs)
    if row.unofficial:
        yield f"unofficial: {', '.join(row.unofficial)}"
    yield from not_measurable(context)
    incompetent = [*_incompetence(row, context)][:1]
    yield from incompetent
    yield from _other_budget(runs, context)
    yield from [*_collapse(arms, context)][:1]
    if context.question == "architecture":
        yield from _unequal_teachers(arms, context)
    else:
        yield from [*_teachers_incompetence(arms, context)][:1]
    yield from _coverage(runs, context)
    if isinstance(row.transfer, Undefined) and not incompetent:
        yield f"transfer is undefined: {row.transfer.reason}"
    yield from _too_few_seeds(arms, context, seeds)


def failure_words(record: Record) -> str:
    """Return a failed run in words: "seed 1 diverged: loss is not finite"."""
    what = f"seed {record.seed} {STATUS_WORDS.get(record.status, 'failed')}"
    return f"{what}: {record.reason}" if record.reason else what


def _failures(runs: Sequence[ScoredRun]) -> Iterator[str]:
    failed = [run.record for run in runs if run.measured is None]
    if failed:
        words = dict.fromkeys(failure_words(record) for record in failed)
        count, attempted = len({record.seed for record in failed}), len({run.record.seed for run in runs})
        yield f"{count} of {attempted} seeds failed: {'; '.join(words)}"


def not_measurable(context: BoardContext) -> Iterator[str]:
    """Yield why no row of a direction can have a rank, by the validity study."""
    part = context.track.scoring
    if context.direction in part.not_measurable:
        yield f"the direction is not measurable: {part.not_measurable[context.direction]}"


def _incompetence(row: Row, context: BoardContext) -> Iterator[str]:
    """Yield the arms whose clean accuracy is not well above chance, or far below that of independent."""
    chance, scoring = 1 / context.num_classes, context.scoring
    base = mean_clean_accuracy(measured_by_seed(context.references).values())
    if base is None:
        yield "there is no independent student to compare with"
        return
    for arm in row.arms:
        clean = arm.profile.clean if arm.profile else None
        if not isinstance(clean, Estimate):
            continue
        above_chance = clean.low - chance >= scoring.competence_margin
        if not (above_chance and clean.value >= _least_accuracy(base, context)):
            yield (
                f"not competent: the student{_of_teacher(arm.teacher)} has a clean accuracy of {clean.value:.3f}, "
                f"the independent student has {base:.3f}"
            )


def _least_accuracy(base: float, context: BoardContext) -> float:
    """Return the clean accuracy that a student must reach where the independent student has the accuracy `base`."""
    chance = 1 / context.num_classes
    return chance + context.scoring.competence_ratio * (base - chance)


def why_damaged(arms: RunsByTeacher, context: BoardContext) -> str:
    """Return which students of a control are far less accurate than the independent one, in words; empty if none is.

    A control has no gates, but the difference between two students of which one is damaged is mostly the damage.
    """
    base = measured_by_seed(context.references)
    students = [
        (run.clean[0], seed, teacher)
        for teacher, runs in arms.items()
        for seed, run in measured_by_seed(runs).items()
        if seed in base
    ]
    least = {seed: _least_accuracy(run.clean[0], context) for seed, run in base.items()}
    damaged = [student for student in students if student[0] < least[student[1]]]
    if not damaged:
        return ""
    clean, seed, teacher = min(damaged, key=lambda student: student[0])
    return (
        f"{len(damaged)} of {len(students)} students are not competent: the one{_of_teacher(teacher)} of seed {seed} "
        f"has a clean accuracy of {clean:.3f}, the independent student has {base[seed].clean[0]:.3f}"
    )


def mean_clean_accuracy(runs: Iterable[MeasuredRun]) -> float | None:
    """Return the mean clean accuracy of some runs; None without any."""
    accuracies = [run.clean[0] for run in runs]
    return float(np.mean(accuracies)) if accuracies else None


def _of_teacher(teacher: TeacherKind | None) -> str:
    return f" of the {teacher_words(teacher)}" if teacher else ""


def _other_budget(runs: Sequence[ScoredRun], context: BoardContext) -> Iterator[str]:
    """Yield a reason if the number of updates or examples differs from that of the independent student."""
    budgets = {_budget(run.record) for run in runs if run.measured is not None}
    allowed = {_budget(run.record) for run in context.references if run.measured is not None}
    if allowed and budgets - allowed:
        others, usual = _budget_words(budgets - allowed), _budget_words(allowed)
        yield f"the budget is not that of the independent student: {others}, independent had {usual}"


def _budget(record: Record) -> tuple[int, int]:
    return record.budget.steps, record.budget.examples


def _budget_words(budgets: Iterable[tuple[int, int]]) -> str:
    return " or ".join(f"{steps:,} steps on {examples:,} examples" for steps, examples in sorted(budgets))


def _collapse(arms: RunsByTeacher, context: BoardContext) -> Iterator[str]:
    """Yield the students that nearly always give the same few answers to clean images."""
    clean_set = context.track.primary_sets("clean")[0].name
    for teacher, runs in arms.items():
        for seed, run in measured_by_seed(runs).items():
            if has_collapsed(run.answers[clean_set], context.num_classes, context.scoring):
                who = f"the student{_of_teacher(teacher)} of seed {seed}"
                yield f"collapsed: {who} nearly always gives the same few answers"


def _teachers_incompetence(arms: RunsByTeacher, context: BoardContext) -> Iterator[str]:
    base, margin = (
        mean_clean_accuracy(measured_by_seed(context.references).values()),
        context.track.scoring.teacher_margin,
    )
    for teacher, runs in arms.items():
        clean = mean_clean_accuracy(context.teachers_of(runs).values())
        if teacher and base is not None and clean is not None and base - clean > margin:
            yield (
                f"the {teacher_words(teacher)} is not competent: its clean accuracy is {clean:.3f}, "
                f"independent has {base:.3f}, and the teacher's may be lower by at most {margin:.2f}"
            )


def _unequal_teachers(arms: RunsByTeacher, context: BoardContext) -> Iterator[str]:
    """Yield a reason if the clean accuracies of the two natural teachers of a row differ by too much."""
    margin, accuracies = context.scoring.natural_margin, dict[str, float]()
    for teacher, runs in arms.items():
        clean = mean_clean_accuracy(context.teachers_of(runs).values())
        if teacher and clean is not None:
            accuracies[teacher_words(teacher)] = clean
    if accuracies and max(accuracies.values()) - min(accuracies.values()) > margin:
        words = ", ".join(f"{clean:.3f} of the {name}" for name, clean in accuracies.items())
        yield f"the clean accuracies of the two teachers differ by more than {margin:.2f}: {words}"


def _coverage(runs: Sequence[ScoredRun], context: BoardContext) -> Iterator[str]:
    """Yield the test sets with too few images of a class, as happens with estimated masks."""
    first = next((run.measured for run in runs if run.measured is not None), None)
    if first is None or context.track.data.source == "synthetic":
        return
    clean = first.answers[context.track.primary_sets("clean")[0].name]
    for name in (test_set.name for axis in BIAS_AXES for test_set in context.track.primary_sets(axis)):
        share = _least_coverage(first.answers[name], clean) if name in first.answers else 1.0
        if share < context.scoring.class_coverage:
            yield (
                f"the test set {name} covers only {share:.0%} of the images of a class; "
                f"at least {context.scoring.class_coverage:.0%} is needed"
            )


def _least_coverage(answers: Answers, clean: Answers) -> float:
    """Return the smallest share of a class's clean images that a set uses; 1 if its images have no origin."""
    if not answers.images.has_origins:
        return 1.0
    covered, target = np.isin(np.arange(len(clean.label)), answers.images.index), clean.images.target
    return min(float(covered[target == label].mean()) for label in np.unique(target))


def _too_few_seeds(arms: RunsByTeacher, context: BoardContext, seeds: Sequence[int] | None) -> Iterator[str]:
    students = set.intersection(*(set(measured_by_seed(runs)) for runs in arms.values()))
    compared = students if seeds is None else students & set(seeds)
    needed = context.scoring.ranked_seeds
    if len(compared) >= needed:
        return
    unpaired = ", ".join(map(str, sorted(students - compared)))
    why = f"; the runs that seed {unpaired} would be compared with were not scored" if unpaired else ""
    yield f"{needed} scored seeds are needed for a rank, the row has {len(compared)}{why}"
