"""Cumulative spatial distillation computes what the authors' code computes, and goes from local to global."""

import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark.submissions.cskd import CumulativeSpatial, Decay, Labels, dense_share, fused_logits, matching_loss
from kdbench.api import Batch, Output, Shapes, Task
from kdbench.errors import SubmissionError
from kdbench.methods.loading import parse_config
from kdbench.networks.models import new_backbone
from kdbench.testsets.spec import load_spec

GOLDEN = Path(__file__).parents[1] / "golden"
CLASSES = 10
EPOCHS = 10
Arrays = dict[str, NDArray[Any]]


@pytest.fixture(scope="module")
def golden() -> Arrays:
    with np.load(GOLDEN / "cskd.npz", allow_pickle=False) as arrays:
        return dict(arrays)


def assert_close(actual: Tensor, expected: NDArray[Any]) -> None:
    """Equal to 1e-5 of the largest value."""
    np.testing.assert_allclose(actual.detach().numpy(), expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def shapes(family: Any, channels: int, side: int) -> Shapes:
    feature_map = (channels, side, side)
    return Shapes(family, channels, feature_map, (feature_map,) * 4, None, 0)


def a_method(student_grid: int = 14, teacher_grid: int = 7, **settings: Any) -> CumulativeSpatial:
    """Of a student whose features are logits already: head_dist changes nothing."""
    task = Task(
        num_classes=CLASSES,
        num_train=100,
        train_labels=torch.arange(100) % CLASSES,
        teacher=shapes("cnn", 16, teacher_grid),
        student=shapes("vit", CLASSES, student_grid),
        total_steps=100,
        epochs=EPOCHS,
        seed=0,
        device=torch.device("cpu"),
    )
    method = CumulativeSpatial(task, CumulativeSpatial.Config(**settings))
    nn.init.eye_(method.head_dist.weight)
    return method


class OneStep:
    """Stands for the harness: gives the outputs of the golden file in a certain epoch and keeps what it is handed."""

    def __init__(self, golden: Arrays, epoch: int) -> None:
        arrays = {name: torch.from_numpy(golden[name]) for name in ("s_cls", "s_dist", "s_dense", "t_dense", "labels")}
        self.s_cls, self.s_dist, self.s_dense = (arrays[n].requires_grad_() for n in ("s_cls", "s_dist", "s_dense"))
        self.t_dense, self.labels, self.epoch = arrays["t_dense"], arrays["labels"], epoch
        self.losses: Any = None
        self.logged: dict[str, Tensor] = {}

    def student_forward(self, images: Tensor) -> Output:
        feature_map = self.s_dense.transpose(1, 2).reshape(-1, CLASSES, 14, 14)
        return Output(self.s_cls, pooled=self.s_dist, feature_map=feature_map)

    def teacher_forward(self, images: Tensor) -> Output:
        return Output(self.t_dense.mean(dim=(2, 3)), dense_logits=self.t_dense)

    def log(self, **scalars: Tensor) -> None:
        self.logged |= scalars

    def backward_and_step(self, losses: Any) -> None:
        self.losses = losses
        sum(term.value * term.weight for term in losses.values()).backward()


def stepped(golden: Arrays, column: int, **settings: Any) -> OneStep:
    run = OneStep(golden, int(golden["epochs"][column]))
    method = a_method(**settings)
    method.step(run, Batch(torch.zeros(4, 3, 8, 8), run.labels, torch.arange(4)))  # type: ignore[arg-type]
    return run


@pytest.mark.parametrize("column", range(5))
@pytest.mark.parametrize("decay", ["linear", "x2", "cos"])
def test_hard_losses_are_those_of_the_official_code(golden: Arrays, decay: Decay, column: int) -> None:
    terms = stepped(golden, column, decay=decay).losses
    case = f"hard_hard_tau1_{decay}__"
    assert terms["cross_entropy"].value.item() == pytest.approx(golden["loss_base"].item(), rel=1e-5)
    assert terms["deit"].value.item() == pytest.approx(golden[case + "deit"][column], rel=1e-5)
    assert terms["cskd"].value.item() == pytest.approx(golden[case + "cskd"][column], rel=1e-5)
    total = sum(term.value.item() * term.weight for term in terms.values())
    assert total == pytest.approx(golden[case + "total"][column], rel=1e-5)


@pytest.mark.parametrize("column", range(5))
def test_gradients_are_those_of_the_official_code(golden: Arrays, column: int) -> None:
    run, case = stepped(golden, column), "hard_hard_tau1_linear__grad_"
    assert run.s_cls.grad is not None
    assert run.s_dist.grad is not None
    assert_close(run.s_cls.grad, golden[case + "s_cls"][column])
    assert_close(run.s_dist.grad, golden[case + "s_dist"][column])


@pytest.mark.parametrize(("row", "column"), [(0, 0), (1, 2), (2, 4)])
def test_gradients_of_the_patches_are_those_of_the_official_code(golden: Arrays, row: int, column: int) -> None:
    gradient = stepped(golden, column).s_dense.grad
    assert gradient is not None
    assert_close(gradient, golden["hard_hard_tau1_linear__grad_s_dense"][row])


@pytest.mark.parametrize("decay", ["linear", "x2", "cos"])
def test_decays_and_hard_labels_are_those_of_the_official_code(golden: Arrays, decay: Decay) -> None:
    shares = [dense_share(decay, int(epoch), EPOCHS) for epoch in golden["epochs"]]
    np.testing.assert_allclose(shares, golden[f"decay_{decay}"], rtol=0, atol=1e-12)
    dense = torch.from_numpy(golden["t_dense"])
    labels = torch.stack([fused_logits(dense, share).argmax(dim=1) for share in shares])
    np.testing.assert_array_equal(labels.numpy(), golden[f"hard_labels_{decay}"])


def test_patches_are_averaged_to_the_teachers_grid_as_in_the_official_code(golden: Arrays) -> None:
    _, z_dense = a_method().distilled_logits(OneStep(golden, 0).student_forward(torch.zeros(4, 3, 8, 8)))
    assert_close(z_dense, golden["s_dense_aligned"])


@pytest.mark.parametrize(("deit", "temperature", "divisor"), [("soft", 2, CLASSES), ("hard", 1, 1)])
@pytest.mark.parametrize("column", range(5))
def test_soft_losses_are_those_of_the_official_code_but_for_its_divisors(
    golden: Arrays, deit: Labels, temperature: int, divisor: int, column: int
) -> None:
    """There a soft L_deit is divided by B C and L_cskd by B; here by B and by B times 49 positions."""
    settings = {"deit_labels": deit, "cskd_labels": "soft", "temperature": float(temperature), "decay": "cos"}
    terms = stepped(golden, column, **settings).losses
    case = f"{deit}_soft_tau{temperature}_cos__"
    assert terms["deit"].value.item() / divisor == pytest.approx(golden[case + "deit"][column], rel=1e-5)
    assert terms["cskd"].value.item() * 49 == pytest.approx(golden[case + "cskd"][column], rel=1e-5)


def slow_soft_loss(student: Tensor, teacher: Tensor, temperature: float) -> float:
    """T^2 KL(softmax(teacher / T) || softmax(student / T)), one image and position after the other."""
    values = []
    for image in range(len(student)):
        for row in range(student.shape[2]):
            for column in range(student.shape[3]):
                s, t = (np.exp(z[image, :, row, column].numpy() / temperature) for z in (student, teacher))
                s, t = s / s.sum(), t / t.sum()
                values.append(temperature**2 * float(np.sum(t * np.log(t / s))))
    return float(np.mean(values))


@given(seed=st.integers(0, 10**6), temperature=st.floats(0.5, 8))
def test_the_soft_loss_is_the_mean_divergence_of_images_and_positions(seed: int, temperature: float) -> None:
    student, teacher = torch.randn(2, 3, 5, 2, 4, generator=torch.Generator().manual_seed(seed)).double()
    value = matching_loss(student, teacher, "soft", temperature).item()
    assert value == pytest.approx(slow_soft_loss(student, teacher, temperature), rel=1e-4)


@pytest.mark.parametrize("decay", ["linear", "x2", "cos"])
@given(epochs=st.integers(1, 300))
def test_teaching_starts_local_and_becomes_ever_more_global(decay: Decay, epochs: int) -> None:
    shares = [dense_share(decay, epoch, epochs) for epoch in range(epochs)]
    assert shares[0] == 1
    assert all(later < earlier for earlier, later in pairwise(shares))
    assert shares[-1] > 0
    assert dense_share(decay, epochs, epochs) == pytest.approx(0, abs=1e-12)


@given(seed=st.integers(0, 10**6), share=st.floats(0, 1))
def test_fusing_keeps_the_mean_over_positions(seed: int, share: float) -> None:
    dense = torch.randn(2, 5, 3, 3, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(fused_logits(dense, share).mean(dim=(2, 3)), dense.mean(dim=(2, 3)))


def test_the_mean_of_a_cnns_dense_logits_are_its_logits() -> None:
    cnn = new_backbone(load_spec().track("synthetic"), "cnn", seed=0, pretrained=False).eval()
    nn.init.normal_(cnn.model.get_classifier().bias)  # type: ignore[operator]
    output = cnn(torch.randn(2, 3, 32, 32), CumulativeSpatial.needs)
    torch.testing.assert_close(output.dense_logits.mean(dim=(2, 3)), output.logits, rtol=0, atol=1e-4)


@pytest.mark.parametrize("labels", ["hard", "soft"])
def test_the_teacher_gets_no_gradient(labels: Labels) -> None:
    student, teacher = (torch.randn(2, 3, 2, 2).requires_grad_() for _ in range(2))
    matching_loss(student, teacher, labels, 1.0).backward()  # type: ignore[no-untyped-call]
    assert student.grad is not None
    assert teacher.grad is None


def test_patches_on_a_grid_that_is_no_multiple_are_averaged_where_they_overlap() -> None:
    method = a_method(student_grid=5, teacher_grid=2)
    feature_map = torch.arange(25.0).view(1, 1, 5, 5).expand(1, CLASSES, 5, 5)
    _, z_dense = method.distilled_logits(Output(torch.zeros(1, CLASSES), torch.zeros(1, CLASSES), feature_map))
    first, last = feature_map[0, 0, :3, :3].mean().item(), feature_map[0, 0, 2:, 2:].mean().item()
    assert z_dense.shape == (1, CLASSES, 2, 2)
    assert (z_dense[0, 0, 0, 0].item(), z_dense[0, 0, 1, 1].item()) == pytest.approx((first, last))


def test_a_teacher_with_a_finer_grid_is_refused_in_a_sentence() -> None:
    with pytest.raises(ValueError, match=r"teacher's grid \(7, 7\) is finer than the student's \(4, 4\)") as caught:
        a_method(student_grid=4)
    assert "\n" not in str(caught.value)


def test_both_answers_are_logged_and_accuracy_is_of_the_students_own_logits(golden: Arrays) -> None:
    run = stepped(golden, 0)
    own = (run.s_cls.argmax(dim=1) == run.labels).float().mean().item()
    heads = run.s_cls + run.s_dist + run.s_dense.mean(dim=1)
    together = (heads.argmax(dim=1) == run.labels).float().mean().item()
    assert run.logged["train_accuracy"].item() == pytest.approx(own)
    assert run.logged["train_accuracy_three_heads"].item() == pytest.approx(together)


def test_the_labels_train_the_student_and_not_the_head_that_is_thrown_away(golden: Arrays) -> None:
    run, method = OneStep(golden, 0), a_method()
    output = run.student_forward(torch.zeros(4, 3, 8, 8))
    terms: Any = method.loss(
        Batch(torch.zeros(4, 3, 8, 8), run.labels, torch.arange(4)), output, run.teacher_forward(run.labels)
    )
    assert torch.equal(terms["cross_entropy"].value, F.cross_entropy(run.s_cls, run.labels))
    terms["cross_entropy"].value.backward()
    assert run.s_cls.grad is not None
    assert method.head_dist.weight.grad is None


@pytest.mark.parametrize(
    "values",
    [
        {"deit_weight": 1.5},
        {"deit_weight": -0.1},
        {"cskd_weight": -1},
        {"cskd_weight": math.inf},
        {"temperature": 0},
        {"temperature": math.nan},
        {"decay": "square"},
        {"deit_labels": "firm"},
        {"cskd_labels": "firm"},
    ],
    ids=str,
)
def test_settings_without_meaning_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(SubmissionError, match=next(iter(values))):
        parse_config(CumulativeSpatial, values)
