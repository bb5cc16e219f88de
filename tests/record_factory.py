"""Fake but realistic records and predictions: a whole matrix of runs on disk, in a second, with known answers.

    write_matrix(tmp_path, methods=("lm", "crd"), seeds=(0, 1, 2), transfer={"lm": 0.4, "crd": 0.7})

The right answers are known: a student's chance-corrected profile is its independent's, moved by `transfer` towards its
teacher's, so tau comes out as `transfer` (but for rounding to whole images and, unless 0, `spread`). Everything is a
pure function of the arguments.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from kdbench.plan.current import shipped_codes
from kdbench.records import (
    PREDICTIONS,
    Budget,
    ControlTerms,
    Digests,
    Environment,
    Predictions,
    Record,
    SetPredictions,
    Status,
    Timing,
    record_folder,
    write_record,
)
from kdbench.records.arrays import JoinedArrays
from kdbench.records.identity import RunIdentity, identity_of
from kdbench.records.storage import seal_record
from kdbench.records.summary import summarise
from kdbench.spec import (
    BIAS_AXES,
    FAMILIES,
    Axis,
    Direction,
    Family,
    Question,
    TeacherBias,
    TestSet,
    Track,
    digest,
    families,
    within_family,
)
from kdbench.testsets.spec import load_spec

CONFIGS: Mapping[str, dict[str, Any]] = {
    "lm": {"temperature": 4.0, "distill_weight": 0.9},
    "crd": {"temperature": 0.07},
}
EPOCH_SECONDS: Mapping[Family, float] = {"cnn": 3.4, "vit": 8.7}
PARAMETERS: Mapping[Family, int] = {"cnn": 307_498, "vit": 451_882}


_CODES = shipped_codes()
_WRITTEN: dict[str, Mapping[str, bytes]] = {}  # files of a record by all that decides them: writing them is slow


@dataclass(frozen=True)
class FakeProfile:
    """The answers of a fake network: clean accuracy, biases, shares of conflict images by shape and texture."""

    clean: float
    bias: Mapping[Axis, float]
    conflict: tuple[float, float]

    @classmethod
    def of(cls, clean: float, *bias: float, conflict: tuple[float, float]) -> "FakeProfile":
        """Make a profile; `bias` is in the order of BIAS_AXES: texture, shape, locality, scramble, noise."""
        return cls(clean, dict(zip(BIAS_AXES, bias, strict=True)), conflict)

    def moved(self, towards: "FakeProfile", origin: "FakeProfile", share: float) -> "FakeProfile":
        """Return this profile plus `share` of the way from `origin` to `towards`; clean accuracy stays."""
        bias = {axis: c + share * (towards.bias[axis] - origin.bias[axis]) for axis, c in self.bias.items()}
        shape, texture = (
            own + share * (there - here)
            for own, there, here in zip(self.conflict, towards.conflict, origin.conflict, strict=True)
        )
        return replace(self, bias=bias, conflict=(max(shape, 0.0), max(min(texture, 1 - max(shape, 0.0)), 0.0)))


TEACHERS: Mapping[tuple[Family, TeacherBias], FakeProfile] = {
    ("vit", "shape"): FakeProfile.of(0.95, 0.08, 0.96, 0.22, 0.12, 0.88, conflict=(0.92, 0.02)),
    ("vit", "texture"): FakeProfile.of(0.91, 0.80, 0.18, 0.05, 0.66, 0.32, conflict=(0.08, 0.68)),
    ("vit", "natural"): FakeProfile.of(0.95, 0.42, 0.60, 0.45, 0.33, 0.72, conflict=(0.58, 0.22)),
    ("cnn", "shape"): FakeProfile.of(0.98, 0.12, 0.95, 0.14, 0.09, 0.75, conflict=(0.94, 0.02)),
    ("cnn", "texture"): FakeProfile.of(0.92, 0.84, 0.28, 0.05, 0.42, 0.08, conflict=(0.16, 0.58)),
    ("cnn", "natural"): FakeProfile.of(0.97, 0.48, 0.58, 0.14, 0.35, 0.50, conflict=(0.54, 0.24)),
}
INDEPENDENTS: Mapping[Family, FakeProfile] = {
    "vit": FakeProfile.of(0.96, 0.40, 0.62, 0.14, 0.32, 0.70, conflict=(0.58, 0.22)),
    "cnn": FakeProfile.of(0.97, 0.50, 0.58, 0.10, 0.34, 0.48, conflict=(0.54, 0.24)),
}


@dataclass(frozen=True)
class Matrix:
    """The settings of `write_matrix`."""

    results: Path
    track: Track
    seeds: Sequence[int]
    images: int | None
    transfer: Mapping[str, float]
    spread: float
    clean: Mapping[str, float]
    failed: Mapping[tuple[str, int], tuple[Status, str]]
    unofficial: tuple[str, ...]
    environment: Environment
    skip: Collection[str] = field(default=())
    controls: Collection[str] = field(default=())
    scalars: Mapping[str, float] = field(default_factory=dict)
    frontier: Collection[str] = field(default=())
    question: Question = "planted"

    def is_control(self, method: str) -> bool:
        """Return whether the runs of a method are control arms or their teachers."""
        return method in (*self.controls, *self.frontier, "untrained")

    def arms(self, direction: Direction) -> list[tuple[Direction, TeacherBias]]:
        """Return the direction and the teacher's bias of each student of a method."""
        if self.question == "architecture":
            return [(direction, "natural"), (within_family(direction), "natural")]
        return [(direction, "shape"), (direction, "texture")]

    def middle(self, family: Family) -> FakeProfile:
        """Return the profile half-way between the two teachers of a board, given the family of its planted teachers."""
        if self.question == "architecture":
            first, second = TEACHERS["vit", "natural"], TEACHERS["cnn", "natural"]
        else:
            first, second = TEACHERS[family, "shape"], TEACHERS[family, "texture"]
        return first.moved(second, first, 0.5)


