"""Reads, compares and restores the global settings of PyTorch that affect the result of a training."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import torch
from torch.backends import cuda, cudnn, mkldnn

from kdbench.training.failures import RuleBroken


class _Setting(NamedTuple):
    """A setting of the process; `write` is None for a setting that cannot be restored."""

    name: str
    read: Callable[[], Any]
    write: Callable[[Any], object] | None


def _attribute(name: str, holder: Any, attribute: str) -> _Setting:
    return _Setting(name, lambda: getattr(holder, attribute, None), lambda value: setattr(holder, attribute, value))


def _autocast(device: str) -> tuple[_Setting, _Setting]:
    return (
        _Setting(
            f"autocast on {device}",
            lambda: torch.is_autocast_enabled(device),
            lambda value: torch.set_autocast_enabled(device, value),
        ),
        _Setting(
            f"dtype of autocast on {device}",
            lambda: torch.get_autocast_dtype(device),
            lambda value: torch.set_autocast_dtype(device, value),
        ),
    )


def _matmul_precision() -> str:
    """Return the precision of float32 matrix products; "mixed" if it differs between backends."""
    try:
        return torch.get_float32_matmul_precision()
    except RuntimeError:
        return "mixed"


SETTINGS = (
    _Setting("number of threads", torch.get_num_threads, torch.set_num_threads),
    _Setting("number of inter-operation threads", torch.get_num_interop_threads, None),
    _Setting("default dtype", torch.get_default_dtype, torch.set_default_dtype),
    _Setting("default device", torch.get_default_device, torch.set_default_device),
    _Setting("gradient mode", torch.is_grad_enabled, torch.set_grad_enabled),
    _Setting("inference mode", torch.is_inference_mode_enabled, None),
    _Setting(
        "choice of deterministic algorithms",
        lambda: (torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()),
        lambda value: torch.use_deterministic_algorithms(value[0], warn_only=value[1]),
    ),
    *_autocast("cpu"),
    *_autocast("cuda"),
    _Setting("float32 matmul precision", _matmul_precision, torch.set_float32_matmul_precision),
    _attribute("float32 precision of CUDA matmul", cuda.matmul, "fp32_precision"),
    _attribute("float32 precision of cuDNN convolutions", getattr(cudnn, "conv", None), "fp32_precision"),
    _attribute("float32 precision of oneDNN matmul", getattr(mkldnn, "matmul", None), "fp32_precision"),
    _attribute("bfloat16 reduction of CUDA matmul", cuda.matmul, "allow_bf16_reduced_precision_reduction"),
    _attribute("use of cuDNN", cudnn, "enabled"),
    _attribute("benchmark mode of cuDNN", cudnn, "benchmark"),
    _attribute("determinism of cuDNN", cudnn, "deterministic"),
    _Setting("flash attention", cuda.flash_sdp_enabled, cuda.enable_flash_sdp),
    _Setting("memory-efficient attention", cuda.mem_efficient_sdp_enabled, cuda.enable_mem_efficient_sdp),
    _Setting("plain attention", cuda.math_sdp_enabled, cuda.enable_math_sdp),
)


def read_settings() -> tuple[Any, ...]:
    """Return the values of `SETTINGS`, in their order."""
    return tuple(setting.read() for setting in SETTINGS)


def changed_setting(before: tuple[Any, ...]) -> str | None:
    """Return which setting differs from `before`, with both values, in words; None if none differs."""
    now = read_settings()
    if now == before:
        return None
    setting, old, new = next(
        (setting, old, new) for setting, old, new in zip(SETTINGS, before, now, strict=True) if old != new
    )
    return f"{setting.name} of PyTorch from {old} to {new}"


@contextmanager
def settings_kept(by: str) -> Iterator[None]:
    """Raise `RuleBroken` if the block changes a setting; `by` says what runs in it."""
    before = read_settings()
    yield
    if changed := changed_setting(before):
        raise RuleBroken(f"{by} changed the {changed}")


@contextmanager
def settings_put_back() -> Iterator[None]:
    """Restore, at the end of the block, every setting that the block changed, as far as possible."""
    before = read_settings()
    try:
        yield
    finally:
        for setting, value in zip(SETTINGS, before, strict=True):
            if setting.read() != value and setting.write is not None and value is not None:
                with suppress(RuntimeError):
                    setting.write(value)
