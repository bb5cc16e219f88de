"""Scores, records and pictures built by hand, for a page that shows everything a page can show.

`full_scores()` has a board of the architecture question, with five seeds, and two of the planted question, with three
seeds and with one.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kdbench.data.synthetic import SHAPE_NAMES, TEXTURE_NAMES, Saliences, condition_images
from kdbench.records import Budget, Record, Timing
from kdbench.scoring.arms import Arm, AxisScore, ConflictScore, Cost, Diagnostics, Likeness, Movement, Profile
from kdbench.scoring.estimates import Estimate, Range, Score, Undefined
from kdbench.scoring.questions import swapped_teachers
from kdbench.scoring.scores import Board, BoardScale, DosePoint, DoseResponse, Row, Scores
from kdbench.spec import Axis, Direction, Family, Question, TeacherKind, families
from kdbench.testsets.gallery import Gallery
from kdbench.testsets.kinds.noise_patch import noisy
from kdbench.testsets.kinds.tiles import scrambled
from kdbench.testsets.spec import load_spec
from tests.examples import DIGESTS, ENVIRONMENT, a_record

AXES: tuple[Axis, ...] = ("shape", "texture", "locality", "scramble", "noise")
TRACK = load_spec().track("synthetic")
SEEDS = (0, 1, 2)
UNCHANGED = "both networks see the images of the batch as they are"
IMAGES_SHOWN = {"sskd": "both networks see each image upright and rotated"}


def estimate(value: float, *, reach: float = 0.03, images: int = 1000, seeds: int = 3) -> Estimate:
    """An estimate with a symmetric interval; one seed's interval covers images only."""
    covers: Any = "images" if seeds < 3 else "seeds and images"
    return Estimate(value=value, low=value - reach, high=value + reach, images=images, seeds=seeds, covers=covers)


def profile(clean: float, *bias: float, conflict: tuple[float, float], seeds: int = 3) -> Profile:
    """A profile from c of each axis in the order of AXES."""
    axes = {}
    for axis, c in zip(AXES, bias, strict=True):
        accuracy = 0.1 + c * (clean - 0.1)
        images = 3000 if axis == "scramble" else 1000
        values = (estimate(value, seeds=seeds, images=images) for value in (accuracy, c, accuracy / clean))
        axes[axis] = AxisScore(**dict(zip(("accuracy", "bias", "ratio"), values, strict=True)))
    shape, texture = conflict
    shares = (estimate(value, images=900, seeds=seeds) for value in (shape, texture, shape / (shape + texture)))
    return Profile(
        clean=estimate(clean, reach=0.012, seeds=seeds),
        axes=axes,
        conflict=ConflictScore(**dict(zip(("shape", "texture", "shape_bias"), shares, strict=True))),
    )


def arm(
    name: str, teacher: TeacherKind | None, shown: Profile | None, *, seeds: Sequence[int] = SEEDS, **more: Any
) -> Arm:
    """An arm whose runs are called NAME-TEACHER-SEED."""
    slow = 1.4 if teacher and not name.startswith("teacher") else 1.0
    cost = Cost(
        training_seconds=26 * slow,
        epoch_seconds=8.7 * slow,
        evaluation_seconds=2.1,
        peak_memory_bytes=610_000_000,
        student_images=9_000,
        teacher_images=9_000 if slow > 1 else 0,
        relative_time=slow,
    )
    kind = f"{teacher.family}-{teacher.bias}" if teacher else "alone"
    return Arm(
        teacher_bias=teacher.bias if teacher else None,
        teacher_family=teacher.family if teacher else None,
        seeds=tuple(seeds),
        profile=shown,
        cost=cost if shown else None,
        run_ids=tuple(f"{name}-{kind}-{seed}" for seed in seeds),
        **more,
    )


