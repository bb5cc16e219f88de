"""Chooses the device, and measures its memory."""

import gc
import os
import resource
import sys

import psutil
import torch


def choose_device(wanted: str) -> str:
    """Return "cuda" or "cpu", without starting CUDA, so that the process may still fork.

    Args:
        wanted: "auto", "cuda" or "cpu"; "auto" means CUDA if there is a CUDA device.
    """
    if wanted != "auto":
        return wanted
    os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")
    return "cuda" if torch.cuda.is_available() else "cpu"


def peak_memory(device: torch.device) -> int:
    """Return the peak memory in bytes: of the allocator on CUDA, of the process otherwise."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def forget_peak_memory(device: torch.device) -> None:
    """Free unused memory and reset the allocator's peak, without starting CUDA."""
    gc.collect()
    if device.type == "cuda" and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def free_memory(device: torch.device) -> int:
    """Return the free memory of the device in bytes."""
    forget_peak_memory(device)
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return psutil.virtual_memory().available
