"""Plans an invocation: its runs, and the folders of their records. Nothing is trained, fetched or written."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from kdbench.errors import InputError
from kdbench.methods.inquiries import Describe, Trial
from kdbench.plan.checks import check_names, check_track
from kdbench.plan.context import RunContext, context_of
from kdbench.plan.controls import control_submissions
from kdbench.plan.expansion import Request, expand
from kdbench.plan.matrix import PlannedRun, Submission
from kdbench.plan.options import DEFAULT_SUITE, RunOptions, parse_seeds
from kdbench.plan.overrides import track_as_run
from kdbench.plan.questions import posed_by
from kdbench.plan.submissions import read_submissions, teacher_submission
from kdbench.plan.suites import methods_of
from kdbench.plan.sweeps import Settings, read_sweeps
from kdbench.spec import Direction, Question, Track, within_family


@dataclass(frozen=True)
class Plan:
    """The runs of an invocation.

    Attributes:
        track: with all overrides.
        questions: that the runs answer, the headline first.
        device: "cpu" or "cuda".
        runs: without repetition, teachers before their students.
        unofficial: the reasons why none of the runs is official.
        context: what all runs share.
        notes: sentences for the user.
    """

    track: Track
    questions: tuple[Question, ...]
    device: str
    runs: tuple[PlannedRun, ...]
    unofficial: tuple[str, ...]
    context: RunContext
    notes: tuple[str, ...] = ()


def plan(options: RunOptions, describe: Describe) -> Plan:
    """Check the options and expand them into runs.

    Args:
        options: of `kdbench run`.
        describe: answers inquiries about method files, whose code does not run in this process.

    Raises:
        InputError: an option is wrong; one sentence says which, and what is allowed.
    """
    seeds, sweeps = parse_seeds(options.seeds), read_sweeps(options.configs, options.sweep)
    track, _ = track_as_run(options)
    directions = _directions(options.directions, track)
    return expanded_plan(options, _submissions(options, sweeps, directions, track, describe), directions, seeds)


def expanded_plan(
    options: RunOptions, submissions: Sequence[Submission], directions: Sequence[Direction], seeds: Sequence[int]
) -> Plan:
    """Return the plan for these submissions, directions and seeds; the options determine everything else.

    Raises:
        InputError: a submission supports none of the directions, or --compile is given where nothing can be compiled.
    """
    from kdbench.networks.device import choose_device

    track, unofficial = track_as_run(options)
    device = choose_device(options.device)
    compiled, notes = _compiled(options.compile, track, device)
    questions = _questions(options.questions, track)
    request = Request(
        track=track,
        questions=questions,
        submissions=submissions,
        teacher_submission=teacher_submission(),
        directions=directions,
        seeds=seeds,
        device=device,
        limit_train=options.limit_train,
        limit_test=options.limit_test,
        unofficial=unofficial,
        compiled=compiled,
    )
    runs = tuple(expand(request))
    notes = (*notes, *_half_answered(request))
    return Plan(track, questions, device, runs, unofficial, context_of(options), notes)


def _half_answered(request: Request) -> Iterator[str]:
    """Yield a sentence for each method that cannot have a teacher of the student's own family."""
    if "architecture" not in request.questions:
        return
    for submission in request.submissions:
        own = [within_family(direction) for direction in request.directions if submission.trains(direction)]
        missing = [direction for direction in own if not submission.trains(direction)]
        if submission.uses_teacher and missing:
            yield (
                f"{submission.name} cannot train {' and '.join(missing)}, so it has no number for the question of "
                "architecture."
            )


def _questions(names: Sequence[str], track: Track) -> tuple[Question, ...]:
    """Return the questions of these names, the headline first; InputError for one that the track does not pose."""
    posed = posed_by(track)
    unknown = [name for name in names if name not in posed]
    if unknown or not names:
        what = f"{unknown[0]!r} is not allowed" if unknown else "names no question"
        raise InputError(f"--questions {what}; track {track.name} poses: {', '.join(posed)}")
    return tuple(question for question in posed if question in names)


def _compiled(wish: bool | None, track: Track, device: str) -> tuple[bool, tuple[str, ...]]:
    """Return whether networks are compiled, and what the user should know about it.

    Args:
        wish: of the user; None to do as the track says.
        track: of the runs.
        device: of the runs.
    """
    from kdbench.networks.compiling import obstacle_to_compiling

    wanted = device in track.compile_on if wish is None else wish
    obstacle = obstacle_to_compiling(device) if wanted else None
    if obstacle is None:
        return wanted, ()
    if wish:
        raise InputError(
            f"--compile needs what this machine does not have: {obstacle}; install it, or run without --compile"
        )
    note = "Networks are not compiled, so trainings take longer; for compiling, this machine does not have"
    return False, (f"{note}: {obstacle}.",)


def _directions(names: Sequence[str], track: Track) -> list[Direction]:
    unknown = sorted(set(names) - set(track.directions))
    if unknown:
        raise InputError(f"unknown direction {unknown[0]!r}; track {track.name} has: {', '.join(track.directions)}")
    return [direction for direction in track.directions if not names or direction in names]


def _submissions(
    options: RunOptions,
    sweeps: Mapping[str, Sequence[Settings]],
    directions: Sequence[Direction],
    track: Track,
    describe: Describe,
) -> list[Submission]:
    """Return the methods, and the control arms that are wanted."""
    if options.methods and options.suite:
        raise InputError("--suite and --methods both say which methods to run; give one of them")
    trial = Trial(track, tuple(directions), check_track(track))
    names = options.methods or methods_of(options.suite or DEFAULT_SUITE)
    submissions = read_submissions(names, sweeps, trial, describe)
    check_names(submissions)
    if not options.methods:  # leave out methods that do not fit; a method that the user names is refused instead
        submissions = [each for each in submissions if any(each.trains(direction) for direction in directions)]
    controls = control_submissions(options.controls, trial, describe)
    taken = {control.name for control in controls} & {submission.name for submission in submissions}
    if taken:
        raise InputError(f"method {taken.pop()!r} has the name of a control arm; rename it, or run without --controls")
    return submissions + controls
