"""A stand-in for CUDA graphs on the CPU: it records the operations of PyTorch and repeats them without any Python.

As with a graph, recording computes nothing that lasts, numbers of Python are frozen in it, an operation that hands a
value to Python ends it, and a repetition reads and writes the tensors that were there at the recording.
"""

import contextlib
from collections.abc import Callable, Hashable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_leaves

from kdbench.training.capture.engine import python_random_states

VALUES_FOR_PYTHON = ("_local_scalar_dense", "nonzero", "equal", "is_nonzero")
SILENTLY_WRITTEN = {"native_batch_norm": (3, 4)}  # positions of arguments that the schema does not mark as written


class Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Records operations, and keeps what is needed to undo them."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operations: list[tuple[Any, tuple[Any, ...], dict[str, Any], Any]] = []
        self.written: dict[int, tuple[Tensor, Tensor]] = {}
        self._created: set[int] = set()  # storages of tensors that did not exist before
        self._constant: set[int] = set()  # and of those that depend on numbers of Python alone

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = func._schema.name.removeprefix("aten::")
        given = {storage_of(leaf) for leaf in tree_leaves((args, kwargs)) if is_tensor(leaf)}
        constant = name == "lift_fresh" or given <= self._constant
        if name in VALUES_FOR_PYTHON and not constant:
            raise RuntimeError("operation not permitted when stream is capturing")
        for tensor in written_arguments(func, args, kwargs):
            if storage_of(tensor) not in self._created and id(tensor) not in self.written:
                self.written[id(tensor)] = (tensor, tensor.detach().clone())
        result = func(*args, **kwargs)
        returned = {storage_of(leaf) for leaf in tree_leaves(result) if is_tensor(leaf)}
        self._created |= returned if creates(func) or name == "lift_fresh" else set()
        self._constant |= returned if constant else set()
        self.operations.append((func, args, kwargs, result))
        return result

    def undo(self) -> None:
        with torch.no_grad():
            for tensor, before in self.written.values():
                tensor.copy_(before)

    def repeat(self) -> None:
        with torch.no_grad():
            for func, args, kwargs, result in self.operations:
                again = func(*args, **kwargs)
                if creates(func):
                    for old, new in zip(tree_flatten(result)[0], tree_flatten(again)[0], strict=True):
                        if is_tensor(old):
                            old.copy_(new)


def storage_of(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def is_tensor(value: object) -> bool:
    return isinstance(value, Tensor)


def creates(func: Any) -> bool:
    """Return whether an operation returns new tensors, and not arguments or views of them."""
    return bool(func._schema.returns) and all(value.alias_info is None for value in func._schema.returns)


def written_arguments(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[Tensor]:
    schema = func._schema
    silently = SILENTLY_WRITTEN.get(schema.name.removeprefix("aten::"), ())
    for position, argument in enumerate(schema.arguments):
        value = args[position] if position < len(args) else kwargs.get(argument.name)
        if position in silently or (argument.alias_info is not None and argument.alias_info.is_write):
            yield from (leaf for leaf in tree_leaves(value) if is_tensor(leaf))


class StandInEngine:
    """Captures on the CPU.

    Attributes:
        calls: "rehearse", "capture" and "repeat", in the order in which they were called.
        spoil: called on the recording of every capture, to damage it.
        short: what `shortage` returns.
    """

    def __init__(self) -> None:
        self.device = torch.device("cpu")
        self.calls: list[str] = []
        self.spoil: Callable[[Recorder], None] | None = None
        self.short: str | None = None
        self._working = False

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        assert not self._working
        self._working = True
        try:
            yield
        finally:
            self._working = False

    def rehearse(self, function: Callable[[], None]) -> tuple[str, ...]:
        self.calls.append("rehearse")
        function()
        return ()

    def capture(self, function: Callable[[], None]) -> Callable[[], None]:
        assert self._working
        self.calls.append("capture")
        random = torch.get_rng_state()
        recorder = Recorder()
        try:
            with recorder:
                function()
        finally:
            recorder.undo()
            torch.set_rng_state(random)
        if self.spoil is not None:
            self.spoil(recorder)

        def repeat() -> None:
            assert self._working
            self.calls.append("repeat")
            recorder.repeat()

        return repeat

    def shortage(self, state_bytes: int) -> str | None:
        assert state_bytes > 0
        return self.short

    def random_state(self) -> Tensor:
        return torch.get_rng_state()

    def set_random_state(self, state: Tensor) -> None:
        torch.set_rng_state(state)

    def frozen_random_states(self) -> tuple[Hashable, ...]:
        return python_random_states()
