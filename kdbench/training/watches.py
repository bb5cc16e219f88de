"""Notices changes of networks and optimisers, which may not change while a method's code runs."""

from collections.abc import Iterator
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from kdbench.training.failures import BudgetExceeded, RuleBroken

Breach = BudgetExceeded | RuleBroken


class NetworkWatch:
    """Notices that a network has changed since `renew`.

    In-place operations increase a tensor's version, which is cheap to compare. Operations that leave the version as it
    is (`.data`, NumPy, fused optimisers) change the norms; computing these reads every weight.

    Args:
        network: the student or the teacher.
        role: its name in messages.
    """

    def __init__(self, network: nn.Module, role: str) -> None:
        self._network, self._role = network, role
        self._modules = list(network.modules())
        self._names = [name for name, _ in _named_tensors(network)]
        self._tensors = [tensor for _, tensor in _named_tensors(network)]
        self._numbers = [tensor for tensor in self._tensors if tensor.is_floating_point()]
        self._training = [module.training for module in self._modules]
        self._gradients = [tensor.requires_grad for tensor in self._tensors]
        self._parts = self._find_parts()
        self._norms: Tensor | None = None
        self.renew(thorough=False)

    def renew(self, *, thorough: bool) -> None:
        """Take the present state as unchanged; `thorough` if `breach` should compare all weights."""
        self._versions = [tensor._version for tensor in self._tensors]
        self._training = [module.training for module in self._modules]
        self._norms = self._measure() if thorough else None

    def breach(self, *, weights: bool = False, whole: bool = False) -> Breach | None:
        """Return what has changed since `renew`, or None.

        Args:
            weights: whether to compare all weights, if `renew` was thorough.
            whole: whether to look for replaced modules and tensors, too.
        """
        compared = self._norms if weights else None
        versions = [tensor._version for tensor in self._tensors]
        if versions != self._versions:
            return self._changed(next(_differing(versions, self._versions)))
        if [module.training for module in self._modules] != self._training:
            return RuleBroken(f"switched the {self._role} between training and evaluation mode")
        gradients = [tensor.requires_grad for tensor in self._tensors]
        if gradients != self._gradients:
            name = self._names[next(_differing(gradients, self._gradients))]
            return RuleBroken(f"changed requires_grad of the {self._role}'s {name}")
        if (whole or compared is not None) and self._find_parts() != self._parts:
            return RuleBroken(f"replaced a module or tensor of the {self._role}")
        if compared is not None:
            norms = self._measure()
            if not torch.equal(norms.view(torch.int32), compared.view(torch.int32)):  # bits: NaN differs from itself
                return self._changed(None)
        return None

    def _changed(self, number: int | None) -> BudgetExceeded:
        what = "weights" if number is None else self._names[number]
        return BudgetExceeded(f"changed the {self._role}'s {what}, which only the harness may change")

    def _find_parts(self) -> list[int]:
        """Return the identities of modules and tensors, and the addresses of the tensors' data."""
        held = chain.from_iterable(
            chain(module._modules.values(), module._parameters.values(), module._buffers.values())
            for module in self._modules
        )
        return [*map(id, held), *(tensor.data_ptr() for tensor in self._tensors)]

    @torch.no_grad()
    def _measure(self) -> Tensor:
        """Return the norm of each tensor."""
        return torch.stack([torch.linalg.vector_norm(tensor, dtype=torch.float32) for tensor in self._numbers])


class OptimizerWatch:
    """Notices that the harness's optimiser or its schedule has changed since `renew`.

    Args:
        optimizer: the student's.
        schedule: of its learning rate.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, schedule: torch.optim.lr_scheduler.LambdaLR) -> None:
        self._optimizer, self._schedule = optimizer, schedule
        self.renew()

    def renew(self) -> None:
        """Take the present state of both as unchanged."""
        self._groups, self._trained, self._place = self._settings(), self._parameters(), self._position()

    def breach(self) -> Breach | None:
        """Return what has changed since `renew`, or None."""
        for before, now in zip(self._groups, self._settings(), strict=False):
            for name, value in before.items():
                if name not in now or now[name] != value:
                    return RuleBroken(f"changed {name} of the student's optimiser from {value} to {now.get(name)}")
        if self._parameters() != self._trained:
            return RuleBroken("changed the parameters that the student's optimiser trains")
        if self._position() != self._place:
            return RuleBroken("changed the schedule of the student's learning rate")
        return None

    def _settings(self) -> list[dict[str, Any]]:
        groups = self._optimizer.param_groups
        return [{name: _comparable(value) for name, value in group.items() if name != "params"} for group in groups]

    def _parameters(self) -> list[int]:
        return [id(parameter) for group in self._optimizer.param_groups for parameter in group["params"]]

    def _position(self) -> tuple[object, ...]:
        schedule = self._schedule
        return schedule.last_epoch, tuple(schedule.base_lrs), tuple(map(id, schedule.lr_lambdas))


def _comparable(value: object) -> object:
    """Return a setting in a form that notices changes in place; the value of a tensor on a GPU is not waited for."""
    return f"tensor {id(value)} in version {value._version}" if isinstance(value, Tensor) else value


def _named_tensors(network: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from network.named_parameters()
    yield from network.named_buffers()


def _differing(now: list[Any], before: list[Any]) -> Iterator[int]:
    return (number for number, (new, old) in enumerate(zip(now, before, strict=True)) if new != old)
