"""Short trainings of a method, whose networks and images are small and made up."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from kdbench.api import Method
from kdbench.data.training_sets import TrainingSet
from kdbench.networks.models import new_backbone
from kdbench.spec import FAMILIES, Backbones, Direction, Track, families
from kdbench.training import loop
from kdbench.training.assignment import Assignment
from kdbench.training.loop import train
from kdbench.training.outcome import TrainingOutcome

BATCH, ODD_BATCH, STEPS_PER_EPOCH, EPOCHS = 8, 6, 3, 2
KILLED_AT = STEPS_PER_EPOCH + 2  # in the second epoch


class Killed(Exception):
    """Stands for the end of a process in the middle of a training."""


@dataclass(frozen=True)
class Bench:
    """A place where a method is trained for some steps.

    Attributes:
        track: with its networks and sizes, and a budget of a few steps.
        method: the class.
        config: an instance of its `Config`.
        direction: with the families of the networks.
        folder: where to train.
        data: the training set.
    """

    track: Track
    method: type[Method]
    config: Any
    direction: Direction
    folder: Path
    data: TrainingSet

    def assignment(self, name: str) -> Assignment:
        """Return an assignment in a folder of its own; the teacher, if there is one, is random."""
        folder, (teacher, student) = self.folder / f"{self.direction}-{name}", families(self.direction)
        folder.mkdir(parents=True, exist_ok=True)
        taught = self.method.uses_teacher
        state = new_backbone(self.track, teacher, seed=1, pretrained=False).model.state_dict() if taught else None
        return Assignment(
            track=self.track,
            role="student",
            family=student,
            bias=None,
            seed=0,
            method_class=self.method,
            config=self.config,
            teacher_family=teacher if taught else None,
            teacher_state=state,
            folder=folder,
            device="cpu",
        )

    def trained(self, name: str) -> TrainingOutcome:
        """Return the outcome of an unbroken training."""
        return train(self.assignment(name), self.data, _silent)

    def resumed(self, name: str) -> TrainingOutcome:
        """Return the outcome of a training that was killed in its second epoch, and resumed."""
        assignment, spacing = self.assignment(name), loop.CHECKPOINT_SECONDS
        loop.CHECKPOINT_SECONDS = -1.0  # after every step
        try:
            train(assignment, self.data, _kill)
        except Killed:
            return train(assignment, self.data, _silent)
        finally:
            loop.CHECKPOINT_SECONDS = spacing
        return train(assignment, self.data, _silent)

    def on_grey_images(self) -> "Bench":
        """Return a bench that trains in bfloat16 on images that are all the same."""
        training = self.track.training.model_copy(update={"cpu_precision": "bfloat16"})
        return replace(self, track=self.track.model_copy(update={"training": training}), data=grey(self.track))


def _silent(done: int, total: int) -> None:
    """Report no progress."""


def _kill(done: int, total: int) -> None:  # noqa: ARG001
    if done == KILLED_AT:
        raise Killed


def small_track(whole: Track, batch: int = BATCH) -> Track:
    """Return a track with its own networks, randomly initialised, and a budget of a few steps."""
    training = whole.training.model_copy(update={"batch_size": batch, "student_epochs": EPOCHS})
    data = whole.data.model_copy(update={"num_train": batch * STEPS_PER_EPOCH})
    backbones = {family: whole.backbones[family].model_copy(update={"pretrained": ()}) for family in FAMILIES}
    return whole.model_copy(update={"training": training, "data": data, "backbones": Backbones(**backbones)})


def odd_track(whole: Track) -> Track:
    """Return a track of another number of classes, other widths, another image size and another batch size."""
    small = small_track(whole, batch=ODD_BATCH)
    data = small.data.model_copy(update={"num_classes": 7, "image_size": 24})
    arguments = {
        "cnn": {**small.backbones.cnn.arguments, "channels": [8, 24, 40, 72]},
        "vit": {**small.backbones.vit.arguments, "img_size": 24, "embed_dim": 40, "num_heads": 2},
    }
    backbones = {
        family: small.backbones[family].model_copy(update={"arguments": arguments[family]}) for family in FAMILIES
    }
    return small.model_copy(update={"data": data, "backbones": Backbones(**backbones)})


def noise(track: Track) -> TrainingSet:
    """Return images of noise, in which every class has a brightness of its own."""
    count, size, classes = track.data.num_train, track.data.image_size, track.data.num_classes
    labels = np.arange(count) % classes
    pixels = np.random.default_rng(0).integers(0, 128, (count, size, size, 3))
    brighter = (128 * labels / classes).astype(int)[:, None, None, None]
    return TrainingSet((pixels + brighter).astype(np.uint8), labels)


def grey(track: Track) -> TrainingSet:
    """Return images that are all the same."""
    data = noise(track)
    return TrainingSet(np.full_like(data.images, 128), data.labels)
