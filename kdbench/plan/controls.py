"""The control arms in `benchmark/controls`: runs that test explanations of a score other than the teacher's bias."""

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from kdbench.errors import InputError, SpecError, describe_invalid
from kdbench.methods.files import read_method_file, submission_path
from kdbench.methods.inquiries import Describe, Inquiry, Trial
from kdbench.plan.matrix import HARNESS_CODE, Control, Submission
from kdbench.plan.options import CONTROL_CHOICES
from kdbench.plan.submissions import described_submission
from kdbench.resources import shipped
from kdbench.spec import UNTRAINED, Direction, FrozenModel

_FOLDER = ("benchmark", "controls")
TABLE = "controls.toml"


class ControlArm(FrozenModel):
    """One entry of the table.

    Attributes:
        group: "basic" for an arm that rules out an explanation of transfer, or "frontier" for one that shows how
            transfer and accuracy change with a method's settings and losses.
        method: a file in the folder of controls (`NAME.py`), or the name of a submission.
        config: the values that differ from the method's defaults.
        random_teacher: whether its teachers are never trained.
        epochs_factor: by track and direction, the factor for the track's student epochs. A control with any factor is
            run only on the tracks that are named here.
        snapshots: number of times in a training at which the weights are kept and evaluated.
        tracks: names of the tracks that it is run on; empty for all.
    """

    group: Literal["basic", "frontier"]
    method: str
    config: dict[str, float | str | bool] = {}
    random_teacher: bool = False
    epochs_factor: dict[str, dict[Direction, Annotated[float, Field(ge=1)]]] = {}
    snapshots: Annotated[int, Field(ge=0)] = 0
    tracks: tuple[str, ...] = ()

    @property
    def path(self) -> Path:
        """The method file."""
        return shipped(*_FOLDER, self.method) if self.method.endswith(".py") else submission_path(self.method)

    @property
    def code(self) -> str:
        """Digest of the method file."""
        return read_method_file(self.path).code

    def control(self, track_name: str, directions: tuple[Direction, ...]) -> Control:
        """Return how the runs of this arm on a track, in these directions, differ from ordinary runs."""
        return Control(
            teacher=_random_teacher(directions) if self.random_teacher else None,
            epochs_factor=self.epochs_factor.get(track_name, {}),
            snapshots=self.snapshots,
        )

    def runs_on(self, track_name: str) -> bool:
        """Return whether the arm is run on a track."""
        return all(not named or track_name in named for named in (self.tracks, self.epochs_factor))


_ARMS = TypeAdapter(dict[str, ControlArm])


def read_controls(path: Path | None = None) -> dict[str, ControlArm]:
    """Return the control arms of a table by name; without a path, those of the shipped table.

    Raises:
        SpecError: the table cannot be read, or a key or value is not allowed.
    """
    path = path or shipped(*_FOLDER, TABLE)
    try:
        return _ARMS.validate_python(tomllib.loads(path.read_text()))
    except OSError as error:
        raise SpecError(f"controls {path} cannot be read: {error.strerror}; restore the shipped file") from error
    except ValidationError as error:
        reason = describe_invalid(error, ControlArm)
        raise SpecError(f"controls {path}: {reason}; restore the shipped file") from error
    except (ValueError, RecursionError) as error:
        raise SpecError(f"controls {path} is not TOML: {error}; restore the shipped file") from error


def control_submissions(choice: str, trial: Trial, describe: Describe) -> list[Submission]:
    """Return the control arms of a track that have one of the directions on trial.

    Args:
        choice: one of `CONTROL_CHOICES`, or names of arms separated by commas.
        trial: the track, its networks and the directions.
        describe: answers inquiries about method files.

    Raises:
        InputError: the choice is not allowed, or the track does not have an arm that it names.
    """
    arms = _chosen_arms(choice, trial.track.name)
    files = [read_method_file(arm.path) for arm in arms.values()]
    inquiries = [
        Inquiry(file.path, file.source, config=arm.config, trial=trial)
        for file, arm in zip(files, arms.values(), strict=True)
    ]
    submissions = [described_submission(*pair) for pair in zip(files, describe(inquiries), strict=True)]
    return [
        replace(submission, name=name, control=arm.control(trial.track.name, submission.directions))
        for (name, arm), submission in zip(arms.items(), submissions, strict=True)
        if set(submission.directions) & set(trial.directions)
    ]


def _chosen_arms(choice: str, track_name: str) -> dict[str, ControlArm]:
    """Return the arms of a choice that a track has, by name, in the order of the table."""
    every = read_controls()
    here = {name: arm for name, arm in every.items() if arm.runs_on(track_name)}
    if choice in CONTROL_CHOICES:
        return {name: arm for name, arm in here.items() if choice in (arm.group, "all")}
    names = choice.split(",")
    if unknown := [name for name in names if name not in every]:
        raise InputError(
            f"--controls {unknown[0]!r} is not allowed; give one of {', '.join(CONTROL_CHOICES)}, or names of "
            f"controls separated by commas: {', '.join(every)}"
        )
    if missing := [name for name in names if name not in here]:
        raise InputError(f"--controls {missing[0]!r} does not run on track {track_name}; it has {', '.join(here)}")
    return {name: arm for name, arm in here.items() if name in names}


def _random_teacher(directions: tuple[Direction, ...]) -> Submission:
    return Submission(UNTRAINED, None, HARNESS_CODE, {}, uses_teacher=False, directions=directions, control=Control())
