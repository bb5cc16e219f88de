"""Scores, records and pictures built by hand, for a page that shows everything a page can show."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kdbench.data.synthetic import SHAPE_NAMES, TEXTURE_NAMES, Saliences, condition_images
from kdbench.records import Budget, Record, Timing
from kdbench.scoring.arms import Arm, AxisScore, ConflictScore, Cost, Diagnostics, Likeness, Movement, Profile
from kdbench.scoring.estimates import Estimate, Range, Score, Undefined
from kdbench.scoring.scores import Board, Row, Scores
from kdbench.spec import Axis, Direction, Family, TeacherBias, families
from kdbench.testsets.gallery import Gallery
from kdbench.testsets.kinds.noise_patch import noisy
from kdbench.testsets.kinds.tiles import scrambled
from kdbench.testsets.spec import load_spec
from tests.examples import DIGESTS, ENVIRONMENT, a_record

AXES: tuple[Axis, ...] = ("shape", "texture", "locality", "scramble", "noise")
TRACK = load_spec().track("synthetic")
SEEDS = (0, 1, 2)


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
    name: str, bias: TeacherBias | None, shown: Profile | None, *, seeds: Sequence[int] = SEEDS, **more: Any
) -> Arm:
    """An arm whose runs are called NAME-BIAS-SEED."""
    slow = 1.4 if bias and not name.startswith("teacher") else 1.0
    cost = Cost(
        training_seconds=26 * slow,
        epoch_seconds=8.7 * slow,
        evaluation_seconds=2.1,
        peak_memory_bytes=610_000_000,
        student_images=9_000,
        teacher_images=9_000 if slow > 1 else 0,
        relative_time=slow,
    )
    run_ids = tuple(f"{name}-{bias or 'alone'}-{seed}" for seed in seeds)
    return Arm(
        teacher_bias=bias, seeds=tuple(seeds), profile=shown, cost=cost if shown else None, run_ids=run_ids, **more
    )


def method_row(
    name: str, family: Family, transfer: Score | None, *, pull: float = 0.4, seeds: int = 3, **more: Any
) -> Row:
    """A method whose students lie `pull` of the way from independent to their teachers."""
    numbers = range(seeds)
    towards = {
        "shape": profile(
            0.96, 0.62 + 0.33 * pull, 0.4 - 0.3 * pull, 0.2, 0.3 - 0.1 * pull, 0.7, conflict=(0.7, 0.13), seeds=seeds
        ),
        "texture": profile(
            0.9,
            0.62 - 0.5 * pull,
            0.4 + 0.4 * pull,
            0.1,
            0.3 + 0.3 * pull,
            0.7 - 0.3 * pull,
            conflict=(0.22, 0.45),
            seeds=seeds,
        ),
    }
    explanations: dict[str, Any] = {
        "movement": movement(reason=None if seeds > 2 else f"3 seeds are needed, the row has {seeds}"),
        "diagnostics": diagnostics(),
    }
    arms: tuple[Arm, ...] = tuple(
        arm(name, bias, towards[bias], seeds=numbers, **explanations) for bias in ("shape", "texture")
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
    }
    return Row(kind="method", method=name, family=family, transfer=transfer, **(values | more))


def control_row(name: str, family: Family, transfer: Score | None) -> Row:
    """A control whose students are like the independent one."""
    return method_row(name, family, transfer, pull=0.0).model_copy(update={"kind": "control", "config": {}})


def movement(gain: float = 0.01, gap: float = 0.4, reason: str | None = None) -> Movement:
    """Where a student stands; undefined but for its clean accuracy if there is a reason."""
    why = Undefined(reason=reason) if reason else None

    def number(value: float) -> Score:
        return why or estimate(value)

    return Movement(
        axes=AXES,
        clean_gain=estimate(gain),
        gap_closed=number(gap),
        gap_by_axis={axis: number(gap / 5) for axis in AXES},
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


def reference_rows(direction: Direction, seeds: int = 3) -> tuple[Row, Row]:
    """Two teachers and the independent student."""
    teacher, student = families(direction)
    numbers = range(seeds)
    teachers = (
        arm(
            f"teacher-{teacher}",
            "shape",
            profile(0.954, 0.98, 0.07, 0.22, 0.12, 0.89, conflict=(0.92, 0.02), seeds=seeds),
            seeds=numbers,
        ),
        arm(
            f"teacher-{teacher}",
            "texture",
            profile(0.9, 0.16, 0.87, 0.03, 0.62, 0.33, conflict=(0.08, 0.68), seeds=seeds),
            seeds=numbers,
        ),
    )
    alone = arm(
        "independent",
        None,
        profile(0.97, 0.62, 0.4, 0.14, 0.3, 0.65, conflict=(0.58, 0.21), seeds=seeds),
        seeds=numbers,
    )
    return (
        Row(kind="teacher", method="teacher", family=teacher, arms=teachers),
        Row(kind="independent", method="independent", family=student, arms=(alone,)),
    )


def board(direction: Direction, *methods: Row, seeds: int = 3, **more: Any) -> Board:
    """A board of the synthetic track."""
    values: dict[str, Any] = {
        "track": "synthetic",
        "question": "planted",
        "direction": direction,
        "training_digest": TRACK.training_digest,
        "testsets_digest": TRACK.testsets_digest,
        "device_class": "cpu-float32",
        "num_classes": 10,
        "seeds": tuple(range(seeds)),
        "rows": (*methods, *reference_rows(direction, seeds)),
    }
    return Board(**(values | more))


def natural(**more: Any) -> Board:
    """A board of the compact CIFAR track, ranked by the gap closed; `more` goes to its method's row."""
    natural_profile = profile(0.9, 0.1, 0.5, 0.2, 0.2, 0.6, conflict=(0.2, 0.5))
    bare = natural_profile.model_copy(update={"conflict": None})
    closed: dict[str, Any] = {"gap_closed": estimate(0.4), "rank": 1, "rank_high": 1, "badges": ("G only", "one-axis")}
    rows = (
        Row(kind="teacher", method="teacher", family="cnn", arms=(arm("teacher", "natural", natural_profile),)),
        Row(kind="independent", method="independent", family="vit", arms=(arm("independent", None, natural_profile),)),
        Row(
            kind="method",
            method="lm",
            family="vit",
            arms=(arm("lm", "natural", bare, movement=movement(), diagnostics=diagnostics()),),
            **(closed | more),
        ),
    )
    return board("cnn-to-vit", track="cifar10-32", rows=rows, primary="gap-closed", question="architecture", tests=1)


def scores_of(*boards: Board) -> Scores:
    digests = {board.track: "d" * 64 for board in boards}
    return Scores(spec_version="1.0.0", scoring_digests=digests, boards=boards)


def full_scores() -> Scores:
    """Two boards: one with every kind of row, one of a single seed."""
    failed = (
        arm("sskd", "shape", None, failed=("seed 1: diverged: loss is not a number at step 88",)),
        arm("sskd", "texture", None, failed=("seed 1: diverged: loss is not a number at step 88",)),
    )
    first = board(
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
        tests=2,
        null_band=Range(low=-0.03, high=0.05),
    )
    lonely = method_row(
        "lm", "cnn", estimate(0.5, reach=0.05, seeds=1), seeds=1, unranked="needs 3 seeds", transfer_by_axis={}
    )
    return scores_of(first, board("vit-to-cnn", lonely, seeds=1))


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
        direction=None if row.kind == "teacher" else board.direction,
        teacher_bias=arm.teacher_bias,
        method=row.method,
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