def method_row(
    name: str, family: Family, transfer: Score | None, *, pull: float = 0.4, seeds: int = 3, **more: Any
) -> Row:
    """A method of the planted question whose students lie `pull` of the way from independent to their teachers."""
    shape = (0.62 + 0.33 * pull, 0.4 - 0.3 * pull, 0.2, 0.3 - 0.1 * pull, 0.7)
    texture = (0.62 - 0.5 * pull, 0.4 + 0.4 * pull, 0.1, 0.3 + 0.3 * pull, 0.7 - 0.3 * pull)
    towards = {
        "shape": profile(0.96, *shape, conflict=(0.7, 0.13), seeds=seeds),
        "texture": profile(0.9, *texture, conflict=(0.22, 0.45), seeds=seeds),
    }
    arms = tuple(
        arm(name, TeacherKind(other_family(family), bias), towards[bias], seeds=range(seeds), **explanations(seeds))
        for bias in ("shape", "texture")
    )
    by_axis: Mapping[Axis, Score] = {
        "shape": estimate(0.44, reach=0.05),
        "texture": estimate(0.4, reach=0.06),
        "scramble": estimate(0.3, reach=0.1, images=3000),
        "noise": Undefined(reason="one teacher's clean accuracy is at chance"),
    }
    values: dict[str, Any] = {
        "config": {"temperature": 4.0, "distill_weight": 0.9},
        "transfer_by_axis": by_axis,
        "arms": arms,
        "dose_response": dose_response(transfer, seeds),
    }
    return Row(kind="method", method=name, family=family, transfer=transfer, **(values | more))


def row_of_text(text: str) -> Row:
    """Return a row of the planted question without a transfer, in which every text is the same."""
    row = method_row(
        text,
        "vit",
        Undefined(reason=text),
        unranked=text,
        unofficial=(text,),
        config={text: text},
        transfer_by_axis={},
    )
    arms = tuple(arm.model_copy(update={"failed": (text,)}) for arm in row.arms)
    return row.model_copy(update={"arms": arms})


def natural_row(name: str, family: Family, transfer: Score | None, *, pull: float = 0.4, **more: Any) -> Row:
    """A method of the architecture question with five seeds: a student of each family's natural teacher."""
    arms = tuple(
        arm(
            name,
            TeacherKind(teacher, "natural"),
            profile(
                0.95, 0.6, 0.41, 0.25 + share * pull, 0.33, 0.6 + 0.6 * share * pull, conflict=(0.5, 0.25), seeds=5
            ),
            seeds=range(5),
            **explanations(5),
        )
        for teacher, share in ((other_family(family), -0.15), (family, 0.15))
    )
    by_axis: Mapping[Axis, Score] = {"locality": estimate(0.2, reach=0.04), "noise": estimate(0.31, reach=0.05)}
    values: dict[str, Any] = {
        "clean": estimate(0.95, reach=0.01, seeds=5),
        "config": {"temperature": 4.0, "distill_weight": 0.9},
        "transfer_by_axis": by_axis,
        "arms": arms,
    }
    return Row(kind="method", method=name, family=family, transfer=transfer, **(values | more))


def one_family_row(name: str, family: Family) -> Row:
    """A method that can work with teachers of the other family only: it has no alpha."""
    why = Undefined(reason="it reads the attention of its teacher, so it has no other student")
    row = natural_row(name, family, why, transfer_by_axis={}, unranked=f"transfer is undefined: {why.reason}")
    return row.model_copy(update={"arms": row.arms[:1]})


def other_family(family: Family) -> Family:
    return "vit" if family == "cnn" else "cnn"


def explanations(seeds: int) -> dict[str, Any]:
    """Movement and diagnostics of an arm."""
    reason = None if seeds > 2 else f"3 seeds are needed, the row has {seeds}"
    return {"movement": movement(reason=reason), "diagnostics": diagnostics()}


def dose_response(transfer: Score | None, seeds: int, *, proportional: bool = True) -> DoseResponse | Undefined | None:
    """Points near a line whose slope is the transfer; without it, all students of the points differ alike."""
    if not isinstance(transfer, Estimate):
        return None
    if seeds < 3:
        return Undefined(reason=f"3 seeds are needed, the row has {seeds}")
    sizes = [(0.9, 0.7, 1.15, 0.7, 0.9)[seed % 5] for seed in range(seeds)]
    followed = [size * transfer.value + 0.01 if proportional else 0.9 * transfer.value for size in sizes]
    points = (DosePoint(seed=seed, teachers=sizes[seed], students=followed[seed]) for seed in range(seeds))
    return DoseResponse(
        points=tuple(points),
        slope=transfer.value,
        residual_spread=0.01 if proportional else 0.2,
        seed_spread=0.03,
        p_value=0.8 if proportional else 0.0002,
        proportional=proportional,
    )


