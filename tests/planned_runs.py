"""Planned runs of the synthetic track, without submission files."""

from kdbench.plan.matrix import PlannedRun, Request, Submission, expand
from kdbench.spec import Track
from kdbench.testsets.spec import load_spec

TRACK = load_spec().track("synthetic")


BOTH = ("cnn-to-vit", "vit-to-cnn")


def submission(
    name: str, *, uses_teacher: bool = True, code: str = "c", config: dict[str, float] | None = None
) -> Submission:
    return Submission(name, None, code, config or {}, uses_teacher=uses_teacher, directions=BOTH)  # type: ignore[arg-type]


def plan(
    *submissions: Submission, seeds: tuple[int, ...] = (0,), directions: tuple[str, ...] = BOTH, track: Track = TRACK
) -> list[PlannedRun]:
    return expand(
        Request(
            track=track,
            submissions=submissions or (submission("independent", uses_teacher=False), submission("lm")),
            teacher_submission=submission("teacher", uses_teacher=False),
            directions=directions,  # type: ignore[arg-type]
            seeds=seeds,
            device="cpu",
        )
    )
