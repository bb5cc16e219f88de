"""Runs that take a second, and where they write."""

from dataclasses import replace
from pathlib import Path

from kdbench.plan.context import RunContext
from kdbench.plan.matrix import PlannedRun
from kdbench.plan.options import RunOptions
from kdbench.plan.overrides import with_overrides
from kdbench.spec import Track
from kdbench.testsets.spec import load_spec
from tests.planned_runs import expanded, submission

TRACKS = load_spec().tracks
IMAGES, EPOCHS = 64, 2


def silent(done: int, total: int) -> None:
    pass


def small(track: Track = TRACKS["synthetic"]) -> Track:
    """A track with two epochs on 64 images and two test sets of 20."""
    few, _ = with_overrides(track, epochs=EPOCHS, limit_test=20, limit_train=IMAGES)
    training = few.training.model_copy(update={"batch_size": IMAGES // 2})
    sets = tuple(test_set for test_set in few.test_sets if test_set.name in ("clean", "noise"))
    return few.model_copy(update={"training": training, "test_sets": sets})


def a_teacher(track: Track, **changes: object) -> PlannedRun:
    """The first run that a track plans: it needs nothing but its training set."""
    run = expanded(submission("lm"), track=track, directions=track.directions)[0]
    return replace(run, **changes)  # type: ignore[arg-type]


def context_in(folder: Path, data_root: Path | None = None) -> RunContext:
    return RunContext(folder / "runs", folder / "cache", data_root)


def an_independent_in(folder: Path, track: str = "synthetic") -> RunOptions:
    """Return the options of a command that trains an independent student for a step in one direction."""
    return RunOptions(
        track,
        methods=("independent",),
        directions=("vit-to-cnn",),
        out=folder,
        limit_train=64,
        limit_test=10,
        epochs=1,
        device="cpu",
        workers=1,
    )
