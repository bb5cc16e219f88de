"""Reads what a method keeps in Python between its steps: a capture would freeze it, unless it is a tensor."""

import dataclasses
import sys
from collections import Counter, deque
from collections.abc import Hashable, Iterator, Mapping, MutableMapping, MutableSequence
from random import Random
from types import FunctionType, ModuleType
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from kdbench.training.capture.engine import NewTensors, NotCaptured

MOST_PARTS = 100_000  # of the state of one method
PLAIN = (bool, int, float, complex, str, bytes, type(None))
UNNAMED = ("_parameters", "_buffers", "_modules")  # of torch's modules; their entries are attributes
Container = MutableMapping[Any, Any] | MutableSequence[Any]


class Slot(NamedTuple):
    """The place of a tensor.

    Attributes:
        holder: the dictionary or list that the tensor is in; None for one in a tuple, which cannot be replaced.
        key: of the tensor in its holder.
        tensor: itself.
    """

    holder: Container | None
    key: Any
    tensor: Tensor


class MethodState:
    """What objects hold at one moment, found by following attributes, lists and dictionaries.

    Args:
        roots: objects by name.
        device: of the captured steps.
        module: name of the Python module whose classes are followed; of other classes, only those of torch are.

    Attributes:
        slots: tensors on the device, by their path.
        values: everything else, in a form that can be compared.
        containers: all lists and dictionaries, with copies of them.

    Raises:
        NotCaptured: something that is held cannot be compared.
    """

    def __init__(self, roots: Mapping[str, object], device: torch.device, module: str = "") -> None:
        self.slots: dict[str, Slot] = {}
        self.values: dict[str, Hashable] = {}
        self.containers: list[tuple[Container, Any]] = []
        self._seen: set[int] = set()
        self._device, self._module = device, module
        for name, root in roots.items():
            self._visit(name, root, None, name)

    def put_back(self) -> None:
        """Give every list and dictionary the entries that it had."""
        for container, copy in self.containers:
            if isinstance(container, MutableMapping):
                for key in [key for key in container if key not in copy]:
                    del container[key]
                for key, value in copy.items():
                    if container.get(key, self) is not value:
                        container[key] = value
            else:
                container[:] = copy

    def changed(self, later: "MethodState") -> str | None:
        """Return the path of a value that differs at a later moment; None if none differs."""
        paths = {**self.values, **later.values}
        return next((path for path in paths if self.values.get(path) != later.values.get(path)), None)

    def _visit(self, path: str, value: object, holder: Container | None, key: Any) -> None:
        if isinstance(value, Tensor):
            self._visit_tensor(path, value, holder, key)
        elif isinstance(value, PLAIN):
            self.values[path] = (type(value), repr(value))
        elif (state := _state_of_generator(value)) is not None:
            self.values[path] = state
        elif isinstance(value, np.ndarray):
            self.values[path] = (value.shape, value.tobytes())
        elif isinstance(value, Iterator):
            raise NotCaptured(f"the method keeps an iterator in `{path}`, whose position cannot be seen")
        elif isinstance(value, set | frozenset):
            self.values[path] = (type(value), frozenset(map(_label, value)))
        else:
            self._visit_parts(path, value)

    def _visit_tensor(self, path: str, tensor: Tensor, holder: Container | None, key: Any) -> None:
        if tensor.device.type == self._device.type:
            self.slots[path] = Slot(holder, key, tensor)
        else:
            self.values[path] = (id(tensor), tensor._version)

    def _visit_parts(self, path: str, value: object) -> None:
        """Visit the parts of a container or object; anything else is compared by its identity."""
        self.values[path] = id(value)
        if id(value) in self._seen:
            return
        self._seen.add(id(value))
        if len(self._seen) > MOST_PARTS:
            raise NotCaptured("the method keeps too many objects to be compared")
        if isinstance(value, MutableMapping):
            self._visit_mapping(path, value, path)
        elif isinstance(value, list | tuple | deque):
            self._visit_sequence(path, value)
        elif self._is_of_method(value):
            self.containers.append((vars(value), dict(vars(value))))
            for name, part in vars(value).items():
                if name in UNNAMED and isinstance(part, dict):
                    self._visit_mapping(f"{path}.{name}", part, path)
                else:
                    self._visit(f"{path}.{name}", part, vars(value), name)

    def _visit_mapping(self, path: str, mapping: MutableMapping[Any, Any], prefix: str) -> None:
        """Visit the entries of a mapping, whose own path is `path` and whose entries' paths begin with `prefix`."""
        self.containers.append((mapping, dict(mapping)))
        self.values[path] = (id(mapping), frozenset(map(_label, mapping)))
        for number, (key, part) in enumerate(mapping.items()):
            named = f"{prefix}.{key}" if isinstance(key, str) else f"{prefix}[{number}]"
            self._visit(named, part, mapping, key)

    def _visit_sequence(self, path: str, sequence: Any) -> None:
        if isinstance(sequence, list):
            self.containers.append((sequence, list(sequence)))
        self.values[path] = (type(sequence), len(sequence), id(sequence) if isinstance(sequence, list) else 0)
        for number, part in enumerate(sequence):
            self._visit(f"{path}[{number}]", part, sequence if isinstance(sequence, list) else None, number)

    def _is_of_method(self, value: object) -> bool:
        """Return whether an object can be a part of the method, not of a library."""
        if isinstance(value, type | FunctionType | ModuleType) or not hasattr(value, "__dict__"):
            return False
        known = isinstance(value, nn.Module | Optimizer | LRScheduler) or dataclasses.is_dataclass(value)
        return known or type(value).__module__ == self._module


