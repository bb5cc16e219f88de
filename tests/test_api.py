"""The contract's defaults, and the losses of the two first methods."""

from pathlib import Path
from textwrap import dedent
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from benchmark.submissions.independent import Independent
from benchmark.submissions.lm import LogitMatching, kd_loss
from kdbench import api
from kdbench.api import BOTH, Batch, Method, Output, Shapes, Task
from kdbench.methods.loading import load_submission

GOLDEN = Path(__file__).parent / "golden"
SHAPES = Shapes("cnn", 128, (128, 4, 4), ((16, 32, 32), (32, 16, 16), (64, 8, 8), (128, 4, 4)), None, 0)


def a_task() -> Task:
    labels = torch.arange(10)
    return Task(10, 10, labels, SHAPES, SHAPES, total_steps=1, epochs=1, seed=0, device=torch.device("cpu"))


def a_batch(images: int = 4) -> Batch:
    return Batch(torch.zeros(images, 3, 32, 32), torch.arange(images), torch.arange(images))


def logits(seed: int, rows: int = 4) -> Tensor:
    return torch.randn(rows, 10, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray[Any, Any]]:
    with np.load(GOLDEN / "kd.npz", allow_pickle=False) as arrays:
        return dict(arrays)


@pytest.mark.parametrize("column", range(5))
def test_kd_loss_and_its_gradient_are_those_of_the_official_code(
    golden: dict[str, np.ndarray[Any, Any]], column: int
) -> None:
    student = torch.from_numpy(golden["y_s"]).requires_grad_()
    loss = kd_loss(student, torch.from_numpy(golden["y_t"]), float(golden["T"][column]))
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == pytest.approx(golden["loss"][column], rel=1e-5)
    assert loss.item() == pytest.approx(golden["loss_mdistiller"][column], rel=1e-5)
    expected = golden["grad_y_s"][column]
    assert student.grad is not None
    np.testing.assert_allclose(student.grad.numpy(), expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@given(seed=st.integers(0, 10**6), temperature=st.floats(0.5, 16), shift=st.floats(-5, 5))
def test_kd_loss_is_zero_for_equal_probabilities_and_positive_otherwise(
    seed: int, temperature: float, shift: float
) -> None:
    z = logits(seed)
    assert kd_loss(z + shift, z, temperature).item() == pytest.approx(0, abs=1e-4)
    assert kd_loss(logits(seed + 1), z, temperature).item() > 1e-3


def test_kd_loss_reaches_the_teacher_with_no_gradient() -> None:
    student, teacher = logits(0).requires_grad_(), logits(1).requires_grad_()
    kd_loss(student, teacher, 4.0).backward()  # type: ignore[no-untyped-call]
    assert student.grad is not None
    assert teacher.grad is None


def test_kd_loss_tends_to_the_squared_distance_of_centred_logits() -> None:
    """Hinton et al., section 2.1: for zero-mean logits the gradient tends to (z_s - z_t) / (C B)."""
    student, teacher = (z - z.mean(1, keepdim=True) for z in (logits(0).double(), logits(1).double()))
    expected = (student - teacher).square().sum(1).mean() / (2 * 10)
    assert kd_loss(student, teacher, 50.0).item() == pytest.approx(expected.item(), rel=3e-2)


def test_logit_matching_weighs_both_terms_as_its_config_says() -> None:
    method = LogitMatching(a_task(), LogitMatching.Config(temperature=2.0, distill_weight=0.75))
    student, teacher = logits(0), logits(1)
    terms: Any = method.loss(a_batch(), Output(student), Output(teacher))
    assert terms["cross_entropy"] == (F.cross_entropy(student, torch.arange(4)), 0.25)
    assert terms["distillation"] == (kd_loss(student, teacher, 2.0), 0.75)


@pytest.mark.parametrize("values", [{"temperature": 0.0}, {"temperature": -1.0}, {"distill_weight": 1.1}])
def test_logit_matching_refuses_settings_without_meaning(values: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(values))):
        LogitMatching.Config(**values)


def test_independent_is_cross_entropy_and_asks_for_no_teacher() -> None:
    uniform = torch.zeros(4, 10)
    terms: Any = Independent(a_task(), Independent.Config()).loss(a_batch(), Output(uniform), None)
    assert list(terms) == ["cross_entropy"]
    assert terms["cross_entropy"].item() == pytest.approx(np.log(10))
    assert not Independent.uses_teacher


class _RecordingRun:
    """Stands for the harness: answers with fixed logits and notes what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.losses: Any = None

    def student_forward(self, images: Tensor) -> Output:
        self.asked.append("student")
        return Output(logits(0, len(images)))

    def teacher_forward(self, images: Tensor) -> Output:
        self.asked.append("teacher")
        return Output(logits(1, len(images)))

    def backward_and_step(self, losses: Any) -> None:
        self.asked.append("update")
        self.losses = losses


@pytest.mark.parametrize(
    ("method", "networks"),
    [
        (LogitMatching(a_task(), LogitMatching.Config()), ["teacher", "student", "update"]),
        (Independent(a_task(), Independent.Config()), ["student", "update"]),
    ],
    ids=["lm", "independent"],
)
def test_the_default_step_pays_for_a_teacher_only_if_the_method_uses_one(method: Method, networks: list[str]) -> None:
    run = _RecordingRun()
    method.step(run, a_batch())  # type: ignore[arg-type]
    assert run.asked == networks
    assert "cross_entropy" in run.losses


def test_a_method_with_neither_loss_nor_step_says_so() -> None:
    with pytest.raises(NotImplementedError, match="neither `loss` nor `step`"):
        Method(a_task(), None).loss(a_batch(), Output(logits(0)), None)


def test_both_directions_are_the_cross_family_ones() -> None:
    assert BOTH == ("cnn-to-vit", "vit-to-cnn")


def test_the_example_of_a_method_file_keeps_the_contract(tmp_path: Path) -> None:
    assert api.__doc__ is not None
    _, example = api.__doc__.split("A whole file:\n")
    (tmp_path / "logit_regression.py").write_text(dedent(example))
    method = load_submission(tmp_path / "logit_regression.py")(a_task(), None)
    method.config = type(method).Config(distill_weight=0.5)
    losses = method.loss(a_batch(), Output(logits(0)), Output(logits(1)))
    assert isinstance(losses, dict)
    assert losses["regression"].weight == 0.5
    assert losses["regression"].value.item() == pytest.approx(F.mse_loss(logits(0), logits(1)).item())