def write_matrix(
    results: Path,
    *,
    track: str = "synthetic",
    methods: Sequence[str] = ("lm",),
    seeds: Sequence[int] = (0,),
    directions: Sequence[Direction] | None = None,
    images: int | None = 200,
    transfer: float | Mapping[str, float] = 0.5,
    spread: float = 0.02,
    clean: Mapping[str, float] | None = None,
    failed: Mapping[tuple[str, int], tuple[Status, str]] | None = None,
    unofficial: tuple[str, ...] = (),
    device_class: str = "cpu-float32",
    skip: Collection[str] = (),
    controls: Collection[str] = (),
    frontier: Collection[str] = (),
    scalars: Mapping[str, float] | None = None,
    question: Question | None = None,
) -> list[Path]:
    """Write the teachers of a question, independents and the students of all methods, in each direction.

    Args:
        results: folder that gets `TRACK/RUN-TESTSETS/`.
        track: a track of the shipped spec.
        methods: names of the submissions beside `independent`.
        seeds: random seeds; every seed has its own teachers.
        directions: the track's, if None.
        images: at most that many per test set (a multiple of 10; 90 for cue-conflict); None for the spec's number.
        transfer: share of the teachers' difference that shows in the students: of all methods and frontier arms, or
            by name.
        spread: standard deviation of every c over seeds.
        clean: clean accuracy by method, where it shall differ from independent's; 0.1 is chance, on every set.
        failed: status and reason by (method, seed), "teacher" included: these records have no predictions.
        unofficial: why the runs are not official.
        device_class: of the machine they pretend to have run on.
        skip: test sets that are left out of all predictions.
        controls: control arms beside the methods: `random-teacher`, with untrained teachers of its own, or any name of
            one without a teacher. Their students are like independent.
        frontier: control arms that have the trained teachers, as methods have.
        scalars: of every student.
        question: "architecture" for natural teachers of both families, "planted" for planted ones of the other family;
            by default the latter, on tracks that have them.

    Returns:
        Folders of the records written, teachers first.
    """
    shipped = load_spec().track(track)
    taught = (*methods, *frontier)
    every = transfer if isinstance(transfer, Mapping) else dict.fromkeys(taught, float(transfer))
    environment = _environment(device_class)
    matrix = Matrix(
        results=results,
        track=shipped,
        seeds=seeds,
        images=images,
        transfer=every,
        spread=spread,
        clean=clean or {},
        failed=failed or {},
        unofficial=unofficial,
        environment=environment,
        skip=skip,
        controls=controls,
        frontier=frontier,
        scalars=scalars or {},
        question=question or ("planted" if shipped.planted else "architecture"),
    )
    folders = []
    for seed in seeds:
        wanted = directions or shipped.directions
        arms = {direction: matrix.arms(direction) for direction in wanted}
        teachers = dict.fromkeys((families(way).teacher, bias) for pair in arms.values() for way, bias in pair)
        folders += [_write_teacher(matrix, family, bias, seed) for family, bias in teachers]
        for direction in wanted:
            folders.append(_write_student(matrix, "independent", direction, None, seed))
            folders += [_write_student(matrix, m, way, bias, seed) for m in taught for way, bias in arms[direction]]
            for control in controls:
                folders += _write_control(matrix, control, direction, seed)
    return folders


