"""The schema of `scores.json`: what scoring writes and the page shows. Every number of the page is in here."""

from typing import Annotated, Literal

from pydantic import Field

from kdbench.spec import BIAS_AXES, Axis, Direction, Family, FrozenModel, Primary, TeacherBias


class Estimate(FrozenModel):
    """A number with its interval.

    Attributes:
        value, low, high: the estimate and its confidence interval.
        images: test images it rests on; those made from the same clean image count once.
        seeds: random seeds it rests on.
        covers: what the interval covers: "images" alone (fewer seeds than an interval over seeds needs), "seeds" alone
            (records keep one number of the whole run), or "seeds and images".
    """

    kind: Literal["estimate"] = "estimate"
    value: float
    low: float
    high: float
    images: int
    seeds: int
    covers: Literal["images", "seeds", "seeds and images"]


class Undefined(FrozenModel):
    """A number that does not exist, and why, in words."""

    kind: Literal["undefined"] = "undefined"
    reason: str


Score = Annotated[Estimate | Undefined, Field(discriminator="kind")]


class AxisScore(FrozenModel):
    """One bias axis: macro accuracy, chance-corrected bias c = (a - 1/C) / (a_clean - 1/C), and the paper's ratio a
    / a_clean."""

    accuracy: Score
    bias: Score
    ratio: Score


class ConflictScore(FrozenModel):
    """Decisions on cue-conflict images: share by shape, by texture, and shape / (shape + texture)."""

    shape: Score
    texture: Score
    shape_bias: Score


class Profile(FrozenModel):
    """One kind of network on every test set, over its seeds."""

    clean: Score
    axes: dict[Axis, AxisScore]
    conflict: ConflictScore | None = None


class Likeness(FrozenModel):
    """A student's answers beside its teacher's: on the clean set, or averaged over the manipulated primary sets.

    Attributes:
        agreement: share of the same answer.
        label_kappa, error_consistency: the same answer, and right on the same images, beyond chance.
        label_kappa_gain, error_consistency_gain: the same less that of the independent student with this teacher.
        error_consistency_relative: of the largest that two networks of these accuracies can have.
        wrong_label_agreement: share of the same answer where both are wrong.
        divergence: KL(teacher || student), nats.
    """

    agreement: Score
    label_kappa: Score
    label_kappa_gain: Score
    error_consistency: Score
    error_consistency_gain: Score
    error_consistency_relative: Score
    wrong_label_agreement: Score
    divergence: Score


class Diagnostics(FrozenModel):
    """What explains a score and never enters one.

    Attributes:
        calibration_error, nll, brier: on the clean set.
        permutation_consistency, permutation_kappa: the same answer to an image and to its scrambled tiles, averaged
            over the grids; the kappa is beyond chance.
        likeness: to the teacher, by "clean" and "manipulated"; empty without a teacher.
        scalars: likeness to the teacher of whole runs, such as `cka`, by the names of `kdbench.evaluation.similarity`.
        scalar_gains: the same less that of the independent student with this teacher.
        occlusion_on_object: share of what matters to the network that lies on the object; None where a record lacks it.
        collapsed: manipulated sets on which the network gives nearly always the same few answers.
    """

    calibration_error: Score
    nll: Score
    brier: Score
    permutation_consistency: Score
    permutation_kappa: Score
    likeness: dict[Literal["clean", "manipulated"], Likeness] = {}
    scalars: dict[str, Score] = {}
    scalar_gains: dict[str, Score] = {}
    occlusion_on_object: Score | None = None
    collapsed: tuple[str, ...] = ()


class Movement(FrozenModel):
    """Where the students of one teacher stand between the independent student and that teacher.

    Attributes:
        axes: that the numbers are taken over.
        clean_gain: clean accuracy less the independent student's.
        gap_closed: G; gap_by_axis: its summands.
        gap_closed_matched: G with the independent student as it was when it had the student's clean accuracy; None
            without that control.
        transfer_index: TI; index_by_axis: of each axis alone.
        drift, cosine: movement off the line to the teacher, and its direction.
    """

    axes: tuple[Axis, ...]
    clean_gain: Score
    gap_closed: Score
    gap_by_axis: dict[Axis, Score]
    gap_closed_matched: Score | None = None
    transfer_index: Score
    index_by_axis: dict[Axis, Score]
    drift: Score
    cosine: Score


