"""How many runs are done at a time: what memory is free, and what a run of a track takes.

The memory of a step on a GPU is measured (`kdbench.jobs.measured_room`), since a formula would have to know every
layer. A place for runs has up to three processes: a training, the evaluation of the run before it, and the preparation
of the run after it. Each has its own CUDA context and libraries, and at most the memory of a step.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import psutil

from kdbench.errors import InputError

GIB: Final = 2**30
CONTEXT_BYTES: Final = GIB  # of a CUDA context with the libraries of PyTorch and their workspaces
PROCESSES: Final = 3  # of a place for runs
CPU_BYTES: Final = GIB // 4  # of the processes of a run on the CPU, at least
SHARE: Final = 0.9  # of the free memory that runs may plan with
MOST_RUNS: Final = 4  # by default: on one H200 with 4 cores, 8 processes trained no more images per second than 4


@dataclass(frozen=True)
class GpuRoom:
    """The memory of a GPU.

    Attributes:
        free_bytes: that no process uses.
        step_bytes: that a step of a run takes, training set and states of the optimiser included.
    """

    free_bytes: int
    step_bytes: int

    @property
    def place_bytes(self) -> int:
        """What the processes of a place for runs take."""
        return PROCESSES * (CONTEXT_BYTES + self.step_bytes)

    @property
    def runs(self) -> int:
        """How many runs fit at once; 0 if not even one does by this estimate."""
        return int(SHARE * self.free_bytes) // self.place_bytes


def runs_per_gpu(rooms: Sequence[GpuRoom], cores: int, wanted: int | None) -> int:
    """Return how many runs each GPU gets at a time.

    Args:
        rooms: of the GPUs.
        cores: of the CPU, which launch the work of the GPUs.
        wanted: by the user; None to decide by memory and cores. A GPU always gets one run, which may split its batches.

    Raises:
        InputError: the runs that the user wants do not fit.
    """
    fitting = min(room.runs for room in rooms)
    if wanted is None:
        return max(1, min(MOST_RUNS, fitting, cores // len(rooms)))
    if wanted > max(1, fitting):
        smallest = min(rooms, key=lambda room: room.runs)
        raise InputError(
            f"--workers {wanted} means {wanted} runs at a time on each GPU, which need about "
            f"{wanted * smallest.place_bytes / GIB:.0f} GiB of its memory, and {smallest.free_bytes / GIB:.0f} GiB are "
            f"free; give --workers {max(1, fitting)} or fewer, or end other processes on the GPU"
        )
    return wanted


def runs_on_cpu(cores: int, wanted: int | None) -> int:
    """Return how many runs the CPU gets at a time: one per core, or as many as the user wants.

    Raises:
        InputError: the runs that the user wants do not fit into memory.
    """
    fitting = psutil.virtual_memory().available // CPU_BYTES
    if wanted is not None and wanted > max(cores, fitting):
        raise InputError(
            f"--workers {wanted} means {wanted} runs at a time, which need at least {wanted * CPU_BYTES / GIB:.0f} GiB "
            f"of memory, and {fitting * CPU_BYTES / GIB:.0f} GiB are available; give --workers {max(cores, fitting)} "
            "or fewer"
        )
    return wanted or cores
