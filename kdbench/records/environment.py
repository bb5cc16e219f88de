"""Describes where a run is made."""

import platform
import subprocess
from functools import cache
from importlib.metadata import version
from pathlib import Path

import torch

from kdbench import __version__
from kdbench.records.schema import Environment
from kdbench.spec import Precision


def describe_environment(device: torch.device, precision: Precision, command: str) -> Environment:
    """Return versions and machine of this process, its device and precision, and the command that started it."""
    cuda = device.type == "cuda"
    return Environment(
        kdbench=__version__,
        python=platform.python_version(),
        torch=torch.__version__,
        timm=version("timm"),
        numpy=version("numpy"),
        platform=platform.platform(),
        processor=_processor(),
        device=torch.cuda.get_device_name() if cuda else "cpu",
        device_class=f"{device.type}-{precision}",
        threads=torch.get_num_threads(),
        commit=_commit(),
        command=command,
    )


@cache
def _processor() -> str:
    """The processor's name as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


@cache
def _commit() -> str | None:
    """The commit of the checkout that this package lies in, with "+" for local changes; None outside of one."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return None
    git = ("git", "-C", str(root))
    try:
        head = subprocess.run((*git, "rev-parse", "HEAD"), capture_output=True, text=True, check=True, timeout=10)
        dirty = subprocess.run(
            (*git, "status", "--porcelain", "-uno"), capture_output=True, text=True, check=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return head.stdout.strip() + ("+" if dirty.stdout.strip() else "")