class Cost(FrozenModel):
    """Medians over the runs of a row.

    Attributes:
        student_images, teacher_images: that passed forward through either network in training and before it.
        relative_time: training seconds over independent's; None without it.
    """

    training_seconds: float
    epoch_seconds: float
    evaluation_seconds: float
    peak_memory_bytes: int
    student_images: int
    teacher_images: int
    relative_time: float | None


class Arm(FrozenModel):
    """The students of one method that had teachers of one bias (or teachers themselves, or independents: one arm).

    Attributes:
        seeds: of the runs that went well; the profile rests on them.
        failed: the others, in words: "seed 1 diverged: loss is not finite".
        run_ids: of all runs, failed ones included, by seed.
        diagnostics: None where no run could be scored.
        movement: of students that have a teacher, where independent and teacher were scored on a common seed.
    """

    teacher_bias: TeacherBias | None
    seeds: tuple[int, ...]
    failed: tuple[str, ...] = ()
    profile: Profile | None
    cost: Cost | None
    run_ids: tuple[str, ...]
    diagnostics: Diagnostics | None = None
    movement: Movement | None = None


class Range(FrozenModel):
    """From `low` to `high`."""

    low: float
    high: float


Badge = Literal["bias transfer shown", "G only", "one-axis"]


class Row(FrozenModel):
    """One line of a board.

    Attributes:
        transfer: tau over the planted teachers; None where the track has no planted teachers, or the row had none.
        transfer_by_axis: tau of the axes on which the teachers differ enough.
        gap_closed: G over the live axes; None but where it is the track's primary number and the row is no reference.
        cross_check: the multi-bootstrap's interval of the primary number, from three seeds on.
        rank: None while unranked. rank_high: the rank that the row may have at worst; it has `rank` at best.
        p_value: that the primary number is not above 0, one-sided, adjusted for all tests of the board (Holm); None
            while unranked.
        p_by_axis: the same of the number of each axis alone, adjusted for all rows and axes of the board (Benjamini and
            Hochberg): a secondary question.
        badges: what is shown of the row: "bias transfer shown", or "G only" where no teachers are planted; "one-axis"
            where one axis brings most of G.
        unranked: why there is no rank, in words; empty for a ranked row, and for references and controls.
        unofficial: why the row's runs are not official; empty otherwise.
        compiled: whether its networks were trained through `--compile`, which rounds otherwise.
        code: digest of the method's code; runs of different code are different rows.
    """

    kind: Literal["teacher", "independent", "method", "control"]
    method: str
    config: dict[str, bool | int | float | str | None] = {}
    family: Family
    arms: tuple[Arm, ...]
    transfer: Score | None = None
    transfer_by_axis: dict[Axis, Score] = {}
    gap_closed: Score | None = None
    cross_check: Range | None = None
    rank: int | None = None
    rank_high: int | None = None
    p_value: float | None = None
    p_by_axis: dict[Axis, float] = {}
    badges: tuple[Badge, ...] = ()
    unranked: str = ""
    unofficial: tuple[str, ...] = ()
    compiled: bool = False
    code: str = ""

    @property
    def title(self) -> str:
        """The method, and that its runs were compiled where they were: they stand beside those that were not."""
        return f"{self.method}, compiled" if self.compiled else self.method

    @property
    def primary(self) -> Score | None:
        """tau where teachers are planted, else G."""
        return self.transfer if self.transfer is not None else self.gap_closed


class Board(FrozenModel):
    """All rows that may be compared: one track, direction, pair of digests and device class.

    Attributes:
        primary: what rows are ranked by.
        axes: that the gap closed is taken over.
        tests: the official rows of methods, which could be tested against 0; p-values are adjusted for that number.
        null_band: what the controls that should score nothing reach, their intervals included; None without them.
        warnings: what a reader has to know before believing a number.
    """

    track: str
    direction: Direction
    training_digest: str
    testsets_digest: str
    device_class: str
    num_classes: int
    seeds: tuple[int, ...]
    rows: tuple[Row, ...]
    primary: Primary = "transfer"
    axes: tuple[Axis, ...] = BIAS_AXES
    tests: int = 0
    null_band: Range | None = None
    warnings: tuple[str, ...] = ()


class Superseded(FrozenModel):
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


class Scores(FrozenModel):
    schema_version: Literal[2] = 2
    spec_version: str
    scoring_digests: dict[str, str]
    boards: tuple[Board, ...]
    superseded: tuple[Superseded, ...] = ()
