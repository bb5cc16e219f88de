"""What the tree of processes below one process takes, and how it is ended."""

import contextlib
import os
import time
from pathlib import Path

import psutil

MOST_SECONDS_TO_END = 10.0


def tree(pid: int) -> list[psutil.Process]:
    """Return the processes below one, without itself; those in namespaces of their own are among them."""
    with contextlib.suppress(psutil.Error):
        return psutil.Process(pid).children(recursive=True)
    return []


def memory_of(pid: int) -> int:
    """Return the bytes that a process and those below it hold, shared memory included.

    Pages of files, and so of the libraries that all of them load, do not count.
    """
    return sum(_memory(process.pid) for process in tree(pid)) + _memory(pid)


def _memory(pid: int) -> int:
    """Return the bytes of a process without its files; what it shares with others counts by its part."""
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    kinds = ("Pss_Anon:", "Pss_Shmem:", "SwapPss:")
    return 1024 * sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith(kinds))


def end_tree(pid: int) -> None:
    """End the processes below one, then itself: in this order none of them loses its place in the tree."""
    deadline = time.monotonic() + MOST_SECONDS_TO_END
    while (running := [process for process in tree(pid) if _is_running(process)]) and time.monotonic() < deadline:
        for process in running:
            with contextlib.suppress(psutil.Error):
                process.kill()
        time.sleep(0.01)
    with contextlib.suppress(psutil.Error):
        psutil.Process(pid).kill()


def _is_running(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return process.status() != psutil.STATUS_ZOMBIE
    return False


def bytes_below(folder: Path) -> int:
    """Return the bytes that the files below a folder take on the disk; links are not followed."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += (Path(parent) / name).lstat().st_blocks * 512
    return total
