"""The schema of `scores.json`, which scoring writes and the page shows: it has every number of the page."""

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
    """One network on one bias axis.

    Attributes:
        accuracy: macro accuracy a, from 0 to 1.
        bias: chance-corrected bias c = (a - 1/C) / (a_clean - 1/C): 0 at chance, 1 as good as on clean images.
        ratio: the paper's a / a_clean.
    """

    accuracy: Score
    bias: Score
    ratio: Score


class ConflictScore(FrozenModel):
    """Decisions on cue-conflict images.

    Attributes:
        shape, texture: shares of the images that got the class of the shape and of the texture.
        shape_bias: shape / (shape + texture), from 0 to 1.
    """

    shape: Score
    texture: Score
    shape_bias: Score


class Profile(FrozenModel):
    """The networks of one arm on every test set, over their seeds.

    Attributes:
        clean: macro accuracy on the clean set, from 0 to 1.
        conflict: None where a run has no answers to cue-conflict images.
    """

    clean: Score
    axes: dict[Axis, AxisScore]
    conflict: ConflictScore | None = None


class Likeness(FrozenModel):
    """Likeness of a student's answers to its teacher's: on the clean set, or averaged over the manipulated sets.

    Attributes:
        agreement: share of images with equal answers, from 0 to 1.
        label_kappa: agreement of the answers beyond chance, from -1 to 1.
        error_consistency: agreement beyond chance on which images are answered right, from -1 to 1.
        label_kappa_gain, error_consistency_gain: the number minus that of the independent student with this teacher.
        error_consistency_relative: ratio to the largest value that two networks of these accuracies can have.
        wrong_label_agreement: share of equal answers among images that both get wrong, from 0 to 1.
        divergence: KL(teacher || student), in nats.
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
    """Numbers that explain a score and never enter one.

    Attributes:
        calibration_error, nll, brier: on the clean set; from 0 to 1, in nats, and from 0 to 2.
        permutation_consistency: share of equal answers to an image and to its scrambled tiles, averaged over the grids.
        permutation_kappa: the agreement of these answers beyond chance, from -1 to 1.
        likeness: to the teacher, by "clean" and "manipulated"; empty without a teacher.
        scalars: likeness of whole runs to the teacher, such as `cka`, by the names of `kdbench.evaluation.similarity`.
        scalar_gains: each of `scalars` minus that of the independent student with this teacher.
        occlusion_on_object: share of what matters to the network that lies on the object; None where a record lacks it.
        collapsed: manipulated sets on which the network nearly always gives the same few answers.
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
        axes: the axes that the numbers are taken over.
        clean_gain: clean accuracy minus the independent student's.
        gap_closed: G: 1 at the teacher's profile, 0 where the student is no nearer to it than the independent one.
        gap_by_axis: the summands of G.
        gap_closed_matched: G with the independent student as it was when it had the student's clean accuracy; None
            without that control.
        transfer_index: TI, the share of the way to the teacher.
        index_by_axis: TI of each axis alone.
        drift: movement off the line to the teacher, relative to the distance between independent student and teacher.
        cosine: of the angle between the movement and the direction to the teacher.
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
        student_images, teacher_images: images that passed forward through either network, in training and before it.
        relative_time: ratio of the training seconds to independent's; None without it.
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
        failed: the other runs, in words: "seed 1 diverged: loss is not finite".
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


RowKind = Literal["teacher", "independent", "method", "control"]
Badge = Literal["bias transfer shown", "G only", "one-axis"]


class Row(FrozenModel):
    """One line of a board.

    Attributes:
        transfer: tau over the planted teachers; None where the track has no planted teachers, or the row had none.
        transfer_by_axis: tau of the axes on which the teachers differ enough.
        gap_closed: G over the live axes; None for references, and where it is not the track's primary number.
        cross_check: the multi-bootstrap's interval of the primary number, from three seeds on.
        rank: the best rank that the row may have; None while unranked.
        rank_high: the worst rank that it may have.
        p_value: one-sided, for the primary number not being above 0, adjusted for all tests of the board (Holm); None
            while unranked.
        p_by_axis: that of the number of each axis alone, adjusted for all rows and axes of the board (Benjamini and
            Hochberg): a secondary question.
        badges: what the row shows: "bias transfer shown", or "G only" where no teachers are planted; "one-axis"
            where one axis contributes most of G.
        unranked: why there is no rank, in words; empty for a ranked row, and for references and controls.
        unofficial: why the row's runs are not official; empty otherwise.
        compiled: whether its networks were trained through `--compile`, which rounds differently.
        code: digest of the method's code; runs of different code are different rows.
    """

    kind: RowKind
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
        """The method, and whether its runs were compiled: those are a row of their own."""
        return f"{self.method}, compiled" if self.compiled else self.method

    @property
    def primary(self) -> Score | None:
        """tau where teachers are planted, else G."""
        return self.transfer if self.transfer is not None else self.gap_closed


class Board(FrozenModel):
    """All rows that may be compared: one track, direction, pair of digests and device class.

    Attributes:
        primary: what rows are ranked by.
        axes: the axes that the gap closed is taken over.
        tests: number of official rows of methods, for which p-values are adjusted.
        null_band: what the controls that should score nothing reach, including their intervals; None without them.
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
    """Records that were not scored because newer ones superseded them.

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


class RefusedRecord(FrozenModel):
    """A record that was not scored because it is not whole or does not fit the others.

    Attributes:
        track: name of the folder that it lies in.
        record: name of its own folder.
        run: what it says it is, in words; empty where it cannot be read.
        reason: what does not fit, in words.
    """

    track: str
    record: str
    run: str
    reason: str

    @property
    def words(self) -> str:
        """A sentence for people."""
        return f"refused {self.record}{f' ({self.run})' if self.run else ''}: {self.reason}"


class Scores(FrozenModel):
    """The scores of results folders.

    Attributes:
        scoring_digests: of the scoring part of the spec, by track.
        superseded: what was not scored because newer records superseded it.
        refused: what was not scored because it does not fit.
    """

    schema_version: Literal[2] = 2
    spec_version: str
    scoring_digests: dict[str, str]
    boards: tuple[Board, ...]
    superseded: tuple[Superseded, ...] = ()
    refused: tuple[RefusedRecord, ...] = ()

    @property
    def left_out(self) -> frozenset[tuple[str, str]]:
        """Track and folder name of every record that was not scored."""
        superseded = ((old.track, name) for old in self.superseded for name in old.records)
        return frozenset([*superseded, *((refused.track, refused.record) for refused in self.refused)])
