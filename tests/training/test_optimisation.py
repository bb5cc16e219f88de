import math

import pytest
import torch
from torch import nn

from kdbench.testsets.spec import load_spec
from kdbench.training.optimisation import make_optimizer, rate_factor


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


def test_weight_decay_spares_biases_and_norms() -> None:
    network = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4))
    backbone = load_spec().track("synthetic").backbones.vit
    decayed, spared = make_optimizer(network.parameters(), backbone).param_groups
    assert [p.shape for p in decayed["params"]] == [torch.Size([4, 3])]
    assert spared["weight_decay"] == 0.0
    assert len(spared["params"]) == 3
