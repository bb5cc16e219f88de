"""What a method can reach from its training: its own folder, and nothing of others or of the machine's."""

import platform

import pytest

from tests.hostile.arena import Arena, Battle, Case
from tests.hostile.sources import Parts

pytestmark = pytest.mark.slow  # the methods of a kind are run together, for most of a minute

READS = {
    "record": "Path(NEIGHBOURS[0], 'result.json').read_bytes()",
    "answers": "Path(NEIGHBOURS[0], 'predictions.npz').read_bytes()",
    "weights": "Path(NEIGHBOURS[0], 'weights.safetensors').read_bytes()",
    "results": "os.listdir(RESULTS)",
    "scores": "Path(RESULTS, 'scores.json').read_bytes()",
    "other-scratch": "[path for path in Path(RESULTS, '.scratch').glob('*') if path != scratch()][0]",
    "cache": "next(path for path in Path(CACHE).rglob('*') if path.is_file()).read_bytes()",
    "home": "Path(SECRET).read_bytes()",
    "real-home": "os.listdir('/root')",
    "shadow": "Path('/etc/shadow').read_bytes()",
    "tests": "Path(CHECKOUT, 'tests', 'conftest.py').read_bytes()",
    "environment-of-command": "Path(f'/proc/{PYTEST}/environ').read_bytes()",
    "memory-of-command": "open(f'/proc/{PYTEST}/mem', 'rb')",
    "memory-of-first-process": "open('/proc/1/mem', 'rb')",
    "descriptors-of-first-process": "[os.readlink(f'/proc/1/fd/{number}') for number in os.listdir('/proc/1/fd')]",
    "root-of-command": "os.listdir(f'/proc/{PYTEST}/cwd/')",
    "disks": "open(next(path for path in Path('/dev').iterdir() if path.is_block_device()), 'rb')",
    "memory-of-the-machine": "open('/dev/mem', 'rb')",
    "kernel-log": "open('/dev/kmsg', 'rb')",
    "foreign-descriptors": """[link for link in (os.readlink(f'/proc/self/fd/{number}') for number in descriptors())
        if link.startswith('/') and not link.startswith(('/dev/null', '/proc', str(scratch())))][0]""",
}
WRITES = {
    "record": "open(Path(NEIGHBOURS[0], 'result.json'), 'r+b').write(b' ')",
    "weights": "open(Path(NEIGHBOURS[0], 'weights.safetensors'), 'r+b').write(b' ')",
    "truncation": "os.truncate(Path(NEIGHBOURS[0], 'weights.safetensors'), 0)",
    "removal": "os.unlink(Path(NEIGHBOURS[0], 'log.txt'))",
    "renaming": "os.rename(Path(NEIGHBOURS[0], 'log.txt'), Path(NEIGHBOURS[0], 'log2.txt'))",
    "linking": "os.link(Path(NEIGHBOURS[0], 'log.txt'), scratch() / 'log2.txt')",
    "new-record": "Path(RESULTS, 'synthetic', '0123456789abcdef-01234567').mkdir()",
    "new-file-of-results": "Path(RESULTS, 'new').touch()",
    "cache": "Path(CACHE, 'new').touch()",
    "arrays": "open(next(path for path in Path(CACHE).rglob('*') if path.is_file()), 'r+b')",
    "outside": "Path(OUTSIDE, 'new').touch()",
    "home": "open(SECRET, 'ab')",
    "checkout": "open(Path(CHECKOUT, 'kdbench', '__init__.py'), 'r+b')",
    "library": "open(torch.__file__, 'r+b')",
    "interpreter": "open(os.path.realpath(sys.executable), 'r+b')",
    "users": "open('/etc/passwd', 'r+b')",
    "core-pattern": "open('/proc/sys/kernel/core_pattern', 'r+b')",
    "trigger": "open('/proc/sysrq-trigger', 'wb')",
    "disks": "open(next(path for path in Path('/dev').iterdir() if path.is_block_device()), 'r+b')",
    "control-groups": "open('/sys/fs/cgroup/cgroup.procs', 'r+b')",
    "terminal": "open('/dev/tty', 'wb')",
}
CONNECTIONS = {
    "loopback": "socket.create_connection(('127.0.0.1', PORT), 2)",
    "loopback-6": "socket.create_connection(('::1', PORT), 2)",
    "datagram": "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.1', 53))",
    "names": "socket.getaddrinfo('example.org', 80)[0][4][0]",
    "abstract-socket": "(s := socket.socket(socket.AF_UNIX)).connect('\\0' + MARK)",
    "raw": "socket.socket(socket.AF_INET, socket.SOCK_RAW, 1).sendto(b'x' * 8, ('127.0.0.1', 0))",
    "shared-memory-of-others": "(i := ctypes.CDLL(None).shmget(SEGMENT, 0, 0)) >= 0 or 1 / 0",
}
SYSTEM = {
    "signal-to-command": "os.kill(PYTEST, 0)",
    "higher-file-limit": "resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))",
    "endless-files": "resource.getrlimit(resource.RLIMIT_FSIZE)[1] == resource.RLIM_INFINITY or 1 / 0",
    "core-files": "resource.getrlimit(resource.RLIMIT_CORE)[0] != 0 or 1 / 0",
    "many-processes-visible": "len([name for name in os.listdir('/proc') if name.isdigit()]) > 20 or 1 / 0",
}
CALLS = {  # number of the call on x86-64, and arguments that no kernel accepts, so that nothing happens
    "mount": (165, 0, b"/nowhere", 0, 0, 0),
    "new-namespace": (272, 0x10000000 | 0x00020000 | 0x7),
    "other-namespace": (308, -1, 0),
    "new-users": (56, 0x10000000 | 0x200, 0, 0, 0, 0),
    "new-users-by-structure": (435, 0, 0),
    "segment-of-memory": (29, 0, 0, 0o1600),
    "trace": (101, 16, 4_194_303, 0, 0),
    "memory-of-processes": (310, 4_194_303, 0, 0, 0, 0, 0),
    "kernel-module": (313, -1, b"", 0),
    "another-kernel": (246, 0, 0, 0, -1),
    "keys": (250, 9999, 0, 0, 0, 0),
    "rings": (425, 4, 0),
    "programs-in-the-kernel": (321, 9999, 0, 0),
    "page-faults": (323, 0xFFFF),
    "performance-counters": (298, 0, 0, -1, -1, 0),
}
if platform.machine() == "x86_64":
    SYSTEM |= {name: f"called{arguments}" for name, arguments in CALLS.items()}
