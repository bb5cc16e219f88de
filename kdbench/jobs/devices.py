"""The GPUs of this machine, for one run each."""

import os

import torch


def visible_gpus() -> tuple[str, ...]:
    """What `CUDA_VISIBLE_DEVICES` has to be for a process to see one of the GPUs that this one may use, for each.

    CUDA is not started by asking.
    """
    os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")
    count = torch.cuda.device_count()
    listed = [part.strip() for part in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if part.strip()]
    return tuple(listed[:count]) if listed else tuple(str(number) for number in range(count))


def see_only(gpu: str) -> None:
    """Lets this process, which has not started CUDA, see one GPU: its only one, number 0."""
    os.environ["CUDA_VISIBLE_DEVICES"] = gpu
