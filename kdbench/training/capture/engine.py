"""Records what a function computes on the device, so that it can be repeated without running the function again."""

import gc
import random
import warnings
from collections.abc import Callable, Hashable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

SYNCHRONISATION = "called a synchronizing CUDA operation"  # PyTorch's warning about a wait for the device
GIB = 2**30


class NotCaptured(Exception):
    """A step cannot be captured; the message says why, as a clause that follows "the steps ran eagerly: "."""


class NewTensors(NotCaptured):
    """A step created tensors that live on; it can be captured later, when they exist."""


class Engine(Protocol):
    """Captures functions on one device.

    Attributes:
        device: on which the captured functions compute.
    """

    device: torch.device

    def at_work(self) -> AbstractContextManager[None]:
        """Return a context in which steps run, captured or not."""

    def rehearse(self, function: Callable[[], None]) -> tuple[str, ...]:
        """Run a function and return the places, as "FILE:LINE", at which it waited for the device."""

    def capture(self, function: Callable[[], None]) -> Callable[[], None]:
        """Record what a function computes, without computing it, and return the repetition of the computation.

        Raises:
            Exception: the function raised it, or it cannot be captured; the device works as before.
        """

    def shortage(self, state_bytes: int) -> str | None:
        """Return why memory does not suffice to capture a step, or None.

        Args:
            state_bytes: size of everything that a step changes; the check of a capture needs two copies of it.
        """

    def random_state(self) -> Tensor:
        """Return the state of the device's random numbers, which continue in repetitions."""

    def set_random_state(self, state: Tensor) -> None:
        """Set the state of the device's random numbers."""

    def frozen_random_states(self) -> tuple[Hashable, ...]:
        """Return the states of the generators whose numbers a capture would freeze."""


class CudaEngine:
    """Captures functions as CUDA graphs.

    All steps run on one stream of their own, captured or not. The accumulation of gradients stays on the stream of the
    first backward pass, so a step that ran on another stream before could not be captured.

    Args:
        device: a CUDA device.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._stream: torch.cuda.Stream | None = None
        self._failed: list[torch.cuda.CUDAGraph] = []  # the allocator may still ask whether they are capturing

    @contextmanager
    def at_work(self) -> Iterator[None]:
        outer = torch.cuda.current_stream(self.device)
        stream = self._own_stream()
        stream.wait_stream(outer)
        with torch.cuda.stream(stream):
            yield
        outer.wait_stream(stream)

    def _own_stream(self) -> torch.cuda.Stream:
        """Return the stream of all steps; it is made late, because a process may fork before it uses CUDA."""
        if self._stream is None:
            self._stream = torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]
        return self._stream

    def rehearse(self, function: Callable[[], None]) -> tuple[str, ...]:
        before = torch.cuda.get_sync_debug_mode()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            try:
                function()
            finally:
                torch.cuda.set_sync_debug_mode(before)
        waits = [warning for warning in caught if SYNCHRONISATION in str(warning.message)]
        return tuple(dict.fromkeys(f"{Path(warning.filename).name}:{warning.lineno}" for warning in waits))

    def capture(self, function: Callable[[], None]) -> Callable[[], None]:
        graph, first = torch.cuda.CUDAGraph(), None
        try:
            with _no_garbage_collection(), torch.cuda.graph(graph, stream=self._own_stream()):
                try:
                    function()
                except BaseException as error:
                    first = error
                    raise
        except Exception as error:  # a capture that has failed raises a second, less telling error when it ends
            self._recover(graph)
            raise first or error from None
        return graph.replay

    def _recover(self, failed: torch.cuda.CUDAGraph) -> None:
        """End the capture mode of the random numbers, which a failed capture leaves, by a capture that succeeds."""
        torch.cuda.synchronize(self.device)
        failed.reset()
        self._failed.append(failed)
        scratch = torch.zeros(1, device=self.device)
        with torch.cuda.graph(torch.cuda.CUDAGraph(), stream=self._own_stream()):
            scratch.add_(1)

    def shortage(self, state_bytes: int) -> str | None:
        allocated = torch.cuda.memory_allocated(self.device)
        step = torch.cuda.max_memory_allocated(self.device) - allocated
        unused = torch.cuda.memory_reserved(self.device) - allocated
        free = torch.cuda.mem_get_info(self.device)[0] + unused
        needed = 2 * (step + state_bytes)
        if needed <= free:
            return None
        return (
            f"a captured step beside an eager one needs {needed / GIB:.1f} GiB, and the GPU has {free / GIB:.1f} GiB "
            "free"
        )

    def random_state(self) -> Tensor:
        return torch.cuda.get_rng_state(self.device)

    def set_random_state(self, state: Tensor) -> None:
        torch.cuda.set_rng_state(state, self.device)

    def frozen_random_states(self) -> tuple[Hashable, ...]:
        return (*python_random_states(), torch.get_rng_state().numpy().tobytes())


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Keep the garbage collector from freeing objects of CUDA in the middle of a capture, which could end it."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def python_random_states() -> tuple[Hashable, ...]:
    """Return the states of the random numbers of Python and of NumPy."""
    state: Any = np.random.get_state(legacy=False)
    return random.getstate(), state["state"]["key"].tobytes(), state["state"]["pos"]


def engine_for(device: torch.device) -> Engine | None:
    """Return what captures steps on a device; None where steps cannot be captured."""
    return CudaEngine(device) if device.type == "cuda" else None