CALLED = '''
def called(*arguments):
    """Make a system call with bad arguments; an error unless it is refused as such."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(*arguments) == -1 and ctypes.get_errno() in (errno.EPERM, errno.EACCES, errno.ENOSYS):
        raise PermissionError(ctypes.get_errno(), "refused")
'''
GROUPS = {"read": READS, "write": WRITES, "connect": CONNECTIONS, "system": SYSTEM}
PROBES = {f"{group}-{name}": code for group, probes in GROUPS.items() for name, code in probes.items()}


def probing(group: str, probes: dict[str, str]) -> str:
    """Return statements that try each probe of a group and log 1 for each that works."""
    lines = []
    for name, code in probes.items():
        key, joined = f"{group}-{name}", " ".join(line.strip() for line in code.splitlines())
        lines += ["try:", f"    {joined}", f"    run.log(**{{{key!r}: 1.0}})", "except BaseException as error:"]
        lines += [f"    run.log(**{{{key!r}: 0.0}})", f"    print({key!r}, repr(error)[:200], flush=True)"]
    return "\n".join(lines)


CASES = tuple(
    Case(
        f"reach-{group}",
        Parts(at_import=CALLED, prepare=probing(group, probes)),
        "ok",
    )
    for group, probes in GROUPS.items()
)


@pytest.fixture(scope="module")
def battle(arena: Arena) -> Battle:
    """One command whose methods try every door."""
    return arena.fight(CASES)


@pytest.fixture(scope="module")
def reached(battle: Battle) -> dict[str, float]:
    """What could be reached, by probe."""
    return {
        name: value for case in CASES for record in battle.rows(case.name) for name, value in record.curves[0].items()
    }


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_method_that_tries_every_door_is_trained_all_the_same(case: Case, battle: Battle) -> None:
    battle.assert_row(case)


def test_a_method_that_tries_every_door_touches_nothing_else(battle: Battle) -> None:
    battle.assert_nothing_else_is_touched(failures=False)


@pytest.mark.parametrize("name", PROBES)
def test_a_method_cannot_reach(name: str, reached: dict[str, float]) -> None:
    assert reached[name] == 0


WANTED = {
    "own-folder": "(scratch() / 'mine').write_text('x'); (scratch() / 'mine').unlink()",
    "temporary-file": "tempfile.TemporaryFile().write(b'x')",
    "library": "import torchvision",
    "random-bytes": "os.urandom(8)",
    "null": "open('/dev/null', 'wb').write(b'x')",
    "processors": "os.cpu_count()",
    "thread": "(t := threading.Thread(target=int)).start(); t.join()",
    "pool": "import concurrent.futures; list(concurrent.futures.ThreadPoolExecutor(4).map(int, '1234'))",
}


@pytest.fixture(scope="module")
def wanted(arena: Arena) -> dict[str, float]:
    """What an honest method needs, and whether it could do it."""
    case = Case("wants", Parts(prepare=probing("wanted", WANTED)), "ok")
    battle = arena.fight((case,))
    battle.assert_row(case)
    return dict(battle.rows(case.name)[0].curves[0])


@pytest.mark.parametrize("name", WANTED)
def test_a_method_can(name: str, wanted: dict[str, float]) -> None:
    assert wanted[f"wanted-{name}"] == 1
