"""Plans of made-up submissions, for tests to start from; method files are described in this process."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kdbench.methods.describing import describe
from kdbench.methods.inquiries import Description, Inquiry, Trial
from kdbench.plan.checks import checked_shapes
from kdbench.plan.expansion import Request, expand
from kdbench.plan.matrix import NUMERICS_VERSION, PlannedRun, Submission
from kdbench.records import Record, SetResult
from kdbench.spec import Direction, Question, Track
from kdbench.testsets.spec import load_spec
from tests.examples import DIGESTS, a_record

TRACK = load_spec().track("synthetic")
BOTH: tuple[Direction, ...] = ("cnn-to-vit", "vit-to-cnn")


def submission(
    name: str, *, uses_teacher: bool = True, code: str = "c", config: Mapping[str, Any] | None = None
) -> Submission:
    """Return a submission without a file, for both directions; with a teacher, it can train within a family, too."""
    beyond: tuple[Direction, ...] = ("vit-to-vit", "cnn-to-cnn") if uses_teacher else ()
    return Submission(name, None, code, config or {}, uses_teacher=uses_teacher, directions=BOTH, beyond_paper=beyond)


INDEPENDENT, TEACHER = (submission(name, uses_teacher=False) for name in ("independent", "teacher"))


def expanded(
    *submissions: Submission,
    seeds: tuple[int, ...] = (0,),
    directions: tuple[Direction, ...] = BOTH,
    track: Track = TRACK,
    questions: tuple[Question, ...] = ("architecture",),
    compiled: bool = False,
) -> list[PlannedRun]:
    """Return the runs of submissions on a CPU; without any, of `independent` and `lm`."""
    return expand(
        Request(
            track=track,
            questions=questions,
            submissions=submissions or (INDEPENDENT, submission("lm")),
            teacher_submission=TEACHER,
            directions=directions,
            seeds=seeds,
            device="cpu",
            compiled=compiled,
        )
    )


def trial_on(track: Track = TRACK) -> Trial:
    """Return what a method is tried with: the networks of a track, in both directions."""
    return Trial(track, BOTH, checked_shapes(track))


def described_here(inquiries: Sequence[Inquiry]) -> list[Description]:
    """Answer inquiries about method files that may run in this process."""
    with tempfile.TemporaryDirectory() as folder:
        return [describe(inquiry, Path(folder)) for inquiry in inquiries]


def record_of(run: PlannedRun) -> Record:
    """Return the record of a successful run, as this version of the harness writes it."""
    control = run.submission.control
    return a_record(
        run_id=run.run_id,
        role=run.role,
        family=run.family,
        direction=run.direction,
        teacher_bias=run.teacher_bias,
        dose=run.dose,
        method=run.submission.name,
        config=dict(run.submission.config),
        seed=run.seed,
        teacher_run_id=run.teacher.run_id if run.teacher else None,
        control=control is not None,
        control_terms=control.terms(run.direction) if control else None,
        numerics=NUMERICS_VERSION,
        test={"clean": SetResult(images=20, macro_accuracy=0.5)},
        compiled=run.compiled,
        digests=DIGESTS.model_copy(
            update={
                "training": run.track.training_digest,
                "testsets": run.track.testsets_digest,
                "code": run.submission.code,
            }
        ),
    )
