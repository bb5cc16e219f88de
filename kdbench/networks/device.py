"""Which device computes, and how much memory it has and takes."""

import gc
import os
import resource
import sys

import psutil
import torch


def choose_device(wanted: str) -> str:
    """Return "cuda" or "cpu", without starting CUDA, so that the process may still fork.

    Args:
        wanted: "auto", "cuda" or "cpu"; "auto" is CUDA where there is a device.
    """
    if wanted != "auto":
        return wanted
    os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")
    return "cuda" if torch.cuda.is_available() else "cpu"


def peak_memory(device: torch.device) -> int:
    """Return the most bytes that were held at once: by the allocator on CUDA, by the process elsewhere."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def forget_peak_memory(device: torch.device) -> None:
    """Give back unused memory and reset the allocator's peak, without starting CUDA."""
    gc.collect()
    if device.type == "cuda" and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def free_memory(device: torch.device) -> int:
    """Return the bytes that the device has free."""
    forget_peak_memory(device)
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return psutil.virtual_memory().available
