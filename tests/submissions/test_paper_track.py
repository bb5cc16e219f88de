"""The paper's track from weights to answers: every method at 224 pixels, on small networks and on the real ones."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from kdbench.data.pixels import Normalisation, resized
from kdbench.data.training_sets import TrainingSet
from kdbench.evaluation.answers import evaluate, load_network
from kdbench.methods.directions import declared_directions
from kdbench.methods.files import list_submissions
from kdbench.methods.loading import load_submission
from kdbench.networks.backbone import create_model
from kdbench.networks.models import read_weights
from kdbench.networks.weights import backbone_file
from kdbench.records import WEIGHTS, read_predictions, read_record, write_record
from kdbench.records.summary import summarise
from kdbench.spec import Backbones, BackboneSpec, Direction, Family, Track, families
from kdbench.testsets.arrays import array_digests
from kdbench.testsets.build import build_test_sets
from kdbench.testsets.spec import load_spec
from kdbench.training.assignment import Assignment
from kdbench.training.loop import train
from kdbench.training.teacher import Supervised
from tests.examples import a_record, unsealed
from tests.testsets.pictures import small_cifar10
from tests.testsets.small_picture_networks import NAME, networks, paper_track

CPU = torch.device("cpu")
IMAGES, BATCH = 6, 2
PAPER = load_spec().track(NAME)
SMALL = Backbones(
    cnn=BackboneSpec(
        architecture="resnet18.a1_in1k",
        arguments={"layers": [1, 1, 1, 1], "channels": [32, 32, 32, 32]},
        weights="timm",
        learning_rate=1e-3,
        weight_decay=0.05,
    ),
    vit=BackboneSpec(
        architecture="vit_tiny_patch16_224.augreg_in21k_ft_in1k",
        arguments={"embed_dim": 24, "depth": 4, "num_heads": 3},
        weights="timm",
        learning_rate=1e-3,
        weight_decay=0.05,
    ),
)
CASES = [(name, direction) for name in list_submissions() for direction in declared_directions(load_submission(name))]
CROSSED = [case for case in CASES if case[1] in PAPER.directions]


def track_with(backbones: Backbones) -> Track:
    """The paper's track on six training images and ten test images, in batches of two."""
    training = PAPER.training.model_copy(update={"batch_size": BATCH, "student_epochs": 1})
    data = PAPER.data.model_copy(update={"num_train": IMAGES})
    return paper_track(10).model_copy(update={"backbones": backbones, "training": training, "data": data})


def pretrained(folder: Path, backbones: Backbones) -> None:
    """Random weights in the places of timm's."""
    for spec in (backbones.cnn, backbones.vit):
        torch.manual_seed(1)
        model = create_model(spec.architecture, spec.arguments, num_classes=1000)
        save_file(model.state_dict(), folder / backbone_file(spec).name)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    folder = tmp_path / "weights"
    folder.mkdir()
    return folder


@pytest.fixture(scope="module")
def data() -> TrainingSet:
    source = small_cifar10(1)
    return TrainingSet(source.train_images[:IMAGES], source.train_labels[:IMAGES])


def assignment(track: Track, family: Family, folder: Path, **more: Any) -> Assignment:
    folder.mkdir()
    given: dict[str, Any] = {
        "track": track,
        "role": "student",
        "family": family,
        "bias": None,
        "seed": 0,
        "method_class": Supervised,
        "config": Supervised.Config(),
        "teacher_family": None,
        "teacher_state": None,
        "folder": folder,
        "device": "cpu",
        "weights_dir": folder.parent / "weights",
    }
    return Assignment(**(given | more))


def taught(track: Track, name: str, direction: Direction, data: TrainingSet, folder: Path) -> Assignment:
    """A student of a method after its training, with a teacher that was trained before."""
    teacher_family, student_family = families(direction)
    method = load_submission(name)
    student = assignment(
        track, student_family, folder / "student", method_class=method, config=method.Config(), bias=None
    )
    if method.uses_teacher:
        teacher = assignment(track, teacher_family, folder / "teacher", role="teacher", bias="natural")
        assert train(teacher, data, lambda *_: None).status == "ok"
        student = replace(student, teacher_family=teacher_family, teacher_state=read_weights(teacher.folder / WEIGHTS))
    outcome = train(student, data, lambda *_: None)
    assert (outcome.status, outcome.reason) == ("ok", "")
    assert outcome.budget.steps == IMAGES // BATCH
    return student


@pytest.mark.parametrize(("name", "direction"), CROSSED)
def test_every_method_trains_on_resized_images(
    name: str, direction: Direction, data: TrainingSet, weights: Path, tmp_path: Path
) -> None:
    pretrained(weights, SMALL)
    student = taught(track_with(SMALL), name, direction, data, tmp_path)
    trained = load_file(student.folder / WEIGHTS)
    spec = SMALL[student.family]
    before = load_file(weights / backbone_file(spec).name)
    changed = [key for key in before if key in trained and not torch.equal(before[key], trained[key])]
    assert len(changed) > len(before) // 2
    assert all(torch.isfinite(tensor.float()).all() for tensor in trained.values())