def control_row(name: str, family: Family, transfer: Score | None, **more: Any) -> Row:
    """A control of the planted question; its students are like the independent one unless `more` says otherwise."""
    values: dict[str, Any] = {"pull": 0.0, "config": {}}
    return _as_control(method_row(name, family, transfer, **(values | more)))


def _as_control(row: Row) -> Row:
    arms = tuple(arm.model_copy(update={"random_teacher": row.method == "random-teacher"}) for arm in row.arms)
    return row.model_copy(update={"kind": "control", "arms": arms})


def natural_control_row(name: str, family: Family, transfer: Score | None, **more: Any) -> Row:
    """A control of the architecture question; its students are like independent unless `more` says otherwise."""
    values: dict[str, Any] = {"pull": 0.0, "config": {}}
    return _as_control(natural_row(name, family, transfer, **(values | more)))


def teacherless_row(name: str, family: Family) -> Row:
    """A control without a teacher."""
    shown = profile(0.96, 0.6, 0.41, 0.25, 0.33, 0.6, conflict=(0.5, 0.25), seeds=5)
    alone = arm(name, None, shown, seeds=range(5), **explanations(5))
    return Row(kind="control", method=name, family=family, arms=(alone,), clean=estimate(0.96, reach=0.01, seeds=5))


def movement(gain: float = 0.01, gap: float = 0.4, reason: str | None = None) -> Movement:
    """Where a student stands; undefined but for its clean accuracy if there is a reason."""
    why = Undefined(reason=reason) if reason else None

    def number(value: float) -> Score:
        return why or estimate(value)

    return Movement(
        clean_gain=estimate(gain),
        gap_closed=number(gap),
        transfer_index=number(0.3),
        index_by_axis={axis: number(0.3) for axis in AXES},
        drift=number(0.1),
        cosine=number(0.9),
    )


def diagnostics(*, taught: bool = True, collapsed: tuple[str, ...] = ()) -> Diagnostics:
    """Calibration of any network, and likeness of one that has a teacher."""
    alike = Likeness(
        agreement=estimate(0.8),
        label_kappa=estimate(0.7),
        label_kappa_gain=estimate(0.08),
        error_consistency=estimate(0.4),
        error_consistency_gain=estimate(0.06),
        error_consistency_relative=estimate(0.21),
        wrong_label_agreement=estimate(0.3),
        divergence=estimate(0.5),
    )
    return Diagnostics(
        calibration_error=estimate(0.04),
        nll=estimate(0.2),
        brier=estimate(0.1),
        permutation_consistency=estimate(0.5),
        permutation_kappa=estimate(0.45),
        likeness={"clean": alike, "manipulated": alike} if taught else {},
        scalar_gains={"cka": estimate(0.71).model_copy(update={"covers": "seeds"})} if taught else {},
        collapsed=collapsed,
    )


def reference_rows(direction: Direction, seeds: int, question: Question) -> tuple[Row, ...]:
    """The teachers that are swapped, and the independent student."""
    profiles = {
        "shape": profile(0.954, 0.98, 0.07, 0.22, 0.12, 0.89, conflict=(0.92, 0.02), seeds=seeds),
        "texture": profile(0.9, 0.16, 0.87, 0.03, 0.62, 0.33, conflict=(0.08, 0.68), seeds=seeds),
        "cnn": profile(0.96, 0.6, 0.42, 0.14, 0.31, 0.5, conflict=(0.54, 0.24), seeds=seeds),
        "vit": profile(0.95, 0.58, 0.4, 0.44, 0.33, 0.71, conflict=(0.58, 0.22), seeds=seeds),
    }
    by_family: dict[Family, list[Arm]] = {}
    for kind in swapped_teachers(question, direction):
        shown = profiles[kind.family if kind.bias == "natural" else kind.bias]
        by_family.setdefault(kind.family, []).append(arm(f"teacher-{question}", kind, shown, seeds=range(seeds)))
    student = families(direction).student
    alone_profile = profile(0.97, 0.62, 0.4, 0.14, 0.3, 0.65, conflict=(0.58, 0.21), seeds=seeds)
    alone = arm("independent", None, alone_profile, seeds=range(seeds))
    return (
        *(
            Row(kind="teacher", method="teacher", family=family, arms=tuple(arms))
            for family, arms in sorted(by_family.items())
        ),
        Row(kind="independent", method="independent", family=student, arms=(alone,)),
    )


