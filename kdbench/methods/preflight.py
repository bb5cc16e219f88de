"""Makes every method once on the shapes of its networks: what cannot work is said before anything is trained."""

from collections.abc import Mapping
from typing import Any

import torch

from kdbench.api import Method, Shapes
from kdbench.errors import SubmissionError
from kdbench.methods.loading import parse_config
from kdbench.methods.tasks import make_task
from kdbench.networks.models import new_backbone
from kdbench.spec import Direction, Family, Track, families


def backbone_shapes(track: Track, family: Family) -> Shapes:
    """Shapes of a track's network, found without memory for its weights."""
    with torch.device("meta"):
        return new_backbone(track, family, seed=0, pretrained=False).shapes(track.data.image_size)


def check_method(
    method: type[Method], config: Mapping[str, Any], track: Track, direction: Direction, num_train: int
) -> None:
    """SubmissionError if the method cannot be made for the networks of a direction; its own reason is in the message.

    Args:
        method, config: the submission and the values of its `Config`.
        track, direction: whose networks.
        num_train: images in the training set.
    """
    teacher, student = (backbone_shapes(track, family) for family in families(direction))
    task = make_task(
        track,
        torch.arange(num_train) % track.data.num_classes,
        teacher=teacher if method.uses_teacher else None,
        student=student,
        epochs=track.training.student_epochs,
        seed=0,
        device=torch.device("cpu"),
    )
    try:
        with torch.random.fork_rng(devices=[]):
            method(task, parse_config(method, config))
    except ValueError as error:
        raise SubmissionError(f"method {method.name!r} cannot run {direction} on this track: {error}") from error
