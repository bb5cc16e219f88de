"""The GPUs and CPU cores of this machine, to be shared out among jobs."""

import os
from typing import Final

GPU_FAULT: Final = "the GPU failed or was lost"


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
    listed = [part.strip() for part in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if part.strip()]
    return tuple(listed[:count]) if listed else tuple(str(number) for number in range(count))


def see_only(gpu: str) -> None:
    """Let this process, which has not started CUDA, see one GPU: its only one, number 0."""
    os.environ["CUDA_VISIBLE_DEVICES"] = gpu


def is_fault_of_gpu(error: BaseException) -> bool:
    """Return whether an error says that CUDA cannot go on: nothing works on the GPU in this process any more."""
    return isinstance(error, RuntimeError) and "CUDA error" in str(error)
