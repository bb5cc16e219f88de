"""What a process that runs the code of a method may use, and how it is restricted to that."""

import sys
import sysconfig
from collections.abc import Callable, Iterable
from pathlib import Path

import torch

from kdbench.jobs import sandbox
from kdbench.resources import PACKAGE

MOST_PROCESSES = 4096  # of the user who runs the command, in all
SYSTEM = ("/usr", "/lib", "/lib64", "/bin", "/opt", "/proc", "/sys", "/etc/ld.so.cache", "/etc/alternatives")
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
OWN_PROCESS = Path("/proc/self")  # CUDA names its threads there
GPU_DEVICES = ("nvidia*", "dri", "kfd", "shm")  # below /dev

Restrict = Callable[[sandbox.Confinement], tuple[sandbox.Measure, ...]]
"""Narrows for good what this process may do, and returns the measures that hold."""


def unrestricted(confinement: sandbox.Confinement) -> tuple[sandbox.Measure, ...]:  # noqa: ARG001
    """Narrow nothing."""
    return ()


def confinement(
    scratch: Path, *, file_bytes: int, readable: Iterable[Path] = (), devices: Iterable[Path] = ()
) -> sandbox.Confinement:
    """Return what a process may use that runs the code of a method: libraries, and a scratch folder to write into.

    Args:
        scratch: the folder.
        file_bytes: the largest file that it may write.
        readable: files and folders that it may read beside the libraries.
        devices: that it may use beside those that every program needs.
    """
    return sandbox.Confinement(
        readable=(*_installed(), *map(Path, SYSTEM), PACKAGE, *readable),
        writable=(scratch, *map(Path, DEVICES), *devices),
        file_bytes=file_bytes,
        processes=MOST_PROCESSES,
    )


def devices_of(gpu: str | None) -> tuple[Path, ...]:
    """Return the devices that a training uses beside those that every program needs.

    Args:
        gpu: that it sees; None for one on the CPU.
    """
    gpus = [path for pattern in GPU_DEVICES for path in Path("/dev").glob(pattern)] if gpu is not None else []
    return OWN_PROCESS, *gpus


def start_device(device: str) -> None:
    """Start CUDA if it is to be used: it then opens files and sockets that are out of reach later."""
    if device == "cuda":
        torch.zeros(1, device="cuda")


def import_only_what_is_installed() -> None:
    """Let this process import no module from the user's own folders, such as the one that the command was given in."""
    installed = _installed()
    sys.path[:] = [path for path in sys.path if any(Path(path).is_relative_to(folder) for folder in installed)]


def _installed() -> list[Path]:
    """Return the folders of Python, its standard library and the packages that are installed for it."""
    libraries = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    packages = {path for path in sys.path if path and any(Path(path).glob("*.dist-info"))}
    return [Path(path) for path in (sys.prefix, sys.base_prefix, *libraries, *packages)]
