"""What a confined process may still do: its scratch folder, the libraries, and nothing else."""

import os
import socket
import stat
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from kdbench.jobs import sandbox
from kdbench.jobs.sandbox import Confinement

LIBRARIES = tuple(map(Path, (sys.prefix, sys.base_prefix, "/usr", "/lib", "/lib64", "/proc")))
ORDINARY_USER = 65534
ALLOWED, DENIED, MISSING_MEASURE = 0, 1, 2

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the measures are those of Linux")


def attempt(
    action: Callable[[], object], scratch: Path, *, measure: str, user: int | None = None, file_bytes: int = 10**6
) -> int:
    """Return whether a confined process may do something, tried in a process of its own."""
    process = os.fork()
    if process == 0:
        code = DENIED
        try:
            if user is not None:
                os.setgid(user)
                os.setuid(user)
            separate = sandbox.enter_namespaces()
            code = _attempt_below(action, Confinement(LIBRARIES, (scratch,), file_bytes, 1000), measure, separate)
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def _attempt_below(action: Callable[[], object], confinement: Confinement, measure: str, separate: bool) -> int:
    worker = os.fork()
    if worker:
        return os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1])
    try:
        read_only = separate and sandbox.write_only_below(confinement.writable[0])
        separate = separate and sandbox.see_own_processes()
        before = (*(("namespaces",) if separate else ()), *(("read-only",) if read_only else ()))
        measures = (*before, *sandbox.restrict(confinement))
        if measure not in measures:
            os._exit(MISSING_MEASURE)
        action()
    except BaseException:
        os._exit(DENIED)
    os._exit(ALLOWED)


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    folder = tmp_path / "scratch"
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    return folder


def assert_denied(action: Callable[[], object], scratch: Path, measure: str, **changes: int) -> None:
    result = attempt(action, scratch, measure=measure, **changes)
    if result == MISSING_MEASURE:
        pytest.skip(f"this kernel does not offer {measure}")
    assert result == DENIED


def test_the_scratch_folder_can_be_written(scratch: Path) -> None:
    assert attempt(lambda: (scratch / "file").write_text("text"), scratch, measure="limits") == ALLOWED
    assert (scratch / "file").read_text() == "text"


def test_other_folders_cannot_be_read(scratch: Path) -> None:
    (scratch.parent / "other").write_text("of another run")
    assert_denied((scratch.parent / "other").read_text, scratch, "landlock")


def test_other_folders_cannot_be_written(scratch: Path) -> None:
    assert_denied(lambda: (scratch.parent / "new").write_text(""), scratch, "landlock")
    assert not (scratch.parent / "new").exists()


def test_a_link_out_of_the_scratch_folder_leads_nowhere(scratch: Path) -> None:
    (scratch.parent / "other").write_text("of another run")
    (scratch / "link").symlink_to(scratch.parent / "other")
    assert_denied((scratch / "link").read_text, scratch, "landlock")


def test_a_server_on_this_machine_cannot_be_reached(scratch: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert_denied(lambda: socket.create_connection(("127.0.0.1", port), timeout=2), scratch, "namespaces")


def test_other_processes_cannot_be_seen_or_ended(scratch: Path) -> None:
    parent = os.getpid()
    assert_denied(lambda: os.kill(parent, 0), scratch, "namespaces")
    assert_denied((Path("/proc") / str(parent)).stat, scratch, "namespaces")


def test_modes_of_files_outside_cannot_be_changed(scratch: Path) -> None:
    (scratch.parent / "other").write_text("of another run")
    assert_denied(lambda: (scratch.parent / "other").chmod(0), scratch, "read-only")
    assert attempt(lambda: scratch.chmod(0o755), scratch, measure="limits") == ALLOWED


def test_a_device_cannot_be_made(scratch: Path) -> None:
    assert_denied(lambda: os.mknod(scratch / "disk", stat.S_IFBLK, os.makedev(254, 0)), scratch, "privileges")


def test_a_local_server_cannot_be_reached(scratch: Path) -> None:
    assert_denied(lambda: socket.socket(socket.AF_UNIX), scratch, "seccomp")
    assert attempt(socket.socketpair, scratch, measure="seccomp") == ALLOWED


def test_a_file_cannot_outgrow_its_limit(scratch: Path) -> None:
    assert_denied(lambda: (scratch / "large").write_bytes(bytes(2000)), scratch, "limits", file_bytes=1000)


def test_namespaces_cannot_be_entered_again(scratch: Path) -> None:
    def enter() -> None:
        if not sandbox.enter_namespaces():
            raise PermissionError

    assert_denied(enter, scratch, "seccomp")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_an_ordinary_user_is_confined_alike() -> None:
    scratch = Path(tempfile.mkdtemp(dir="/tmp"))  # which another user may enter
    scratch.chmod(0o777)
    try:
        written = attempt(lambda: (scratch / "file").write_text(""), scratch, measure="landlock", user=ORDINARY_USER)
        assert written in (ALLOWED, MISSING_MEASURE)
        assert_denied(Path("/etc/passwd").read_text, scratch, "landlock", user=ORDINARY_USER)
    finally:
        for file in scratch.iterdir():
            file.unlink()
        scratch.rmdir()
