"""Memory and files of processes are counted however they are held, and whatever lies in the way."""

import ctypes
import os
import signal
import sys
import tempfile
from pathlib import Path

import pytest

from kdbench.jobs.hostile_files import remove
from kdbench.jobs.process_tree import bytes_without_name, files_below, memory_above

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc is that of Linux")
SIZE = 2**25  # bytes
SET_DUMPABLE = 4
NOBODY = 65534


def memory_of(pid: int) -> int:
    """Return the bytes that a process holds."""
    held = memory_above([pid], 0)
    assert held is not None
    return held


def nested(folder: Path, depth: int, name: str) -> None:
    """Make folders in each other, deeper than a path may be long."""
    here = Path.cwd()
    os.chdir(folder)
    try:
        for _ in range(depth):
            Path(name).mkdir()
            os.chdir(name)
    finally:
        os.chdir(here)


def test_files_are_counted_with_their_folders_and_without_what_links_lead_to(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_bytes(b"x" * SIZE)
    (tmp_path / "link").symlink_to("/usr")
    files = files_below(tmp_path, most=100)
    assert files.number == 3
    assert SIZE <= files.bytes < 1.1 * SIZE
    assert not files.hidden


def test_counting_ends_soon_after_the_most(tmp_path: Path) -> None:
    for number in range(50):
        (tmp_path / str(number)).touch()
    assert 10 < files_below(tmp_path, most=10).number <= 20


def test_folders_deeper_than_a_stack_are_counted(tmp_path: Path) -> None:
    nested(tmp_path, 1500, "d")
    files = files_below(tmp_path, most=10_000)
    assert (files.number, files.hidden) == (1500, False)
    remove(tmp_path)
    assert not tmp_path.exists()


def test_folders_deeper_than_a_path_are_hidden_and_can_be_removed(tmp_path: Path) -> None:
    nested(tmp_path, 100, "d" * 100)
    assert files_below(tmp_path, most=10_000).hidden
    remove(tmp_path)
    assert not tmp_path.exists()


def test_a_file_without_a_name_counts_where_it_lies() -> None:
    before = memory_of(os.getpid()), bytes_without_name([os.getpid()], in_memory=False)
    memory = os.memfd_create("held")
    os.truncate(memory, 8 * SIZE)  # what is not written takes nothing
    with tempfile.TemporaryFile() as file:
        file.write(b"x" * SIZE)
        file.flush()
        os.fsync(file.fileno())
        assert bytes_without_name([os.getpid()], in_memory=False) >= before[1] + SIZE
    os.write(memory, b"x" * SIZE)
    after = memory_of(os.getpid())
    os.close(memory)
    assert before[0] + 0.5 * SIZE < after < before[0] + 3 * SIZE


def test_a_process_that_hides_its_memory_is_counted_all_the_same() -> None:
    """Another user's process, as every one is to a user who is not root, tells less of itself."""
    ready, writer = os.pipe()
    child = os.fork()
    if child == 0:
        if os.getuid() == 0:
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        ctypes.CDLL(None).prctl(SET_DUMPABLE, 0, 0, 0, 0)
        held = bytearray(b"x") * (4 * SIZE)
        os.write(writer, bytes(held[:1]))
        signal.pause()
    os.read(ready, 1)
    counting = os.fork()
    if counting == 0:
        if os.getuid() == 0:
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        os._exit(0 if memory_of(child) >= 4 * SIZE else 1)
    _, status = os.waitpid(counting, 0)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0


def test_memory_that_processes_share_counts_once() -> None:
    pages = bytearray(b"x") * (4 * SIZE)
    own = memory_of(os.getpid())
    child = os.fork()
    if child == 0:
        signal.pause()
    both = memory_above([os.getpid(), child], own + 2 * SIZE)
    nearly = memory_above([os.getpid(), child], own // 2)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert len(pages) == 4 * SIZE
    assert both is None
    assert nearly is not None
    assert own // 2 < nearly < own + 2 * SIZE


def test_pages_are_not_read_below_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(pid: int) -> tuple[int, int]:
        raise AssertionError(f"the pages of process {pid} were read")

    monkeypatch.setattr("kdbench.jobs.process_tree._memory", read)
    assert memory_above([os.getpid()], 2**50) is None
