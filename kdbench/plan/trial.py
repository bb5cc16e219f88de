"""A trial of a method: runs that are small enough to wait for, and large enough for transfer to mean something."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from kdbench.plan.options import RunOptions
from kdbench.spec import Direction
from kdbench.testsets.spec import load_spec

TRACK: Final = "synthetic"
EPOCHS: Final = 8
IMAGES: Final = 640  # of the training set
QUESTIONS: Final = ("architecture", "planted")


def trial_options(
    method: Path, directions: Sequence[Direction], out: Path, command: str, workers: int | None = None
) -> RunOptions:
    """Return the options of the runs of a trial: one seed, both questions, and whole test sets.

    Args:
        method: the method file.
        directions: of the method, of which those of the track are run.
        out: folder of the records. Trials of several methods share their teachers if they share the folder.
        command: the command line, for the records.
        workers: number of runs at a time; None for one per core.
    """
    track = load_spec().track(TRACK)
    return RunOptions(
        track=TRACK,
        methods=(str(method),),
        questions=QUESTIONS,
        directions=[direction for direction in track.directions if direction in directions],
        epochs=EPOCHS,
        limit_train=IMAGES,
        device="cpu",
        out=out,
        workers=workers,
        retry_failed=True,
        command=command,
    )