def _write_teacher(matrix: Matrix, family: Family, bias: TeacherBias, seed: int) -> Path:
    profile = _jittered(TEACHERS[family, bias], matrix.spread, "teacher", family, bias, seed)
    return _write(matrix, profile, method="teacher", family=family, direction=None, bias=bias, seed=seed)


def _write_control(matrix: Matrix, control: str, direction: Direction, seed: int) -> list[Path]:
    if control != "random-teacher":
        return [_write_student(matrix, control, direction, None, seed)]
    knows_nothing, folders = FakeProfile.of(0.12, 0, 0, 0, 0, 0, conflict=(0.1, 0.1)), []
    for way, bias in matrix.arms(direction):
        family = families(way).teacher
        untrained = partial(_write, method="untrained", family=family, direction=None, bias=bias, seed=seed)
        folders += [untrained(matrix, knows_nothing), _write_student(matrix, control, way, bias, seed)]
    return folders


def _write_student(matrix: Matrix, method: str, direction: Direction, bias: TeacherBias | None, seed: int) -> Path:
    teacher, family = families(direction)
    profile = INDEPENDENTS[family]
    if bias is not None:
        share = matrix.transfer.get(method, 0.0)
        profile = profile.moved(TEACHERS[teacher, bias], matrix.middle(teacher), share)
    if method in matrix.clean:
        profile = replace(profile, clean=matrix.clean[method])
    profile = _jittered(profile, matrix.spread, method, direction, bias or "alone", seed)
    return _write(matrix, profile, method=method, family=family, direction=direction, bias=bias, seed=seed)


def _jittered(profile: FakeProfile, spread: float, *name: str | int) -> FakeProfile:
    noise = _generator(*name).normal(0, spread, len(BIAS_AXES))
    bias = {axis: profile.bias[axis] + step for axis, step in zip(BIAS_AXES, noise, strict=True)}
    return replace(profile, bias=bias)


def _generator(*name: str | int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(int(digest(name)[:16], 16)))


def _write(
    matrix: Matrix,
    profile: FakeProfile,
    *,
    method: str,
    family: Family,
    direction: Direction | None,
    bias: TeacherBias | None,
    seed: int,
) -> Path:
    """Write the record of one run, or the bytes of it that an earlier matrix in this process has written."""
    outcome = matrix.failed.get((method, seed), ("ok", ""))
    control = matrix.is_control(method)
    of_matrix = (matrix.track.name, matrix.images, matrix.skip, matrix.unofficial, matrix.environment, matrix.scalars)
    key = repr((of_matrix, outcome, control, profile, method, family, direction, bias, seed))
    run_id = _run_id(matrix, method, direction or family, bias, seed)
    folder = record_folder(matrix.results, matrix.track.name, run_id, matrix.track.testsets_digest)
    if key in _WRITTEN:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in _WRITTEN[key].items():
            (folder / name).write_bytes(content)
        return folder
    place = direction or family
    predictions = _predictions(matrix, profile, method, place, bias or "alone", seed) if outcome[0] == "ok" else {}
    record = _record(matrix, predictions, method=method, family=family, direction=direction, bias=bias, seed=seed)
    _write_uncompressed(folder, record, predictions)
    _WRITTEN[key] = {path.name: path.read_bytes() for path in folder.iterdir()}
    return folder


def _write_uncompressed(folder: Path, record: Record, predictions: Predictions) -> None:
    """Write a record as `write_record` does, but for the compression of the answers, which is most of its time."""
    folder.mkdir(parents=True, exist_ok=True)
    if predictions:
        by_set = {name: vars(answers) for name, answers in predictions.items()}
        np.savez(folder / PREDICTIONS, **JoinedArrays.of(by_set, images_from="target").stored())  # type: ignore[arg-type]
    seal_record(folder, record)


