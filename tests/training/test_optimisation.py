import math
from collections import defaultdict

import pytest
import torch
from torch import nn

from kdbench.networks.backbone import Backbone
from kdbench.networks.models import new_backbone
from kdbench.spec import FAMILIES, Family
from kdbench.testsets.spec import load_spec
from kdbench.training.failures import BudgetExceeded
from kdbench.training.optimisation import make_optimizer, rate_factor
from kdbench.training.teacher import Supervised


def test_the_rate_rises_linearly_then_falls_to_zero_by_a_cosine() -> None:
    factors = [rate_factor(step, 100, 0.1) for step in range(100)]
    assert factors[:3] == pytest.approx([1 / 11, 2 / 11, 3 / 11])
    assert factors[10] == 1.0
    assert factors[55] == pytest.approx(0.5)
    assert factors[99] == pytest.approx(0.5 * (1 + math.cos(math.pi * 89 / 90)))
    assert factors[10:] == sorted(factors[10:], reverse=True)


def test_the_schedule_of_the_shipped_weights_is_at_its_peak_when_the_warm_up_ends() -> None:
    factors = [rate_factor(step, 100, 0.1, warmup_ends_at_peak=True) for step in range(100)]
    assert factors[:10] == pytest.approx([(step + 1) / 10 for step in range(10)])
    assert factors[9] == factors[10] == 1.0
    assert factors[10:] == [rate_factor(step, 100, 0.1) for step in range(10, 100)]


class WithModules(Supervised):
    """Has a matrix and a vector that the student's optimiser trains, and a module with an optimiser of its own."""

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.projector = nn.Linear(3, 4)
        self.own = nn.Linear(5, 6)
        self.frozen = nn.Linear(7, 8).requires_grad_(False)


def groups(family: Family) -> tuple[Backbone, WithModules, dict[float, set[str]]]:
    """Return the names of the parameters that the optimiser trains, by their weight decay."""
    track = load_spec().track("synthetic")
    student, method = new_backbone(track, family, seed=0, pretrained=False), WithModules()
    own = {"own": torch.optim.SGD(method.own.parameters(), lr=0.1)}
    optimizer = make_optimizer(student, method, own, track.backbones[family])
    names = {id(p): name for module in (student.model, method) for name, p in module.named_parameters()}
    by_decay: dict[float, set[str]] = defaultdict(set)
    for group in optimizer.param_groups:
        by_decay[group["weight_decay"]] |= {names[id(p)] for p in group["params"]}
    return student, method, by_decay


def test_the_class_token_and_position_embedding_of_a_vit_do_not_decay() -> None:
    student, _, by_decay = groups("vit")
    parameters = dict(student.model.named_parameters())
    spared = {name for name in by_decay[0.0] if name in parameters}
    assert {name for name in spared if parameters[name].ndim > 1} == {"cls_token", "pos_embed"}
    assert spared == {"cls_token", "pos_embed"} | {name for name in parameters if name.endswith(".bias")} | {
        name for name in parameters if name.endswith(("norm1.weight", "norm2.weight", "norm.weight"))
    }


def test_kernels_of_a_cnn_decay_and_its_biases_and_norms_do_not() -> None:
    student, _, by_decay = groups("cnn")
    parameters = dict(student.model.named_parameters())
    spared = {name for name in by_decay[0.0] if name in parameters}
    assert spared == {name for name, parameter in parameters.items() if parameter.ndim == 1}


@pytest.mark.parametrize("family", FAMILIES)
def test_of_a_methods_modules_matrices_decay_and_vectors_do_not(family: Family) -> None:
    student, _, by_decay = groups(family)
    decay = load_spec().track("synthetic").backbones[family].weight_decay
    assert decay > 0
    assert set(by_decay) == {0.0, decay}
    assert "projector.weight" in by_decay[decay]
    assert "projector.bias" in by_decay[0.0]
    trained = set.union(*by_decay.values())
    assert trained == {"projector.weight", "projector.bias"} | dict(student.model.named_parameters()).keys()


def test_an_optimiser_of_a_method_may_not_hold_a_parameter_of_the_student() -> None:
    track = load_spec().track("synthetic")
    student = new_backbone(track, "cnn", seed=0, pretrained=False)
    own = {"greedy": torch.optim.SGD(student.parameters(), lr=0.1)}
    with pytest.raises(BudgetExceeded, match="'greedy' holds parameters of the student"):
        make_optimizer(student, WithModules(), own, track.backbones.cnn)
