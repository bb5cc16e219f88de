"""What decides the weights of a run, and the id of the run, which is a digest of that.

Planning makes ids from what is to be run; the check of a record makes them again from the record's own fields.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from kdbench.records.schema import ControlTerms, Record
from kdbench.spec import Direction, Family, TeacherBias, digest

ID_LENGTH: Final = 16  # hexadecimal digits


@dataclass(frozen=True)
class RunIdentity:
    """Everything that decides the weights of a run.

    Attributes:
        training: digest of the track's training part.
        code: digest of the method's code.
        config: all values, as JSON.
        teacher: run id of the teacher; None without one.
        device: "cpu" or "cuda".
        limit_train: maximum images of the training set that was asked for; None for the track's own number.
        numerics: `NUMERICS_VERSION` of the harness.
        control: of a control arm or its teacher; None for any other run.
        dose: of a planted teacher or of the student's planted teacher; None without one.
    """

    training: str
    track: str
    role: Literal["teacher", "student"]
    family: Family
    direction: Direction | None
    bias: TeacherBias | None
    method: str
    code: str
    config: Mapping[str, Any]
    seed: int
    teacher: str | None
    device: str
    limit_train: int | None
    numerics: int
    control: ControlTerms | None = None
    compiled: bool = False
    dose: float | None = None

    @property
    def run_id(self) -> str:
        """The id of the run."""
        deciding: dict[str, Any] = {
            "training": self.training,
            "track": self.track,
            "role": self.role,
            "family": self.family,
            "direction": self.direction,
            "bias": self.bias,
            "method": self.method,
            "code": self.code,
            "config": dict(self.config),
            "seed": self.seed,
            "teacher": self.teacher,
            "device": self.device,
            "limit_train": self.limit_train,
            "numerics": self.numerics,
        }
        if self.control is not None:
            deciding["control"] = self.control.model_dump()
        if self.compiled:
            deciding["compiled"] = True
        if self.dose is not None:
            deciding["dose"] = self.dose
        return digest(deciding)[:ID_LENGTH]


def identity_of(record: Record) -> RunIdentity:
    """Return what decided the weights of a run, as its record has it."""
    return RunIdentity(
        training=record.digests.training,
        track=record.track,
        role=record.role,
        family=record.family,
        direction=record.direction,
        bias=record.teacher_bias,
        method=record.method,
        code=record.digests.code,
        config=record.config,
        seed=record.seed,
        teacher=record.teacher_run_id,
        device=record.environment.device_class.split("-")[0],
        limit_train=record.limit_train,
        numerics=record.numerics,
        control=record.control_terms,
        compiled=record.compiled,
        dose=record.dose,
    )
