"""Makes each method once for the shapes of its networks, so that errors are reported before any training."""

from typing import Any

import torch

from kdbench.api import Method, Shapes
from kdbench.errors import SubmissionError
from kdbench.methods.inquiries import Trial
from kdbench.methods.tasks import make_task
from kdbench.networks.models import new_backbone
from kdbench.networks.peers import PeerBuilder
from kdbench.spec import Direction, Family, Track, families

_SHAPES: dict[
    tuple[Family, str], Shapes
] = {}  # of known networks, since a plan needs them once per method and direction


def backbone_shapes(track: Track, family: Family) -> Shapes:
    """Return the shapes of a track's network, without allocating memory for its weights."""
    key = family, track.networks[family].model_dump_json() + track.data.model_dump_json()
    if key not in _SHAPES:
        with torch.device("meta"):
            network = new_backbone(track, family, seed=0, pretrained=False)
            _SHAPES[key] = network.shapes(track.data.image_size)
    return _SHAPES[key]


def _lacking(method: type[Method], trial: Trial, direction: Direction) -> str:
    """Return which field that a method needs a network does not have, in words; empty if there is none.

    That a CNN has no `attention` is left to the method, which may read that of the other network alone.
    """
    for family in dict.fromkeys(families(direction)):
        shapes, spec = trial.shapes[family], trial.track.networks[family]
        without: set[str] = {"attention"} if family == "vit" and shapes.attention is None else set()
        if missing := sorted((without | shapes.missing) & method.needs):
            return f"it reads `{missing[0]}`, which {spec.architecture} does not have"
    return ""


def check_method(method: type[Method], config: Any, trial: Trial, direction: Direction) -> None:
    """Check that a method can be made for the networks of a direction.

    Args:
        method: the submission.
        config: an instance of its `Config`.
        trial: the track and the shapes of its networks.
        direction: with the families of the networks.

    Raises:
        SubmissionError: the method refuses the task, or reads what a network does not have; the message has the reason.
    """
    track = trial.track
    if lacking := _lacking(method, trial, direction):
        raise SubmissionError(f"method {method.name!r} cannot run {direction} with these networks: {lacking}")
    teacher, student = (trial.shapes[family] for family in families(direction))
    student_family = families(direction).student
    peers = PeerBuilder(lambda number: new_backbone(track, student_family, seed=number, pretrained=False), method.needs)
    task = make_task(
        track,
        torch.arange(track.data.num_train) % track.data.num_classes,
        teacher=teacher if method.uses_teacher else None,
        student=student,
        epochs=track.training.student_epochs,
        seed=0,
        device=torch.device("cpu"),
        build=peers.build,
    )
    try:
        with torch.random.fork_rng(devices=[]):
            method(task, config)
    except ValueError as error:
        raise SubmissionError(f"method {method.name!r} cannot run {direction} on this track: {error}") from error
