"""Narrow what a process may see and do before it runs the code of a method.

Everything here is a system call in a process that has been forked already: no second interpreter starts, and nothing
is imported again. What the kernel refuses is left out and named, so that a record can say under which measures its run
was trained. Linux only; elsewhere only the limits of `resource` hold.

Sources: landlock(7), unshare(2), pid_namespaces(7), user_namespaces(7), seccomp(2).
"""

import ctypes
import errno
import os
import platform
import resource
import signal
import struct
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Measure = Literal["namespaces", "read-only", "landlock", "privileges", "seccomp", "limits"]

_NEW_MOUNTS, _NEW_IPC, _NEW_USERS, _NEW_PROCESSES, _NEW_NETWORK = 0x20000, 0x8000000, 0x10000000, 0x20000000, 0x40000000
_MOUNT_RECURSIVE, _MOUNT_PRIVATE, _MOUNT_WITHOUT_PRIVILEGES = 0x4000, 0x40000, 0x2 | 0x4 | 0x8
_SET_DEATH_SIGNAL, _SET_SECCOMP, _SET_SUBREAPER, _SET_NO_NEW_PRIVILEGES = 1, 22, 36, 38
_SECCOMP_FILTER = 2
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # system calls, the same numbers on every architecture
_READ_FILE, _READ_FOLDER, _EXECUTE = 1 << 2, 1 << 3, 1 << 0
_FILE_RIGHTS_BY_VERSION = {1: 13, 2: 14, 3: 15}  # how many of the rights to files a version of Landlock knows
_NETWORK_RIGHTS = 0b11  # bind and connect, since version 4
_SCOPES = 0b11  # abstract sockets and signals of processes outside, since version 6
_RULE_PATH_BENEATH = 1
_SET_MOUNT, _HERE, _RECURSIVE, _READ_ONLY, _BIND = 442, -100, 0x8000, 1, 0x1000
_DROP_FROM_BOUND, _LAST_PRIVILEGE, _PRIVILEGES_VERSION = 24, 63, 0x20080522


@dataclass(frozen=True)
class Confinement:
    """What a confined process may use.

    Attributes:
        readable: files and folders that it may read and execute.
        writable: folders in which it may do anything.
        file_bytes: the largest file that it may write.
        processes: how many processes and threads its user may have in all.
    """

    readable: Sequence[Path]
    writable: Sequence[Path]
    file_bytes: int
    processes: int


class _Refused(Exception):
    """The kernel does not allow a measure."""


def enter_namespaces() -> bool:
    """Give what this process starts from now on mounts, network, shared memory and processes of their own.

    The next child is the first process of the new process namespace: when it ends, the kernel ends all others in it.
    The caller must have a single thread.

    Returns:
        Whether the kernel allows it. It asks no privilege of an ordinary user unless the system forbids it.
    """
    return _holds(_unshare)


def see_own_processes() -> bool:
    """Let `/proc` show the processes of this namespace alone; to be called by the first process in it."""
    return _holds(lambda: _call("mount", b"proc", b"/proc", b"proc", ctypes.c_ulong(_MOUNT_WITHOUT_PRIVILEGES), None))


def write_only_below(*folders: Path) -> bool:
    """Make every file system of this mount namespace read-only but for some folders, modes and times included."""
    return _holds(lambda: _make_read_only(folders))


def write_no_more_below(folder: Path) -> bool:
    """Make one of the folders of `write_only_below` read-only, too."""
    return _holds(lambda: _set_mount(os.fsencode(folder), 0, _READ_ONLY, 0))


def _make_read_only(folders: Sequence[Path]) -> None:
    places = [os.fsencode(folder) for folder in folders]
    for place in places:
        _call("mount", place, place, None, ctypes.c_ulong(_BIND), None)
    _set_mount(b"/", _RECURSIVE, _READ_ONLY, 0)
    for place in places:
        _set_mount(place, 0, 0, _READ_ONLY)


