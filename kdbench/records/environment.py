"""Describes the software and the machine that make a run."""

import platform
import subprocess
from functools import cache
from importlib.metadata import version
from pathlib import Path

import torch

from kdbench.records.schema import Environment
from kdbench.resources import VERSION
from kdbench.spec import Precision


def describe_environment(device: torch.device, precision: Precision, command: str) -> Environment:
    """Return versions and machine of this process, its device and precision, and the command that started it."""
    cuda = device.type == "cuda"
    return Environment(
        kdbench=VERSION,
        python=platform.python_version(),
        torch=torch.__version__,
        timm=version("timm"),
        numpy=version("numpy"),
        platform=platform.platform(),
        processor=_cpu_name(),
        device=_gpu_name() if cuda else "cpu",
        device_class=f"{device.type}-{precision}",
        threads=torch.get_num_threads(),
        commit=_commit(),
        command=command,
    )


def _gpu_name() -> str:
    """Return the name of the GPU; that of one which cannot be asked any more is unknown."""
    try:
        return torch.cuda.get_device_name()
    except (RuntimeError, AssertionError):
        return "unknown GPU"


@cache
def _cpu_name() -> str:
    """Return the name of the CPU as the system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


@cache
def _commit() -> str | None:
    """Return the commit of the checkout that holds this package, with "+" for local changes; None outside of one."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return None
    try:
        return _git(root, "rev-parse", "HEAD") + ("+" if _git(root, "status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(root: Path, *arguments: str) -> str:
    """Return what a git command prints."""
    command = ("git", "-C", str(root), *arguments)
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