def _record(
    matrix: Matrix,
    predictions: Predictions,
    *,
    method: str,
    family: Family,
    direction: Direction | None,
    bias: TeacherBias | None,
    seed: int,
) -> Record:
    status, reason = matrix.failed.get((method, seed), ("ok", ""))
    return Record(
        run_id=_run_id(matrix, method, direction or family, bias, seed),
        role="teacher" if direction is None else "student",
        track=matrix.track.name,
        family=family,
        direction=direction,
        teacher_bias=bias,
        method=method,
        config=CONFIGS.get(method, {}),
        seed=seed,
        teacher_run_id=_teacher_of(matrix, method, direction, bias, seed),
        status=status,
        reason=reason,
        unofficial=matrix.unofficial,
        digests=Digests(
            training=matrix.track.training_digest,
            testsets=matrix.track.testsets_digest,
            code=_code(method),
            weights=digest(["weights", method, direction, bias, seed]) if status == "ok" else None,
            arrays={name: digest(["array", name]) for name in predictions},
        ),
        environment=matrix.environment,
        test=summarise(predictions),
        control=matrix.is_control(method),
        control_terms=_control_terms(matrix, method),
        scalars=dict(matrix.scalars) if direction and status == "ok" else {},
        numerics=1,
        finished="2026-01-01T00:00:00+00:00",
        **_costs(matrix.track, family, method, distilled=bias is not None and direction is not None, seed=seed),
    )


def _teacher_of(
    matrix: Matrix, method: str, direction: Direction | None, bias: TeacherBias | None, seed: int
) -> str | None:
    if direction is None or bias is None:
        return None
    teacher = "untrained" if method == "random-teacher" else "teacher"
    return _run_id(matrix, teacher, families(direction).teacher, bias, seed)


def _run_id(matrix: Matrix, method: str, place: Direction | Family, bias: TeacherBias | None, seed: int) -> str:
    """Return the id of a run, by its method and by its direction, or by the family of a teacher."""
    of_teacher = place in FAMILIES
    direction: Direction | None = None if of_teacher else cast(Direction, place)
    return RunIdentity(
        training=matrix.track.training_digest,
        track=matrix.track.name,
        role="teacher" if of_teacher else "student",
        family=families(direction).student if direction else cast(Family, place),
        direction=direction,
        bias=bias,
        method=method,
        code=_code(method),
        config=CONFIGS.get(method, {}),
        seed=seed,
        teacher=_teacher_of(matrix, method, direction, bias, seed),
        device=matrix.environment.device_class.split("-")[0],
        limit_train=None,
        numerics=1,
        control=_control_terms(matrix, method),
    ).run_id


def _control_terms(matrix: Matrix, method: str) -> ControlTerms | None:
    return ControlTerms(epochs_factor=1.0, snapshots=0) if matrix.is_control(method) else None


def _code(method: str) -> str:
    return _CODES.get(method) or digest(["code", method])


def write_again(results: Path, record: Record, predictions: Predictions) -> Path:
    """Write a record that was changed below `results`, with the run id and the summary that it then has."""
    test = summarise(predictions)
    record = record.model_copy(update={"run_id": identity_of(record).run_id, "test": test})
    folder = record_folder(results, record.track, record.run_id, record.digests.testsets)
    write_record(folder, record, predictions)
    return folder


def _predictions(matrix: Matrix, profile: FakeProfile, *name: str | int) -> Predictions:
    sets = [s for s in matrix.track.test_sets if s.name not in matrix.skip]
    return {s.name: _answers(s, matrix, profile, *name) for s in sets}


