"""Memory that a method takes in whatever way counts as its own, and its run is ended for it."""

import pytest

from tests.hostile.arena import Arena, Battle, Case
from tests.hostile.sources import Parts

pytestmark = pytest.mark.slow  # the methods of a kind are run together, for most of a minute

LIMIT = 1.5  # GiB
TOO_MUCH = 2  # GiB; nothing here takes more, so that a harness without limits survives this file
STEP = "2**26"  # bytes


def taking(name: str, statements: str, status: str | tuple[str, ...] = "oom") -> Case:
    """Return the case of a method that takes twice its memory before it is trained, piece by piece, and waits."""
    at_import = f"PIECES, PIECE = {TOO_MUCH} * 2**30 // {STEP}, {STEP}\nkept = []\n"
    return Case(name, Parts(at_import=at_import, prepare=f"{statements.strip()}\ntime.sleep(20)"), status, honest=False)


CASES = (
    taking("private", "for _ in range(PIECES): kept.append(bytearray(b'x') * PIECE)"),
    taking("of-torch", "for _ in range(PIECES): kept.append(torch.ones(PIECE // 4))"),
    taking(
        "shared",
        """
for _ in range(PIECES):
    kept.append(mmap.mmap(-1, PIECE))
    kept[-1].write(b"x" * PIECE)
""",
    ),
    taking(
        "unnamed-file",
        """
file = os.memfd_create("x")
for _ in range(PIECES): os.write(file, b"x" * PIECE)
""",
        ("oom", "error"),
    ),
    taking(
        "device-of-shared-memory",
        """
with open("/dev/shm/" + MARK, "wb") as file:
    for _ in range(PIECES): file.write(b"x" * PIECE)
""",
        ("oom", "error"),
    ),
    taking(
        "temporary-files",
        """
file = tempfile.TemporaryFile()
for _ in range(PIECES): file.write(b"x" * PIECE)
""",
        ("ok", "oom", "error"),
    ),
    taking(
        "segments",
        """
libc = ctypes.CDLL(None)
libc.shmat.restype = ctypes.c_void_p
for _ in range(PIECES):
    number = libc.shmget(0, PIECE, 0o1600)
    address = libc.shmat(number, None, 0)
    libc.shmctl(number, 0, None)
    ctypes.memset(address, 1, PIECE)
""",
        ("oom", "error"),
    ),
    taking(
        "in-children",
        """
for _ in range(8):
    if not os.fork():
        mark()
        kept.append(bytearray(b"x") * (PIECES * PIECE // 8))
        sleep_long()
""",
    ),
    taking(
        "in-daemons",
        """
for _ in range(8): leave(lambda: (kept.append(bytearray(b"x") * (PIECES * PIECE // 8)), sleep_long()))
""",
    ),
    taking("at-once", "kept.append(torch.ones(PIECES * PIECE // 4))"),
    taking("more-than-there-is", "kept.append(torch.zeros(2**45)); kept[0][::1024] = 1", ("oom", "error")),
)


@pytest.fixture(scope="module")
def battle(arena: Arena) -> Battle:
    """One command that runs every method of this file, two at a time."""
    return arena.fight(CASES, "--memory-limit", str(LIMIT))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_memory_over_the_limit_ends_the_run(case: Case, battle: Battle) -> None:
    battle.assert_row(case)


def test_memory_over_the_limit_touches_nothing_else(battle: Battle) -> None:
    battle.assert_nothing_else_is_touched()
