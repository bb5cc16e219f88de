"""Which device computes, and how much memory it has and takes."""

import gc
import os
import resource
import sys

import psutil
import torch


def choose_device(wanted: str) -> str:
    """ "cuda" or "cpu"; "auto" is CUDA where there is one. Does not start CUDA, so that a process may still fork."""
    if wanted != "auto":
        return wanted
    os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")
    return "cuda" if torch.cuda.is_available() else "cpu"


def peak_memory(device: torch.device) -> int:
    """Most bytes held at once: by the allocator on CUDA, by the process elsewhere."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def forget_peak_memory(device: torch.device) -> None:
    """Gives back what nobody uses any more, and lets the allocator's peak begin anew. Does not start CUDA."""
    gc.collect()
    if device.type == "cuda" and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def free_memory(device: torch.device) -> int:
    """Bytes that the device has free."""
    forget_peak_memory(device)
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return psutil.virtual_memory().available