def _answers(test_set: TestSet, matrix: Matrix, profile: FakeProfile, *name: str | int) -> SetPredictions:
    """Return answers with exactly the wanted share right. An image is about as hard for one network as for another."""
    classes, conflict = matrix.track.data.num_classes, test_set.axis == "cue-conflict"
    step = classes * (classes - 1) if conflict else classes
    count = max(min(test_set.images, matrix.images or test_set.images) // step, 1) * step
    position = np.arange(count)
    target = position % classes
    texture = (target + 1 + position // classes % (classes - 1)) % classes if conflict else target
    hardness = _hardness(count)
    order = np.argsort(hardness + 0.5 * _generator(test_set.name, *name).random(count), kind="stable")
    label = (target + 1 + _generator("wrong", test_set.name, *name).integers(0, classes - 1, count)) % classes
    if conflict:
        first, second = (round(share * count) for share in profile.conflict)
        elsewhere = (target + (texture - target) % classes % (classes - 1) + 1) % classes
        label = np.where(elsewhere == target, (target + classes - 1) % classes, elsewhere)
        label[order[first : first + second]] = texture[order[first : first + second]]
    else:
        chance = 1 / classes
        bias = profile.bias.get(test_set.axis, 1.0)  # on sets without a score, as on clean images
        first = round(float(np.clip(chance + bias * (profile.clean - chance), 0, 1)) * count)
    label[order[:first]] = target[order[:first]]
    return _measured(np.where(conflict, -1, position), target, texture, label, order)


@cache
def _hardness(count: int) -> NDArray[np.float64]:
    return _generator("hardness").random(count)


def _measured(
    index: NDArray[np.int64],
    target: NDArray[np.int64],
    texture: NDArray[np.int64],
    label: NDArray[np.int64],
    order: NDArray[np.int64],
) -> SetPredictions:
    ease = 1 - np.argsort(order) / len(order)
    confidence = 0.3 + 0.69 * ease
    nll = -np.log(np.where(label == target, confidence, (1 - confidence) / 9))
    brier = np.where(label == target, 1.0, 1.6) * (1 - confidence) ** 2 + np.where(label == target, 0.0, 0.4)
    return SetPredictions(
        index=index.astype(np.int32),
        target=target.astype(np.int16),
        texture=texture.astype(np.int16),
        label=label.astype(np.int16),
        confidence=confidence.astype(np.float32),
        nll=nll.astype(np.float32),
        brier=brier.astype(np.float32),
        kl=(0.4 * (1 - confidence)).astype(np.float32),
    )


def _costs(track: Track, family: Family, method: str, *, distilled: bool, seed: int) -> dict[str, Any]:
    """Return the budget, timing, memory, parameters and curves of a run, as a record has them."""
    epochs = track.training.student_epochs if method != "teacher" else track.training.teacher_epochs
    seconds = EPOCH_SECONDS[family] * (1.4 if distilled else 1.0) * (1 + 0.02 * (seed % 3))
    images = epochs * track.data.num_train
    curve = [1 - 0.9 * 0.35**epoch for epoch in range(epochs)]
    return {
        "budget": Budget(
            steps=epochs * (track.data.num_train // track.training.batch_size),
            examples=images,
            student_forward_images=images,
            student_backward_images=images,
            teacher_forward_images=images if distilled else 0,
        ),
        "timing": Timing(
            data=0.04 * seconds * epochs,
            teacher=0.28 * seconds * epochs if distilled else 0.0,
            student=0.6 * seconds * epochs,
            method=0.03 * seconds * epochs,
            training=seconds * epochs,
            evaluation=2.1,
            epochs=tuple(seconds for _ in range(epochs)),
        ),
        "peak_memory_bytes": 610_000_000 + 40_000_000 * distilled,
        "parameters": PARAMETERS[family],
        "curves": tuple(
            {"cross_entropy": 2.3 * (1.02 - right), "train_accuracy": right, "learning_rate": 1e-3 * (1 - right / 1.1)}
            for right in curve
        ),
    }


def _environment(device_class: str) -> Environment:
    return Environment.model_validate(
        {
            "kdbench": "0.1.0",
            "python": "3.11.9",
            "torch": "2.6.0",
            "timm": "1.0.15",
            "numpy": "2.2.0",
            "platform": "Linux-6.1-x86_64",
            "processor": "x86_64",
            "device": device_class.split("-", maxsplit=1)[0],
            "device_class": device_class,
            "threads": 1,
            "command": "kdbench run",
        }
    )


def record_of(folders: Sequence[Path], **fields: Any) -> Iterator[Path]:
    """Yield the folders whose record has these values, for tests that damage or change one."""
    from kdbench.records import read_record

    for folder in folders:
        record = read_record(folder)
        if all(getattr(record, name) == value for name, value in fields.items()):
            yield folder
