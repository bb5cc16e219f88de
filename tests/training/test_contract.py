"""What a method may ask of the harness beyond a loss, and the sentence for each thing that it does wrong."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

import pytest
import torch
from torch.nn import functional as F

from kdbench.api import Batch, Losses, Method, Output, Term
from kdbench.data.training_sets import TrainingSet
from kdbench.jobs.train_job import reason_of
from kdbench.methods.loading import load_submission
from kdbench.networks.backbone import Backbone
from kdbench.records import WEIGHTS
from kdbench.training.assignment import Assignment
from kdbench.training.loop import train
from kdbench.training.setup import set_up
from kdbench.training.teacher import Supervised
from tests.training.example_methods import EXAMPLES, MeanTeacher, MutualLearning, ReusedClassifier
from tests.training.small_runs import BATCH, IMAGES, Make, Trained

STEPS = 2 * IMAGES // BATCH


class Killed(Exception):
    pass


def kill_at(killed: int) -> Callable[[int, int], None]:
    def progress(step: int, total: int) -> None:
        if step == killed:
            raise Killed

    return progress


@pytest.fixture
def assignment(make: Make, trained: Trained) -> Callable[..., Assignment]:
    """Return a function that makes an assignment of a method, with a trained teacher if the method uses one."""

    def make_one(method: type[Method], place: str = "run") -> Assignment:
        teacher = trained(Supervised).folder / WEIGHTS if method.uses_teacher else None
        return make(method, place=place, teacher=teacher)

    return make_one


@pytest.mark.parametrize("method", EXAMPLES)
def test_a_killed_run_resumes_to_the_weights_of_an_unbroken_one(
    assignment: Callable[..., Assignment], data: TrainingSet, method: type[Method]
) -> None:
    unbroken, broken = assignment(method), assignment(method, place="broken")
    expected = train(unbroken, data, lambda *_: None)
    with pytest.raises(Killed):
        train(broken, data, kill_at(5))
    outcome = train(broken, data, lambda *_: None)
    assert expected.status == "ok"
    assert (outcome.weights, outcome.budget) == (expected.weights, expected.budget)


def test_the_images_of_a_peer_and_its_parameters_count_as_the_students(
    assignment: Callable[..., Assignment], data: TrainingSet
) -> None:
    alone, mutual = (train(assignment(m, place=m.name), data, lambda *_: None) for m in (Supervised, MutualLearning))
    assert mutual.parameters == 2 * alone.parameters
    assert mutual.budget.student_forward_images == mutual.budget.student_backward_images == 2 * STEPS * BATCH
    assert alone.budget.student_forward_images == STEPS * BATCH


def test_the_images_of_the_moving_average_count_as_forward_passes_of_the_student(
    assignment: Callable[..., Assignment], data: TrainingSet
) -> None:
    outcome = train(assignment(MeanTeacher), data, lambda *_: None)
    assert outcome.budget.student_forward_images == 2 * STEPS * BATCH
    assert outcome.budget.student_backward_images == STEPS * BATCH


def test_a_peer_starts_with_the_students_trunk_and_another_classifier_and_learns(
    assignment: Callable[..., Assignment], data: TrainingSet
) -> None:
    setup = set_up(assignment(MutualLearning), data)
    student, peer = setup.metered.student, setup.metered.method.peer
    assert isinstance(peer, Backbone)
    differing = [
        name for name, tensor in student.state_dict().items() if not torch.equal(tensor, peer.state_dict()[name])
    ]
    assert differing == ["model.fc.weight", "model.fc.bias"]
    before = {name: tensor.clone() for name, tensor in peer.state_dict().items()}
    setup.metered.train_on(next(setup.batches.epoch(0)))
    assert all(not torch.equal(before[name], parameter) for name, parameter in peer.named_parameters())


def test_the_moving_average_moves_by_one_minus_its_decay(
    assignment: Callable[..., Assignment], data: TrainingSet
) -> None:
    setup = set_up(assignment(MeanTeacher), data)
    average = setup.metered.average
    assert average is not None
    before = [parameter.clone() for parameter in setup.metered.student.parameters()]
    setup.metered.train_on(next(setup.batches.epoch(0)))
    for old, new, mean in zip(before, setup.metered.student.parameters(), average.network.parameters(), strict=True):
        torch.testing.assert_close(mean, 0.9 * old + 0.1 * new)
    assert not average.network.training


def test_the_teachers_classifier_hands_a_gradient_to_its_argument_only(
    assignment: Callable[..., Assignment], data: TrainingSet
) -> None:
    setup = set_up(assignment(ReusedClassifier), data)
    metered, batch = setup.metered, next(setup.batches.epoch(0))
    teacher = metered.teacher_forward(batch.images)
    torch.testing.assert_close(teacher.classifier(teacher.pooled), teacher.logits)
    features = teacher.pooled.clone().requires_grad_()
    teacher.classifier(features).sum().backward()  # type: ignore[no-untyped-call]
    assert features.grad is not None
    assert metered.teacher is not None
    assert all(parameter.grad is None for parameter in metered.teacher.parameters())


def test_the_loss_reads_progress_and_epoch(assignment: Callable[..., Assignment], data: TrainingSet) -> None:
    class Ramp(Supervised):
        def loss(self, batch: Batch, student: Output, teacher: Output | None) -> Losses:
            self.run.log(epoch_read=float(self.run.epoch), progress_read=float(self.run.progress))
            return {"cross_entropy": Term(F.cross_entropy(student.logits, batch.labels), self.run.progress)}

    curves = train(assignment(Ramp), data, lambda *_: None).curves
    assert [epoch["epoch_read"] for epoch in curves] == [0, 1]
    assert [epoch["progress_read"] for epoch in curves] == pytest.approx([1.5 / STEPS, 5.5 / STEPS])


def test_the_run_is_refused_outside_of_the_harness(assignment: Callable[..., Assignment], data: TrainingSet) -> None:
    method = set_up(assignment(MeanTeacher), data).metered.method
    with pytest.raises(RuntimeError, match=r"`self\.run` exists only while the harness runs"):
        _ = method.run


def test_a_missing_field_says_which_needs_gives_it() -> None:
    output = Output(torch.zeros(2, 10))
    with pytest.raises(AttributeError, match='`stages` was not computed: add "stages" to `needs`'):
        _ = output.stages
    assert not hasattr(output, "attention")


HEAD = """
    from dataclasses import dataclass
    import torch
    from torch import nn
    from torch.nn import functional as F
    from kdbench.api import EVERY, Method

    class Wrong(Method):
        name, paper, summary, directions, uses_teacher = "wrong", "", "", EVERY, False
        images = "as they are"

        @dataclass(frozen=True)
        class Config:
            pass
