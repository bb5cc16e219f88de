"""The schema of `scores.json`: what scoring writes and the page shows. Every number of the page is in here."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from kdbench.spec import Axis, Direction, Family, TeacherBias


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Estimate(_Frozen):
    """A number with its interval.

    Attributes:
        value, low, high: the estimate and its confidence interval.
        images: test images it rests on; those made from the same clean image count once.
        seeds: random seeds it rests on.
        covers: what the interval covers: "images" alone (fewer seeds than an interval over seeds needs), or "seeds
            and images".
    """

    kind: Literal["estimate"] = "estimate"
    value: float
    low: float
    high: float
    images: int
    seeds: int
    covers: Literal["images", "seeds and images"]


class Undefined(_Frozen):
    """A number that does not exist, and why, in words."""

    kind: Literal["undefined"] = "undefined"
    reason: str


Score = Annotated[Estimate | Undefined, Field(discriminator="kind")]


class AxisScore(_Frozen):
    """One bias axis: macro accuracy, chance-corrected bias c = (a - 1/C) / (a_clean - 1/C), and the paper's ratio a
    / a_clean."""

    accuracy: Score
    bias: Score
    ratio: Score


class ConflictScore(_Frozen):
    """Decisions on cue-conflict images: share by shape, by texture, and shape / (shape + texture)."""

    shape: Score
    texture: Score
    shape_bias: Score


class Profile(_Frozen):
    """One kind of network on every test set, over its seeds."""

    clean: Score
    axes: dict[Axis, AxisScore]
    conflict: ConflictScore | None = None


class Cost(_Frozen):
    """Medians over the runs of a row; `relative_time` is training seconds over independent's (None without it)."""

    training_seconds: float
    epoch_seconds: float
    evaluation_seconds: float
    peak_memory_bytes: int
    relative_time: float | None


class Arm(_Frozen):
    """The students of one method that had teachers of one bias (or teachers themselves, or independents: one arm).

    Attributes:
        seeds: of the runs that went well; the profile rests on them.
        failed: the others, in words: "seed 1 diverged: loss is not finite".
        run_ids: of all runs, failed ones included, by seed.
    """

    teacher_bias: TeacherBias | None
    seeds: tuple[int, ...]
    failed: tuple[str, ...] = ()
    profile: Profile | None
    cost: Cost | None
    run_ids: tuple[str, ...]


class Row(_Frozen):
    """One line of a board.

    Attributes:
        transfer: tau over the planted teachers; None where the track has no planted teachers or the row is no method.
        transfer_by_axis: tau of the axes on which the teachers differ enough.
        rank: None while unranked.
        unranked: why there is no rank, in words; empty for a ranked row, and for teachers and independents.
        unofficial: why the row's runs are not official; empty otherwise.
        code: digest of the method's code; runs of different code are different rows.
    """

    kind: Literal["teacher", "independent", "method"]
    method: str
    config: dict[str, bool | int | float | str | None] = {}
    family: Family
    arms: tuple[Arm, ...]
    transfer: Score | None = None
    transfer_by_axis: dict[Axis, Score] = {}
    rank: int | None = None
    unranked: str = ""
    unofficial: tuple[str, ...] = ()
    code: str = ""


class Board(_Frozen):
    """All rows that may be compared: one track, direction, pair of digests and device class."""

    track: str
    direction: Direction
    training_digest: str
    testsets_digest: str
    device_class: str
    num_classes: int
    seeds: tuple[int, ...]
    rows: tuple[Row, ...]


class Superseded(_Frozen):
    """Records that were not scored because newer ones took their place.

    Attributes:
        reason: what has changed since they were made, in words.
        records: names of their folders.
    """

    track: str
    device_class: str
    reason: str
    records: tuple[str, ...]

    @property
    def words(self) -> str:
        """A sentence for people."""
        count = len(self.records)
        return f"{count} older record{' was' if count == 1 else 's were'} not scored: {self.reason}"


class Scores(_Frozen):
    schema_version: int = 1
    spec_version: str
    scoring_digest: str
    boards: tuple[Board, ...]
    superseded: tuple[Superseded, ...] = ()