def roots_of(method: nn.Module, own_optimizers: Mapping[str, Optimizer]) -> dict[str, object]:
    """Return what may hold the state of a method, by name: itself, its optimisers, and the names of its file."""
    module = sys.modules.get(type(method).__module__)
    classes = [kind for kind in type(method).__mro__ if kind.__module__ == type(method).__module__]
    names = {f"{kind.__name__}.{name}": value for kind in classes for name, value in vars(kind).items()}
    names |= {} if module is None else vars(module)
    kinds = (*PLAIN, list, dict, set, Tensor, np.ndarray, Random, np.random.Generator, torch.Generator)
    kept = {name: value for name, value in names.items() if isinstance(value, kinds) and "__" not in name}
    return {"self": method, **{f"optimizers.{name}": held for name, held in own_optimizers.items()}, **kept}


def settle(before: MethodState, after: MethodState) -> None:
    """Copy each tensor that a step has put in the place of another one into that other one, and put this one back.

    A captured step reads and writes the tensors that it was captured with. A method that replaces a tensor, as in
    `self.mean = 0.9 * self.mean + 0.1 * value`, thereby keeps the tensor and changes its contents.

    Raises:
        NotCaptured: a new tensor does not fit into the place of the old one.
    """
    both = [path for path in after.slots if path in before.slots]
    replaced = [path for path in both if after.slots[path].tensor is not before.slots[path].tensor]
    shared = _tensors_by_address(before) if replaced else {}
    for path in replaced:
        (holder, key, old), new = before.slots[path], after.slots[path].tensor
        if holder is None or new.grad_fn is not None or shared[old.data_ptr()] > 1:
            raise NotCaptured(f"the method replaces the tensor `{path}` in each step; copy into it, without gradient")
        if (new.shape, new.dtype) != (old.shape, old.dtype):
            raise NotCaptured(f"the method replaces the tensor `{path}` by one of another shape or type")
        with torch.no_grad():
            old.copy_(new)
        holder[key] = old


def require_same_places(before: MethodState, after: MethodState) -> None:
    """Raise `NewTensors` if a step has created tensors that outlive it, `NotCaptured` if it has replaced one."""
    if new := next((path for path in after.slots if path not in before.slots), None):
        raise NewTensors(f"the method creates the tensor `{new}` in a later step")
    for path, slot in after.slots.items():
        if slot.tensor is not before.slots[path].tensor:
            raise NotCaptured(f"the step replaces the tensor `{path}`")


def _tensors_by_address(state: MethodState) -> Counter[int]:
    """Return how many different tensors begin at each address."""
    tensors = {id(slot.tensor): slot.tensor for slot in state.slots.values()}
    return Counter(tensor.data_ptr() for tensor in tensors.values())


def _label(key: object) -> Hashable:
    return (type(key), repr(key)) if isinstance(key, PLAIN) else id(key)


def _state_of_generator(value: object) -> Hashable | None:
    """Return the state of a generator of random numbers; None for anything else."""
    if isinstance(value, torch.Generator):
        return value.get_state().numpy().tobytes()
    if isinstance(value, Random):
        return value.getstate()
    if isinstance(value, np.random.Generator):
        return repr(value.bit_generator.state)
    if isinstance(value, np.random.RandomState):
        return repr(value.get_state())
    return None
