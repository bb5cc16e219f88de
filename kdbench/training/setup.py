"""Sets up a training: its networks on the device, its batches and its method."""

from dataclasses import dataclass

import torch

from kdbench.api import Method, Task
from kdbench.data.training_sets import TrainingSet
from kdbench.methods.places import place_of_definition
from kdbench.methods.tasks import make_task
from kdbench.networks.backbone import Backbone
from kdbench.networks.compiling import compile_network
from kdbench.networks.models import head_seed, new_backbone
from kdbench.networks.peers import PeerBuilder
from kdbench.networks.placement import memory_format, placed_student, placed_teacher
from kdbench.randomness import seed_of
from kdbench.training.assignment import Assignment
from kdbench.training.average import average_of
from kdbench.training.batches import Batches
from kdbench.training.failures import RuleBroken
from kdbench.training.metered import MeteredRun
from kdbench.training.method_modules import fault_of_modules
from kdbench.training.stopwatch import Stopwatch
from kdbench.training.torch_settings import settings_kept
from kdbench.training.warm_up import WarmUp, warm_up


@dataclass(frozen=True)
class Setup:
    """A training before its first step.

    Attributes:
        batches: of the training set.
        metered: the run from the view of the method, with the networks and the method.
    """

    batches: Batches
    metered: MeteredRun


def set_up(assignment: Assignment, data: TrainingSet, micro_batches: int = 1) -> Setup:
    """Build everything that a training needs, and seed torch with the seed of the method.

    Args:
        assignment: what to train.
        data: the training set.
        micro_batches: number of equal parts of a batch that are processed one after the other.
    """
    device = assignment.torch_device
    warm_up(_warm_up_for(assignment, micro_batches))
    stopwatch = Stopwatch(device)
    batches = _batches(assignment, data)
    student, teacher = _student(assignment), _teacher(assignment)
    peers = PeerBuilder(lambda number: _peer(assignment, number), assignment.method_class.needs)
    image_size = assignment.track.data.image_size
    task = make_task(
        assignment.track,
        batches.labels.clone(),
        teacher=teacher.shapes(image_size) if teacher else None,
        student=student.shapes(image_size),
        epochs=assignment.epochs,
        seed=assignment.seed,
        device=device,
        build=peers.build,
    )
    _compile(assignment, student, teacher)
    torch.manual_seed(seed_of("method", assignment.track.name, assignment.method_class.name, assignment.seed))
    method = _method(assignment, task)
    peers.close()
    metered = MeteredRun(
        student=student.train(),
        teacher=teacher,
        method=method.train(),
        task=task,
        batches=batches,
        training=assignment.track.training,
        backbone=assignment.track.networks[assignment.family],
        total_steps=task.total_steps,
        stopwatch=stopwatch,
        device=device,
        peers=peers.built,
        average=average_of(method, student, lambda: _unwritten(assignment)),
        micro_batches=micro_batches,
    )
    return Setup(batches, metered)


def _warm_up_for(assignment: Assignment, micro_batches: int) -> WarmUp:
    return WarmUp(
        track=assignment.track,
        family=assignment.family,
        teacher_family=assignment.teacher_family,
        needs=frozenset(assignment.method_class.needs),
        device=assignment.torch_device,
        compiled=assignment.compiled,
        micro_batches=micro_batches,
    )


def _method(assignment: Assignment, task: Task) -> Method:
    """Make the method on the device.

    Raises:
        RuleBroken: that changes a setting of PyTorch, or a module of it cannot be trained.
    """
    place = place_of_definition(assignment.method_class, "__init__")
    with settings_kept(f"{place}`__init__`"):
        method = assignment.method_class(task, assignment.config).to(task.device)
    if fault := fault_of_modules(method):
        raise RuleBroken(f"{place}{fault}")
    return method


def _batches(assignment: Assignment, data: TrainingSet) -> Batches:
    track = assignment.track
    return Batches(
        data,
        track.data,
        track.augmentation,
        batch_size=track.training.batch_size,
        stream=assignment.stream,
        device=assignment.torch_device,
        memory_format=memory_format(assignment.family),
    )


def _student(assignment: Assignment) -> Backbone:
    """Build the network to train."""
    track = assignment.track
    seed = head_seed(track.name, assignment.role, assignment.family, assignment.seed, assignment.bias)
    return _trainable(assignment, seed)


def _peer(assignment: Assignment, number: int) -> Backbone:
    """Build a further network for the method; it has the student's pretrained trunk, and a classifier of its own."""
    track, family = assignment.track.name, assignment.family
    peer = _trainable(assignment, head_seed(track, f"peer-{number}", family, assignment.seed)).train()
    _compile(assignment, peer)
    return peer


def _unwritten(assignment: Assignment) -> Backbone:
    """Build a network of the student's architecture in float32, for weights to come."""
    backbone = new_backbone(assignment.track, assignment.family, seed=0, pretrained=False)
    network = placed_student(backbone, assignment.torch_device, "float32")
    _compile(assignment, network)
    return network


def _trainable(assignment: Assignment, seed: int) -> Backbone:
    """Build a network of the student's architecture, with its pretrained trunk if it has one."""
    track, family = assignment.track, assignment.family
    backbone = new_backbone(track, family, seed=seed, number=assignment.seed, weights_dir=assignment.weights_dir)
    return placed_student(backbone, assignment.torch_device, track.training.parameters_on(assignment.device))


def _teacher(assignment: Assignment) -> Backbone | None:
    """Build the trained teacher, in evaluation mode and without gradients; None for a method that uses none."""
    if assignment.teacher_state is None or assignment.teacher_family is None:
        return None
    teacher = new_backbone(assignment.track, assignment.teacher_family, seed=0, pretrained=False)
    teacher.model.load_state_dict(assignment.teacher_state, strict=True)
    return placed_teacher(teacher, assignment.torch_device, assignment.precision)


def _compile(assignment: Assignment, *networks: Backbone | None) -> None:
    """Compile the networks if the run is compiled."""
    for network in networks:
        if network is not None and assignment.compiled:
            compile_network(network)
