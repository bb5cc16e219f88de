"""What the tree of processes below one process takes, and how it is ended."""

import contextlib
import itertools
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

MOST_SECONDS_TO_END = 10.0


def tree(pid: int) -> list[psutil.Process]:
    """Return the processes below one, without itself; those in namespaces of their own are among them."""
    with contextlib.suppress(psutil.Error):
        return psutil.Process(pid).children(recursive=True)
    return []


def family_of(pid: int) -> list[int]:
    """Return the number of a process and those of the processes below it."""
    return [pid, *(process.pid for process in tree(pid))]


def memory_above(processes: Sequence[int], limit: int) -> int | None:
    """Return the bytes that processes hold if they are more than a limit, else None.

    Shared memory counts. Pages of files, and so of the libraries that all of them load, do not; files that lie in
    memory do. What processes share among each other counts once; finding out what it is reads every page of theirs, so
    it is done only where the limit would be passed if they shared nothing.
    """
    if _sum_of(processes, _memory_if_unshared) <= limit:
        return None
    held = _sum_of(processes, _memory)
    return held if held > limit else None


def _sum_of(processes: Sequence[int], memory: Callable[[int], tuple[int, int]]) -> int:
    held = [memory(pid) for pid in processes]
    shared = max(sum(shared for _, shared in held), bytes_without_name(processes, in_memory=True))
    return sum(private for private, _ in held) + shared


def _memory(pid: int) -> tuple[int, int]:
    """Return the private and the shared bytes of a process without its files.

    What it shares with others counts by its part, and as a whole for a process that hides how it shares it.
    """
    with contextlib.suppress(OSError):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return _kibibytes(lines, ("Pss_Anon:", "SwapPss:")), _kibibytes(lines, "Pss_Shmem:")
    return _memory_if_unshared(pid)


def _memory_if_unshared(pid: int) -> tuple[int, int]:
    """Return what `_memory` would return if the process shared nothing with others; the kernel counts it already."""
    with contextlib.suppress(OSError):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return _kibibytes(lines, ("RssAnon:", "VmSwap:")), _kibibytes(lines, "RssShmem:")
    return 0, 0


def _kibibytes(lines: list[str], names: str | tuple[str, ...]) -> int:
    """Return the sum of some lines such as `RssAnon:   12 kB`, in bytes."""
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith(names))


def bytes_without_name(processes: Sequence[int], *, in_memory: bool) -> int:
    """Return the bytes of open files that no folder holds: those that lie in memory, or those on a disk."""
    sizes = {}
    for link in (link for pid in processes for link in _listed(Path(f"/proc/{pid}/fd"))):
        with contextlib.suppress(OSError):
            place = str(link.readlink())
            if place.endswith("(deleted)") and place.startswith("/memfd:") == in_memory:
                status = link.stat()
                sizes[status.st_dev, status.st_ino] = 512 * status.st_blocks
    return sum(sizes.values())


def _listed(folder: Path) -> list[Path]:
    with contextlib.suppress(OSError):
        return list(folder.iterdir())
    return []


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


@dataclass(frozen=True)
class Files:
    """What lies below a folder.

    Attributes:
        number: of files, folders and links.
        bytes: that they take on the disk.
        hidden: whether there is a folder that cannot be read.
    """

    number: int = 0
    bytes: int = 0
    hidden: bool = False


def files_below(folder: Path, most: int) -> Files:
    """Count what lies below a folder, until it is more than a number; links are not followed."""
    waiting, number, size, hidden = [str(folder)], 0, 0, False
    while waiting and number <= most:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in itertools.islice(entries, most + 1):
                    number += 1
                    size += bytes_of_file(Path(entry.path))
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
        except FileNotFoundError:  # removed in the meantime
            continue
        except OSError:
            hidden = True
    return Files(number, size, hidden)


def bytes_of_file(file: Path) -> int:
    """Return the bytes that a file takes on the disk; 0 if it does not exist. A link is not followed."""
    with contextlib.suppress(OSError):
        return 512 * file.lstat().st_blocks
    return 0
