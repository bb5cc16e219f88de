"""The control arms that ship in `benchmark/controls`: runs that show what else than a teacher's bias could explain a
score."""

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from kdbench.errors import SpecError, describe_invalid
from kdbench.methods.files import code_digest, submission_path
from kdbench.plan.matrix import HARNESS_CODE, Control, Submission
from kdbench.plan.submissions import read_submission
from kdbench.resources import shipped
from kdbench.spec import UNTRAINED, Direction, FrozenModel

_FOLDER = ("benchmark", "controls")
TABLE = "controls.toml"


class ControlArm(FrozenModel):
    """One entry of the table.

    Attributes:
        method: a file in the folder of controls (`NAME.py`), or a submission's name.
        config: the values that are not the method's defaults.
        random_teacher: whether its teachers are never trained.
        epochs_factor: by track and direction, how many times the track's student epochs it trains. A control that has
            any factor is run on the tracks named here only.
        snapshots: how many weights are kept along the training and evaluated.
        tracks: names of the tracks that it is run on; none means all.
    """

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
        return code_digest(self.path)

    def control(self, track_name: str, directions: tuple[Direction, ...]) -> Control:
        """Return how its runs on a track, in some directions, differ from ordinary ones."""
        return Control(
            teacher=_random_teacher(directions) if self.random_teacher else None,
            epochs_factor=self.epochs_factor.get(track_name, {}),
            snapshots=self.snapshots,
        )

    def runs_on(self, track_name: str) -> bool:
        """Return whether the table has it for a track."""
        return all(not named or track_name in named for named in (self.tracks, self.epochs_factor))


_ARMS = TypeAdapter(dict[str, ControlArm])


def read_controls(path: Path | None = None) -> dict[str, ControlArm]:
    """Return the control arms of a table by name; without a path, of the shipped one.

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


def control_submissions(track_name: str) -> list[Submission]:
    """Return the control arms of a track."""
    return [_submission(name, arm, track_name) for name, arm in read_controls().items() if arm.runs_on(track_name)]


def _submission(name: str, arm: ControlArm, track_name: str) -> Submission:
    method = read_submission(arm.path, arm.config)
    return replace(method, name=name, control=arm.control(track_name, method.directions))


def _random_teacher(directions: tuple[Direction, ...]) -> Submission:
    return Submission(UNTRAINED, None, HARNESS_CODE, {}, uses_teacher=False, directions=directions, control=Control())