def _set_mount(place: bytes, flags: int, added: int, removed: int) -> None:
    """Add attributes to a mount, and remove others."""
    attributes = struct.pack("=QQQQ", added, removed, 0, 0)
    _call("syscall", _SET_MOUNT, _HERE, place, flags, attributes, ctypes.c_size_t(len(attributes)))


def end_with_parent() -> None:
    """Let the kernel end this process when the one that forked it ends."""
    _holds(lambda: _call("prctl", _SET_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0))


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends, so that none is lost from sight."""
    _holds(lambda: _call("prctl", _SET_SUBREAPER, 1, 0, 0, 0))


def restrict(confinement: Confinement) -> tuple[Measure, ...]:
    """Restrict this process and all that it starts, for good.

    Returns:
        The measures that hold.
    """
    steps: tuple[tuple[Measure, Callable[[], object]], ...] = (
        ("landlock", lambda: _restrict_files(confinement)),
        ("privileges", _drop_privileges),
        ("seccomp", _refuse_system_calls),
        ("limits", lambda: _set_limits(confinement)),
    )
    return tuple(name for name, step in steps if _holds(step))


def _holds(step: Callable[[], object]) -> bool:
    try:
        step()
    except (_Refused, OSError):
        return False
    return True


def _call(function: str, *arguments: object) -> int:
    """Call a function of the C library; _Refused if it fails."""
    if sys.platform != "linux":
        raise _Refused("this is not Linux")
    result: int = getattr(ctypes.CDLL(None, use_errno=True), function)(*arguments)
    if result < 0:
        raise _Refused(f"{function}: {os.strerror(ctypes.get_errno())}")
    return result


def _unshare() -> None:
    user, group = os.getuid(), os.getgid()
    spaces = _NEW_MOUNTS | _NEW_IPC | _NEW_PROCESSES | _NEW_NETWORK
    _call("unshare", spaces if user == 0 else spaces | _NEW_USERS)
    if user != 0:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    _call("mount", None, b"/", None, ctypes.c_ulong(_MOUNT_RECURSIVE | _MOUNT_PRIVATE), None)


def _restrict_files(confinement: Confinement) -> None:
    """Deny every file and TCP connection that `confinement` does not name."""
    version = _call("syscall", _CREATE_RULESET, None, ctypes.c_size_t(0), 1)
    rights = (1 << _FILE_RIGHTS_BY_VERSION.get(version, 15)) - 1
    attributes = struct.pack("=QQQ", rights, _NETWORK_RIGHTS if version >= 4 else 0, _SCOPES if version >= 6 else 0)
    size = 8 if version < 4 else 16 if version < 6 else 24
    rules = _call("syscall", _CREATE_RULESET, attributes, ctypes.c_size_t(size), 0)
    try:
        for path in confinement.readable:
            _allow(rules, path, _READ_FILE | _READ_FOLDER | _EXECUTE)
        for path in confinement.writable:
            _allow(rules, path, rights)
        _call("prctl", _SET_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
        _call("syscall", _RESTRICT_SELF, rules, 0)
    finally:
        os.close(rules)


def _allow(rules: int, path: Path, rights: int) -> None:
    """Add a file or folder to a Landlock ruleset; one that does not exist needs no rule."""
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not path.is_dir():
            rights &= 0b100000000000111  # of files: execute, write, read, truncate
        _call("syscall", _ADD_RULE, rules, _RULE_PATH_BENEATH, struct.pack("=Qi", rights, place), 0)
    finally:
        os.close(place)


def _drop_privileges() -> None:
    """Give up every capability for good, those of root included."""
    _call("prctl", _SET_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    for number in range(_LAST_PRIVILEGE + 1):
        _holds(lambda number=number: _call("prctl", _DROP_FROM_BOUND, number, 0, 0, 0))  # type: ignore[misc]
    _call("capset", struct.pack("=Ii", _PRIVILEGES_VERSION, 0), bytes(24))


_REFUSED_CALLS = {
    # ptrace, process_vm_readv, process_vm_writev, mount, umount2, pivot_root, setns, unshare, kexec_load, init_module,
    # finit_module, bpf, perf_event_open, add_key, request_key, keyctl, userfaultfd, io_uring_setup, pidfd_getfd,
    # shmget
    "x86_64": (101, 310, 311, 165, 166, 155, 308, 272, 246, 175, 313, 321, 298, 248, 249, 250, 323, 425, 438, 29),
    "aarch64": (117, 270, 271, 40, 39, 41, 268, 97, 104, 105, 273, 280, 241, 217, 218, 219, 282, 425, 438, 194),
}
_SOCKET_CALLS, _LOCAL_SOCKET = {"x86_64": 41, "aarch64": 198}, 1
_CLONE_CALLS, _NEW_NAMESPACES = {"x86_64": 56, "aarch64": 220}, 0x7E020000
_CLONE_BY_STRUCTURE = 435  # its flags lie in memory, where a filter cannot see them; libraries then use the other one
_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_LOAD, _JUMP_IF_EQUAL, _JUMP_IF_ABOVE, _JUMP_IF_ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _ERROR, _KILL = 0x7FFF0000, 0x00050000, 0x80000000


def _refuse_system_calls() -> None:
    """Answer system calls that reach into other processes or the kernel with "operation not permitted"."""
    machine = platform.machine()
    if machine not in _REFUSED_CALLS:
        raise _Refused
    refused = _REFUSED_CALLS[machine]
    program = [
        (_LOAD, 0, 0, 4),  # the architecture of the call
        (_JUMP_IF_EQUAL, 1, 0, _ARCHITECTURES[machine]),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, 0),  # its number
    ]
    if machine == "x86_64":  # numbers of the x32 interface, which would go around the list
        program += [(_JUMP_IF_ABOVE, 0, 1, 0x40000000), (_RETURN, 0, 0, _KILL)]
    for number in refused:
        program += [(_JUMP_IF_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ERROR | errno.EPERM)]
    program += [
        *((_JUMP_IF_EQUAL, 0, 1, _CLONE_BY_STRUCTURE), (_RETURN, 0, 0, _ERROR | errno.ENOSYS)),
        *_refusal_by_argument(_CLONE_CALLS[machine], _JUMP_IF_ANY_BIT, _NEW_NAMESPACES),
        # sockets to servers on this machine, such as those that start containers
        *_refusal_by_argument(_SOCKET_CALLS[machine], _JUMP_IF_EQUAL, _LOCAL_SOCKET),
        (_RETURN, 0, 0, _ALLOW),
    ]
    instructions = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *instruction) for instruction in program))
    header = struct.pack("@HP", len(program), ctypes.addressof(instructions))
    _call("prctl", _SET_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    _call("prctl", _SET_SECCOMP, _SECCOMP_FILTER, header, 0, 0)


def _refusal_by_argument(call: int, jump: int, value: int) -> Sequence[tuple[int, int, int, int]]:
    """Return the instructions that refuse a system call where its first argument has a value, else allow it."""
    return (
        (_JUMP_IF_EQUAL, 0, 4, call),
        (_LOAD, 0, 0, 16),  # the argument
        (jump, 0, 1, value),
        (_RETURN, 0, 0, _ERROR | errno.EPERM),
        (_RETURN, 0, 0, _ALLOW),
    )


def _set_limits(confinement: Confinement) -> None:
    """Limit the size of a file and the number of processes, and leave no core file."""
    limits = {
        resource.RLIMIT_FSIZE: confinement.file_bytes,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NPROC: confinement.processes,
    }
    for kind, most in limits.items():
        _, allowed = resource.getrlimit(kind)
        limit = most if allowed == resource.RLIM_INFINITY else min(most, allowed)
        resource.setrlimit(kind, (limit, limit))
