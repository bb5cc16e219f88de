"""The facts that a method is made with are those of its track and training set."""

import torch

from kdbench.methods.preflight import backbone_shapes
from kdbench.methods.tasks import make_task
from kdbench.testsets.spec import load_spec

TRACK = load_spec().track("synthetic")


def test_steps_are_whole_batches_of_every_epoch() -> None:
    batch_size = TRACK.training.batch_size
    labels = torch.arange(2 * batch_size + 1) % TRACK.data.num_classes
    shapes = backbone_shapes(TRACK, "cnn")
    network = torch.nn.Identity()
    device = torch.device("cpu")
    task = make_task(
        TRACK, labels, teacher=None, student=shapes, epochs=3, seed=7, device=device, build=lambda _: network
    )
    assert task.build("student") is network
    assert (task.num_train, task.total_steps, task.epochs, task.seed) == (2 * batch_size + 1, 6, 3, 7)
    assert task.num_classes == TRACK.data.num_classes
    assert torch.equal(task.train_labels, labels)
    assert (task.teacher, task.student) == (None, shapes)
