"""Garbage in every descriptor that a training inherits, that of its progress above all, hurts only its own run."""

import pytest

from tests.hostile.arena import Arena, Battle, Case
from tests.hostile.sources import Parts

pytestmark = pytest.mark.slow  # the methods of a kind are run together, for most of a minute

INTO_ALL = """
import pickle
def into_all(*texts, blocking=False):
    '''Write texts into every descriptor that takes them and is not the log.'''
    for number in descriptors():
        for text in texts:
            try:
                os.set_blocking(number, blocking)
                os.write(number, text)
            except OSError:
                pass


class Odd:
    def __init__(self, code):
        self.code = code
    def __reduce__(self):
        return exec, (self.code,)


def message(value):
    '''A pickle as multiprocessing sends it, its length first.'''
    data = pickle.dumps(value)
    return struct.pack("!i", len(data)) + data
"""


def writing(name: str, statements: str, status: str | tuple[str, ...] = ("ok", "error")) -> Case:
    """Return the case of a method that writes after each update."""
    return Case(name, Parts(at_import=INTO_ALL, after=statements), status)


CASES = (
    writing("random-bytes", "into_all(os.urandom(3), os.urandom(100), os.urandom(10_000))"),
    writing("zeros", "into_all(bytes(7))"),
    writing("ones", "into_all(b'\\xff' * 1001)"),
    writing("half-a-message", "into_all(struct.pack('!i', 1000) + b'x')"),
    writing("half-a-length", "into_all(b'\\x00\\x00')"),
    writing("long-message", "into_all(struct.pack('!iQ', -1, 2**40))"),
    writing(
        "message-of-code",
        "into_all(message(Odd(\"open(OUTSIDE + '/unpickled', 'w')\".replace('OUTSIDE', repr(OUTSIDE)))))",
    ),
    writing("message-that-exits", "into_all(message(Odd('import os; os._exit(0)')))"),
    writing("message-of-text", "into_all(message(('\\x1b[31m', 'x' * 10_000)))"),
    writing(
        "message-of-numbers",
        "into_all(message((10**30, -1)), message((float('nan'), 0)), message((1,)), message(None))",
    ),
    writing(
        "numbers",
        "for form in ('<qq', '>qq', '<QQ', '<dd', '<ii'): into_all(*(struct.pack(form, n, 1) for n in (0, 1, 100)))",
    ),
    writing("not-numbers", "into_all(struct.pack('<dd', float('nan'), float('inf')), struct.pack('<qq', -1, -2**62))"),
    writing("flood", "for _ in range(50): into_all(bytes(65_536))"),
    writing("closed", "for number in descriptors(): os.closerange(number, number + 1)"),
    writing(
        "half-closed",
        "to_each(lambda number: socket.socket(fileno=os.dup(number)).shutdown(socket.SHUT_RDWR))",
    ),
    writing("replaced", "null = os.open('/dev/null', os.O_RDWR)\nfor number in descriptors(): os.dup2(null, number)"),
    writing(
        "read",
        "to_each(lambda number: (os.set_blocking(number, False), os.read(number, 1000)))",
    ),
    writing(
        "not-blocking",
        "to_each(lambda number: os.set_blocking(number, False))",
    ),
    writing("smaller", "to_each(lambda number: fcntl.fcntl(number, fcntl.F_SETPIPE_SZ, 4096))"),
    writing(
        "signals",
        "to_each(lambda n: (fcntl.fcntl(n, fcntl.F_SETOWN, os.getppid()), fcntl.fcntl(n, fcntl.F_SETFL, os.O_ASYNC)))",
    ),
    writing(
        "locked",
        "to_each(lambda number: fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB))",
    ),
    writing("truncated", "to_each(lambda number: os.ftruncate(number, 0))"),
    writing(
        "sent",
        "to_each(lambda number: socket.send_fds(socket.socket(fileno=os.dup(number)), [b'x'], [0]))",
    ),
    writing("started", "into_all(struct.pack('<6q', *range(6)))"),
    Case(
        "half-a-message-and-dies",
        Parts(at_import=INTO_ALL, after="into_all(struct.pack('!i', 1000) + b'x'); os._exit(0)"),
    ),
    Case(
        "half-a-message-and-a-daemon",
        Parts(at_import=INTO_ALL, after="into_all(struct.pack('!i', 1000)); leave(sleep_long); os._exit(0)"),
    ),
)


@pytest.fixture(scope="module")
def battle(arena: Arena) -> Battle:
    """One command that runs every method of this file."""
    return arena.fight(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_garbage_in_descriptors_is_the_methods_own_row(case: Case, battle: Battle) -> None:
    battle.assert_row(case)


def test_garbage_in_descriptors_touches_nothing_else(battle: Battle) -> None:
    battle.assert_nothing_else_is_touched()
