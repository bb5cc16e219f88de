"""The GPUs and CPU cores of this machine, to be shared out among jobs."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

GPU_FAULT: Final = "the GPU failed or was lost"
VISIBLE: Final = "CUDA_VISIBLE_DEVICES"


def cores() -> int:
    """Return the number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def visible_gpus() -> tuple[str, ...]:
    """Return the value of `CUDA_VISIBLE_DEVICES` that shows a process one GPU alone, for each GPU of this process.

    CUDA is not started.
    """
    import torch

    os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")
    count = torch.cuda.device_count()
    listed = [part.strip() for part in os.environ.get(VISIBLE, "").split(",") if part.strip()]
    return tuple(listed[:count]) if listed else tuple(str(number) for number in range(count))


def see_only(gpu: str) -> None:
    """Let this process, which has not started CUDA, see one GPU: its only one, number 0."""
    os.environ[VISIBLE] = gpu


@contextmanager
def seeing(gpus: Sequence[str]) -> Iterator[None]:
    """Let this process, which has not started CUDA, see some GPUs only until the end of `with`."""
    before = os.environ.get(VISIBLE)
    os.environ[VISIBLE] = ",".join(gpus)
    try:
        yield
    finally:
        os.environ.pop(VISIBLE)
        if before is not None:
            os.environ[VISIBLE] = before


def is_fault_of_gpu(error: BaseException) -> bool:
    """Return whether an error says that CUDA cannot go on: nothing works on the GPU in this process any more."""
    return isinstance(error, RuntimeError) and "CUDA error" in str(error)