"""
LOSS = """
        def loss(self, batch, student, teacher):
            return F.cross_entropy(student.logits, batch.labels)
"""


@dataclass(frozen=True)
class Wrong:
    """A body of a method, the text in its line at fault, and a part of the sentence."""

    body: str
    line: str
    reason: str


WRONG = {
    "nothing-returned": Wrong(
        "def loss(self, batch, student, teacher):\n    F.cross_entropy(student.logits, batch.labels)",
        "def loss",
        "`loss` gave its loss as None; it must be one scalar tensor, or a dictionary",
    ),
    "one-loss-per-image": Wrong(
        "def loss(self, batch, student, teacher):\n"
        "    return {'ce': F.cross_entropy(student.logits, batch.labels, reduction='none')}",
        "def loss",
        "`loss` gave the term 'ce' of its loss as a tensor of shape (16,)",
    ),
    "no-gradient": Wrong(
        "def loss(self, batch, student, teacher):\n    return student.logits.detach().mean()",
        "def loss",
        "depends on no parameter; compute it from the student's output",
    ),
    "needs": Wrong(
        "def loss(self, batch, student, teacher):\n    return student.pooled.mean()",
        "return student.pooled",
        'add "pooled" to `needs`',
    ),
    "late-module": Wrong(
        "def loss(self, batch, student, teacher):\n"
        "    self.head = nn.Linear(10, 10)\n"
        "    return F.cross_entropy(self.head(student.logits), batch.labels)",
        "def loss",
        "removed the module, parameter or buffer `self.head`; make it in `__init__`",
    ),
    "late-module-in-prepare": Wrong(
        "def prepare(self, run):\n    self.head = nn.Linear(10, 10)" + dedent(LOSS),
        "def prepare",
        "removed the module, parameter or buffer `self.head`; make it in `__init__`",
    ),
    "lazy-module": Wrong(
        "def __init__(self, task, config):\n    super().__init__(task, config)\n    self.head = nn.LazyLinear(10)"
        + dedent(LOSS),
        "def __init__",
        "`self.head.weight` has no shape yet; take its width from `task.student` or `task.teacher`",
    ),
    "hidden-modules": Wrong(
        "def __init__(self, task, config):\n    super().__init__(task, config)\n    self.heads = [nn.Linear(10, 10)]"
        + dedent(LOSS),
        "def __init__",
        "`self.heads` hides modules in a list; use nn.ModuleList or nn.ModuleDict",
    ),
    "late-peer": Wrong(
        "def loss(self, batch, student, teacher):\n    return self.task.build('student')(batch.images).logits.mean()",
        "return self.task.build",
        "`task.build` works in `__init__` only",
    ),
    "no-average": Wrong(
        "def loss(self, batch, student, teacher):\n    return self.run.ema_forward(batch.images).logits.mean()",
        "return self.run.ema_forward",
        "Wrong has no `ema_decay`; set it in the class or in `__init__`",
    ),
    "decay": Wrong(
        "def __init__(self, task, config):\n    super().__init__(task, config)\n    self.ema_decay = 1.0"
        + dedent(LOSS),
        "def __init__",
        "`ema_decay` is 1.0; it must be a number in [0, 1)",
    ),
    "two-updates": Wrong(
        "def step(self, run, batch):\n"
        "    for _ in range(2):\n"
        "        run.backward_and_step(F.cross_entropy(run.student_forward(batch.images).logits, batch.labels))",
        "def step",
        "`step` must update the student once, but updated it 2 times",
    ),
    "broken-graph": Wrong(
        "def loss(self, batch, student, teacher):\n"
        "    logits = student.logits.exp()\n"
        "    loss = F.cross_entropy(logits, batch.labels)\n"
        "    logits.add_(1)\n"
        "    return loss + logits.mean()",
        "def loss",
        "modified by an inplace operation",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_mistake_ends_the_run_with_a_sentence_that_names_the_line(
    assignment: Callable[..., Assignment], data: TrainingSet, tmp_path: Path, name: str
) -> None:
    wrong, file = WRONG[name], tmp_path / "wrong.py"
    body = "\n".join(" " * 4 + line for line in wrong.body.splitlines())
    file.write_text(f"{dedent(HEAD)}\n{body}\n")
    line = next(n for n, text in enumerate(file.read_text().splitlines(), start=1) if wrong.line in text)
    try:
        reason = train(assignment(load_submission(file)), data, lambda *_: None).reason
    except Exception as error:
        reason = reason_of(error, file)
    assert reason.startswith(f"wrong.py:{line}: ")
    assert wrong.reason in reason