def board(direction: Direction, *methods: Row, seeds: int = 3, question: Question = "planted", **more: Any) -> Board:
    """A board of the synthetic track."""
    values: dict[str, Any] = {
        "track": "synthetic",
        "question": question,
        "direction": direction,
        "training_digest": TRACK.training_digest,
        "testsets_digest": TRACK.testsets_digest,
        "device_class": "cpu-float32",
        "num_classes": 10,
        "scale": BoardScale(
            epochs=3,
            updates=138,
            images=3000,
            parameters={"cnn": 307_498, "vit": 451_882},
            seeds=seeds,
            backbones=min(seeds, 5),
        ),
        "seeds": tuple(range(seeds)),
        "rows": (*methods, *reference_rows(direction, seeds, question)),
    }
    return Board(**(values | more))


def natural(**more: Any) -> Board:
    """A board of the compact CIFAR track; `more` goes to its method's row."""
    row = natural_row("lm", "vit", estimate(0.22, reach=0.04, seeds=5), **({"rank": 1, "rank_high": 1} | more))
    bare = [
        arm.model_copy(update={"profile": arm.profile.model_copy(update={"conflict": None})})
        for arm in row.arms
        if arm.profile
    ]
    row = row.model_copy(update={"arms": tuple(bare)})
    return board("cnn-to-vit", row, track="cifar10-32", question="architecture", seeds=5, tests=1)


def scores_of(*boards: Board) -> Scores:
    digests = {board.track: "d" * 64 for board in boards}
    return Scores(spec_version="1.0.0", scoring_digests=digests, boards=boards)


def full_scores() -> Scores:
    """Three boards: of the architecture question, and of the planted one with every kind of row and with one seed."""
    lonely = method_row(
        "lm", "cnn", estimate(0.5, reach=0.05, seeds=1), seeds=1, unranked="needs 3 seeds", transfer_by_axis={}
    )
    return scores_of(architecture_board(), planted_board(), board("vit-to-cnn", lonely, seeds=1))


def architecture_board() -> Board:
    """Five seeds; every word for a row, a method without alpha, and controls."""
    by_pair = {pair: estimate(0.2 + 0.01 * pair, seeds=1) for pair in range(5)}
    shown: Sequence[tuple[str, float, dict[str, Any]]] = (
        ("crd", 1.3, {"finding": "transfers", "beyond": "overshoot", "p_value": 0.0002}),
        ("lm", 0.22, {"finding": "transfers", "p_value": 0.001, "transfer_by_pair": by_pair}),
        ("sskd", 0.031, {"finding": "a trace", "p_value": 0.02}),
        ("cskd", 0.04, {"finding": "none shown", "p_value": 0.3}),
        ("vlfkd", -0.012, {"finding": "none larger", "beyond": "moved away", "p_value": 1.0}),
    )
    rows = (
        natural_row(name, "vit", estimate(alpha, reach=0.02, seeds=5), rank=rank, rank_high=min(rank + 1, 5), **more)
        for rank, (name, alpha, more) in enumerate(shown, start=1)
    )
    return board(
        "cnn-to-vit",
        *rows,
        one_family_row("capd", "vit"),
        natural_control_row("random-teacher", "vit", estimate(0.01, reach=0.04, seeds=5)),
        natural_control_row("lm-w100-t4", "vit", estimate(0.3, seeds=5), clean=estimate(0.9, reach=0.01, seeds=5)),
        teacherless_row("label-smoothing", "vit"),
        seeds=5,
        question="architecture",
        tests=6,
        null_band=Range(low=-0.03, high=0.05),
        index_band=Range(low=-0.08, high=0.11),
    )


