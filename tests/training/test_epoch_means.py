"""What a training logs is averaged over the epoch, across an interruption, too."""

import pytest
import torch

from kdbench.training.epoch_means import EpochMeans

CPU = torch.device("cpu")


def test_each_number_is_averaged_over_how_often_it_was_logged() -> None:
    means = EpochMeans(CPU)
    means.add({"loss": torch.tensor(1.0), "rare": 5.0})
    means.add({"loss": torch.tensor(2.0)})
    assert means.take() == {"loss": 1.5, "rare": 5.0}
    assert means.take() == {}


def test_logging_holds_no_graph() -> None:
    means = EpochMeans(CPU)
    means.add({"loss": torch.ones((), requires_grad=True) * 2})
    assert not means.state()["sums"]["loss"].requires_grad


def test_restored_sums_go_on_where_they_were_saved() -> None:
    first, second = EpochMeans(CPU), EpochMeans(CPU)
    first.add({"loss": 1.0})
    second.restore(first.state())
    second.add({"loss": 4.0})
    assert second.take()["loss"] == pytest.approx(2.5)
