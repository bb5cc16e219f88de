"""What a method prints goes into its log, up to a limit, and never to the terminal."""

import pytest

from kdbench.records import LOG
from tests.hostile.arena import LARGEST_FILE, Arena, Battle, Case
from tests.hostile.sources import Parts

pytestmark = pytest.mark.slow  # the methods of a kind are run together, for most of a minute

MUCH = "for _ in range(400): print('x' * 1_000_000)"  # 400 MB
CASES = (
    Case("prints-much", Parts(after=MUCH), ("ok", "error")),
    Case("prints-much-as-error", Parts(after=MUCH.replace("print(", "sys.stderr.write(")), ("ok", "error")),
    Case("writes-much", Parts(after="for _ in range(400): os.write(1, b'x' * 1_000_000)"), ("ok", "error")),
    Case("prints-lines", Parts(after="for _ in range(200_000): print()"), ("ok", "error")),
    Case("prints-bytes", Parts(after="os.write(1, os.urandom(100_000)); os.write(2, os.urandom(100_000))"), "ok"),
    Case("prints-for-terminals", Parts(after="print('\\x1b[2J\\x1b]0;owned\\x07\\x00\\r\\n' * 100)"), "ok"),
    Case("prints-what-cannot-be-encoded", Parts(after="print('\\ud800')"), ("ok", "error")),
    Case("prints-in-children", Parts(after="subprocess.run(['sh', '-c', 'yes | head -c 50000000'])"), ("ok", "error")),
    Case("prints-and-dies", Parts(after="print('\\x1b[31mlast words\\x00' * 1000, flush=True); os._exit(3)")),
    Case("prints-one-long-line-and-dies", Parts(after="os.write(1, b'y' * 5_000_000); os._exit(3)")),
    Case("closes-its-streams", Parts(after="os.close(1); os.close(2)"), ("ok", "error")),
    Case("has-no-streams", Parts(after="sys.stdout = sys.stderr = None"), ("ok", "error")),
    Case(
        "streams-raise",
        Parts(
            at_import="class Odd:\n    def __getattr__(self, name): raise OSError(errno.ENOSPC, 'No space')",
            after="sys.stdout = sys.stderr = Odd()",
        ),
        ("ok", "error"),
    ),
    Case(
        "logs-much",
        Parts(
            at_import="import logging", after="for i in range(20_000): logging.getLogger('x').warning('%s', 'x' * 1000)"
        ),
        ("ok", "error"),
    ),
    Case(
        "rewrites-its-log",
        Parts(after="os.ftruncate(1, 2**40); os.lseek(1, 2**41, 0); os.write(1, b'x')"),
        ("ok", "error"),
    ),
    Case("reads-the-terminal", Parts(after="input()")),
    Case("asks-the-terminal", Parts(after="open('/dev/tty', 'w').write('owned')"), ("ok", "error")),
)


@pytest.fixture(scope="module")
def battle(arena: Arena) -> Battle:
    """One command that runs every method of this file."""
    return arena.fight(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_whatever_is_printed_the_run_has_its_row(case: Case, battle: Battle) -> None:
    battle.assert_row(case)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_log_is_short(case: Case, battle: Battle) -> None:
    for folder in battle.folders[case.name]:
        log = folder / LOG
        if log.exists():
            assert log.stat().st_size < LARGEST_FILE
            assert log.stat().st_blocks * 512 < LARGEST_FILE


def test_what_is_printed_touches_nothing_else(battle: Battle) -> None:
    battle.assert_nothing_else_is_touched()