def planted_board() -> Board:
    """Three seeds; ranked, unranked, failed and unofficial rows, and controls."""
    failed = tuple(
        arm("sskd", TeacherKind("cnn", bias), None, failed=("seed 1: diverged: loss is not a number at step 88",))
        for bias in ("shape", "texture")
    )
    probe = estimate(0.9, reach=0.2)
    return board(
        "cnn-to-vit",
        method_row(
            "crd",
            "vit",
            estimate(0.61, reach=0.05),
            pull=0.7,
            config={"temperature": 0.07},
            rank=1,
            rank_high=1,
            p_value=0.0004,
            finding="transfers",
            cross_check=Range(low=0.57, high=0.65),
        ),
        method_row("cskd", "vit", estimate(-0.02, reach=0.07), pull=0.0, rank=2, rank_high=3, p_value=0.61, config={}),
        method_row("lm", "vit", estimate(0.43, reach=0.06), unranked="3 of 5 seeds; 5 are needed for a rank"),
        method_row(
            "sskd",
            "vit",
            Undefined(reason="no seed has both students"),
            arms=failed,
            transfer_by_axis={},
            unranked="1 of 3 seeds failed",
        ),
        method_row(
            "tuned",
            "vit",
            estimate(0.7, reach=0.05),
            pull=0.8,
            unranked="unofficial",
            unofficial=("--epochs 9", "--limit-train 500"),
        ),
        control_row("random-teacher", "vit", estimate(0.01, reach=0.04)),
        control_row("probe-one-bit", "vit", probe, pull=0.8, dose_response=dose_response(probe, 3, proportional=False)),
        tests=2,
        null_band=Range(low=-0.03, high=0.05),
    )


def records_of(scores: Scores) -> list[Record]:
    """A record for every run of the scores."""
    return [
        _record(run_id, row, arm, board, seed)
        for board in scores.boards
        for row in board.rows
        for arm in row.arms
        for run_id, seed in zip(arm.run_ids, arm.seeds, strict=True)
    ]


def _record(run_id: str, row: Row, arm: Arm, board: Board, seed: int) -> Record:
    failed = bool(arm.failed) and seed == 1
    curve = [1 - 0.9 * (0.3 + 0.03 * seed) ** epoch for epoch in range(4)]
    return a_record(
        run_id=run_id,
        role="teacher" if row.kind == "teacher" else "student",
        family=row.family,
        direction=None if row.kind == "teacher" else _direction(arm, board),
        teacher_bias=arm.teacher_bias,
        method=row.method,
        images_shown="" if row.kind == "teacher" else IMAGES_SHOWN.get(row.method, UNCHANGED),
        beyond_paper=row.kind == "method" and arm.teacher_family == row.family and row.method != "lm",
        seed=seed,
        status="diverged" if failed else "ok",
        reason="loss is not a number at step 88" if failed else "",
        digests=DIGESTS.model_copy(update={"training": board.training_digest, "testsets": board.testsets_digest}),
        environment=ENVIRONMENT.model_copy(update={"command": "kdbench run --seeds 0-2", "commit": "0123456789abcdef"}),
        budget=Budget(steps=141, examples=9000, teacher_forward_images=9000),
        timing=Timing(training=26.0, epochs=(8.4 + 0.1 * seed, 8.7, 9.2)),
        parameters=451_882,
        curves=tuple(
            {"train_accuracy": right, "cross_entropy": 2.3 * (1 - right), "kd": 1.1 - right, "learning_rate": 1e-3}
            for right in curve
        ),
    )


def _direction(arm: Arm, board: Board) -> Direction:
    student = families(board.direction).student
    return f"{arm.teacher_family}-to-{student}" if arm.teacher_family else board.direction  # type: ignore[return-value]


def a_gallery() -> dict[str, Gallery]:
    """Pictures of the synthetic track, without the sets that take long to make."""
    ids = np.arange(10)
    names = tuple(f"{shape}, {texture}" for shape, texture in zip(SHAPE_NAMES, TEXTURE_NAMES, strict=True))
    drawn = {
        name: condition_images(name, count=10, saliences=_saliences())
        for name in ("clean", "shape", "texture", "cue-conflict")
    }
    sets = {name: (images.images, images.labels) for name, images in drawn.items()}
    clean, labels = sets["clean"]
    tile = np.random.default_rng(0).normal(0, 128, (12, 12, 3)).astype(np.int16)
    sets |= {f"scramble-{grid}": (scrambled(clean, ids, grid=grid), labels) for grid in (2, 4, 8)}
    sets["noise"] = (noisy(clean, ids, tile, size=8), labels)
    return {"synthetic": Gallery(sets, names)}


def _saliences() -> Saliences:
    assert TRACK.data.look is not None
    return Saliences(**TRACK.data.look.model_dump())
