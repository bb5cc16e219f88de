"""The schema of `scores.json`, which scoring writes and the page shows: it has every number of the page."""

from typing import Literal

from kdbench.scoring.arms import Arm
from kdbench.scoring.estimates import Range, Score, Undefined
from kdbench.spec import Axis, Direction, Family, FrozenModel, Int64, OpenPair, Question

RowKind = Literal["teacher", "independent", "method", "control"]
Finding = Literal["transfers", "a trace", "none larger", "none shown"]
Beyond = Literal["overshoot", "moved away"]


class DosePoint(FrozenModel):
    """One pair of teachers with their students.

    Attributes:
        teachers: length of the difference between the teachers' profiles.
        students: the part of the difference between the students' profiles along that of the teachers.
    """

    seed: Int64
    teachers: float
    students: float


class DoseResponse(FrozenModel):
    """Whether students follow the size of the difference between their teachers; `kdbench.scoring.dose_response`.

    Attributes:
        slope: of the line through 0, which is transfer.
        residual_spread: standard deviation of the points about the line.
        seed_spread: standard deviation that seeds and images explain.
        p_value: one-sided, for the residuals being no larger than that.
        proportional: False for a row that is labelled "not proportional".
    """

    points: tuple[DosePoint, ...]
    slope: float
    residual_spread: float
    seed_spread: float
    p_value: float
    proportional: bool


class Row(FrozenModel):
    """One line of a board.

    Attributes:
        transfer: alpha or tau, by the board's question; None for rows without a teacher.
        transfer_by_axis: that of the axes on which the teachers differ enough.
        transfer_by_seed: that of each seed alone.
        transfer_by_pair: that of the seeds that start from one pair of pretrained weights, by the number of the pair;
            empty unless the row's seeds start from several pairs.
        clean: clean accuracy averaged over the students of both teachers, from 0 to 1; None for teachers, and if no
            seed has all students of the row.
        dose_response: None for a natural teacher, and where transfer is not defined.
        cross_check: the multi-bootstrap's interval of transfer, for three seeds or more.
        rank: the best rank that the row may have; None while unranked.
        rank_high: the worst rank that it may have.
        p_value: one-sided, for transfer not being above 0, adjusted for all tests of the board (Holm); None
            while unranked.
        p_by_axis: that of the transfer on each axis alone, adjusted for all rows and axes of the board (Benjamini and
            Hochberg): a secondary question.
        finding, beyond: what a ranked row shows of transfer; `kdbench.scoring.findings` says when. "none larger" means
            none larger than the board's smallest effect; `beyond` is None where transfer may lie in [0, 1].
        unranked: why there is no rank, in words; empty for a ranked row, and for references and controls.
        caveat: which students of a control are damaged, in words; empty if none is, and for all other rows.
        unofficial: why the row's runs are not official; empty otherwise.
        compiled: whether its networks were trained through `--compile`, which rounds differently.
        code: digest of the method's code; runs of different code are different rows.
        differing: the settings, as `key=value`, in which the row differs from other rows of its method on the board.
    """

    kind: RowKind
    method: str
    config: dict[str, bool | int | float | str | None] = {}
    family: Family
    arms: tuple[Arm, ...]
    transfer: Score | None = None
    transfer_by_axis: dict[Axis, Score] = {}
    transfer_by_seed: dict[Int64, Score] = {}
    transfer_by_pair: dict[Int64, Score] = {}
    clean: Score | None = None
    dose_response: DoseResponse | Undefined | None = None
    cross_check: Range | None = None
    rank: Int64 | None = None
    rank_high: Int64 | None = None
    p_value: float | None = None
    p_by_axis: dict[Axis, float] = {}
    finding: Finding | None = None
    beyond: Beyond | None = None
    unranked: str = ""
    caveat: str = ""
    unofficial: tuple[str, ...] = ()
    compiled: bool = False
    code: str = ""
    differing: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """The method, how it differs from other rows of it, and whether its runs, which have a row, were compiled."""
        return ", ".join([self.method, *self.differing, *(["compiled"] if self.compiled else [])])

    def arm_title(self, arm: Arm, title: str = "") -> str:
        """Return the name of one of the row's arms: the title, with the family of a reference, and the teacher.

        Args:
            arm: of the row.
            title: of the row among those of its board (`row_titles`); empty for its own.
        """
        title = title or self.title
        name = f"{self.family} {title}" if self.kind in ("teacher", "independent") else title
        name = f"{name} (control)" if self.kind == "control" else name
        of_family = f" {arm.teacher_family}" if arm.teacher_bias == "natural" and self.kind != "teacher" else ""
        return f"{name}, {arm.teacher_bias}{of_family}" if arm.teacher_bias else name


class BoardScale(FrozenModel):
    """The scale at which the numbers of a board hold.

    Attributes:
        epochs, updates: of the training of a student.
        images: of its training set.
        parameters: of the networks, by family.
        seeds: number of random seeds.
        backbones: number of pairs of pretrained weights from which these seeds start; 1 where all start alike.
    """

    epochs: Int64
    updates: Int64
    images: Int64
    parameters: dict[Family, Int64]
    seeds: Int64
    backbones: Int64


class Board(FrozenModel):
    """All rows that may be compared: one track, question, direction, pair of digests and device class.

    Attributes:
        question: what is swapped between the two students of a seed.
        scale: of the runs; None if none ended well.
        smallest_effect: the smallest transfer that is called transfer.
        tests: number of official rows of methods with the seeds of a rank, for which p-values are adjusted.
        null_band: range of the null controls, including their intervals; None without such controls
            whose intervals cover seeds.
        index_band: the same for the transfer index TI towards the teacher of the other family, on a board of
            architectures; a method without alpha is compared with it.
        pair: the networks of a board of the open division; None for a board of the track's own networks.
    """

    track: str
    question: Question
    direction: Direction
    training_digest: str
    testsets_digest: str
    device_class: str
    num_classes: Int64
    seeds: tuple[Int64, ...]
    rows: tuple[Row, ...]
    scale: BoardScale | None = None
    smallest_effect: float = 0.05
    tests: Int64 = 0
    null_band: Range | None = None
    index_band: Range | None = None
    pair: OpenPair | None = None


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
        contradicting: what was not scored because an earlier results folder has a record of the run that differs.
    """

    schema_version: Literal[3] = 3
    spec_version: str
    scoring_digests: dict[str, str]
    boards: tuple[Board, ...]
    superseded: tuple[Superseded, ...] = ()
    refused: tuple[RefusedRecord, ...] = ()
    contradicting: tuple[RefusedRecord, ...] = ()

    @property
    def left_out(self) -> frozenset[tuple[str, str]]:
        """Track and folder name of every run of which no record was scored."""
        superseded = ((old.track, name) for old in self.superseded for name in old.records)
        return frozenset([*superseded, *((refused.track, refused.record) for refused in self.refused)])
