"""What `scores.json` says of one arm: its profile, diagnostics, movement and cost."""

from typing import Literal

from kdbench.scoring.estimates import Score
from kdbench.spec import Axis, Family, FrozenModel, Int64, TeacherBias, TeacherKind


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
        conflict: None if a run has no answers to cue-conflict images.
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
    """Numbers that explain scores and are part of none.

    Attributes:
        calibration_error, nll, brier: on the clean set; from 0 to 1, in nats, and from 0 to 2.
        permutation_consistency: share of equal answers to an image and to its scrambled tiles, averaged over the grids.
        permutation_kappa: the agreement of these answers beyond chance, from -1 to 1.
        likeness: to the teacher, by "clean" and "manipulated"; empty without a teacher.
        scalars: likeness of whole runs to the teacher, such as `cka`, by the names of `kdbench.evaluation.similarity`.
        scalar_gains: each of `scalars` minus that of the independent student with this teacher.
        occlusion_on_object: share of the occlusion map that lies on the object; None if a record lacks it.
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
    """The position of one teacher's students between the independent student and that teacher.

    Attributes:
        clean_gain: clean accuracy minus the independent student's.
        gap_closed: G: 1 at the teacher's profile, 0 where the student is no nearer to it than the independent one.
        gap_closed_matched: G relative to the independent student at the student's clean accuracy, which is interpolated
            between snapshots; None without that control.
        transfer_index: TI, the share of the way to the teacher.
        index_by_axis: TI of each axis alone.
        drift: movement off the line to the teacher, relative to the distance between independent student and teacher.
        cosine: of the angle between the movement and the direction to the teacher.
    """

    clean_gain: Score
    gap_closed: Score
    gap_closed_matched: Score | None = None
    transfer_index: Score
    index_by_axis: dict[Axis, Score]
    drift: Score
    cosine: Score


class Cost(FrozenModel):
    """Medians over the runs of a row.

    Attributes:
        student_images, teacher_images: number of images in forward passes of either network, in training and before it.
        relative_time: ratio of the training seconds to those of independent; None without independent.
        beside: the largest number of other jobs that worked on the GPU of one of these runs at once.
    """

    training_seconds: float
    epoch_seconds: float
    evaluation_seconds: float
    peak_memory_bytes: Int64
    student_images: Int64
    teacher_images: Int64
    relative_time: float | None
    beside: Int64 = 0


class Arm(FrozenModel):
    """The students of one method with one kind of teacher. Teachers and independents have arms, too.

    Attributes:
        teacher_bias, teacher_family: of the teacher; None without one.
        seeds: of the successful runs, from which the profile is computed.
        failed: the other runs, in words: "seed 1 diverged: loss is not finite".
        run_ids: of all runs, failed ones included, by seed.
        diagnostics: None if no run could be scored.
        movement: of students with a teacher, if independent and teacher were scored on a common seed.
        random_teacher: whether its teachers were never trained, or it consists of such teachers.
    """

    teacher_bias: TeacherBias | None
    teacher_family: Family | None = None
    seeds: tuple[Int64, ...]
    failed: tuple[str, ...] = ()
    profile: Profile | None
    cost: Cost | None
    run_ids: tuple[str, ...]
    diagnostics: Diagnostics | None = None
    movement: Movement | None = None
    random_teacher: bool = False

    @property
    def teacher(self) -> TeacherKind | None:
        """The kind of teacher; None without one."""
        return (
            TeacherKind(self.teacher_family, self.teacher_bias) if self.teacher_family and self.teacher_bias else None
        )