def test_a_student_is_asked_about_every_set_and_its_record_keeps_the_answers(
    data: TrainingSet, weights: Path, tmp_path: Path
) -> None:
    pretrained(weights, SMALL)
    track, source = track_with(SMALL), small_cifar10(1)
    student = taught(track, "lm", "cnn-to-vit", data, tmp_path)
    arrays = build_test_sets(track, tmp_path, source=source, networks=networks())
    network = load_network(track, "vit", student.folder / WEIGHTS, CPU)
    predictions, logits = evaluate(
        network, arrays, track.data, device=CPU, precision="float32", teacher_logits={}, progress=lambda *_: None
    )
    assert set(predictions) == {test_set.name for test_set in track.test_sets if not test_set.diagnostic}
    assert all(np.isfinite(set_logits).all() for set_logits in logits.values())
    assert not np.array_equal(logits["scramble-14"], logits["clean"])
    record = a_record(track=NAME, test=summarise(predictions))
    record = record.model_copy(update={"digests": record.digests.model_copy(update={"arrays": array_digests(arrays)})})
    write_record(tmp_path / "record", record, predictions)
    assert unsealed(read_record(tmp_path / "record")) == record
    kept = read_predictions(tmp_path / "record")
    np.testing.assert_array_equal(kept["noise"].label, logits["noise"].argmax(axis=1))


@pytest.mark.slow
@pytest.mark.parametrize("family", ["cnn", "vit"])
def test_the_real_networks_are_asked_and_their_record_keeps_the_answers(family: Family, tmp_path: Path) -> None:
    """Random weights from their file, an image a class, plain and manipulated; the answers are plain timm's."""
    sets = tuple(test_set for test_set in paper_track(10).test_sets if test_set.name in ("clean", "scramble-7"))
    track = track_with(PAPER.backbones).model_copy(update={"test_sets": sets})
    torch.manual_seed(2)
    plain = create_model(PAPER.backbones[family].architecture, {}, num_classes=10).eval()
    save_file(plain.state_dict(), tmp_path / WEIGHTS)
    arrays = build_test_sets(track, tmp_path, source=small_cifar10(1))
    predictions, logits = evaluate(
        load_network(track, family, tmp_path / WEIGHTS, CPU),
        arrays,
        track.data,
        device=CPU,
        precision="float32",
        teacher_logits={},
        progress=lambda *_: None,
    )
    images = torch.from_numpy(arrays["clean"].images[:2].copy()).permute(0, 3, 1, 2).float()
    with torch.no_grad():
        expected = plain(Normalisation(track.data, CPU)(resized(images, track.data)))
    torch.testing.assert_close(torch.from_numpy(logits["clean"][:2]), expected, atol=1e-3, rtol=1e-3)
    assert not np.array_equal(logits["scramble-7"], logits["clean"])
    record = a_record(track=NAME, family=family, test=summarise(predictions))
    write_record(tmp_path / "record", record, predictions)
    assert unsealed(read_record(tmp_path / "record")) == record
    np.testing.assert_array_equal(
        read_predictions(tmp_path / "record")["scramble-7"].label, logits["scramble-7"].argmax(axis=1)
    )


@pytest.mark.slow
@pytest.mark.parametrize(("name", "direction"), CROSSED)
def test_every_method_trains_the_real_networks(
    name: str, direction: Direction, data: TrainingSet, weights: Path, tmp_path: Path
) -> None:
    track = track_with(PAPER.backbones)
    pretrained(weights, PAPER.backbones)
    few = TrainingSet(data.images[: 2 * BATCH], data.labels[: 2 * BATCH])
    short = track.model_copy(update={"data": track.data.model_copy(update={"num_train": 2 * BATCH})})
    teacher_family, student_family = families(direction)
    method = load_submission(name)
    student = assignment(short, student_family, tmp_path / "student", method_class=method, config=method.Config())
    if method.uses_teacher:
        file = backbone_file(PAPER.backbones[teacher_family])
        head = create_model(PAPER.backbones[teacher_family].architecture, {}, num_classes=10).state_dict()
        trunk = {
            key: tensor for key, tensor in load_file(weights / file.name).items() if tensor.shape == head[key].shape
        }
        save_file({**head, **trunk}, tmp_path / "teacher.safetensors")
        student = replace(
            student, teacher_family=teacher_family, teacher_state=read_weights(tmp_path / "teacher.safetensors")
        )
    outcome = train(student, few, lambda *_: None)
    assert (outcome.status, outcome.reason, outcome.budget.steps) == ("ok", "", 2)
