"""Methods that never end are ended by the time limit, whatever they do against it."""

from dataclasses import replace
from typing import Any

import pytest

from tests.hostile.arena import Arena, Battle, Case
from tests.hostile.sources import Parts

pytestmark = pytest.mark.slow  # the methods of a kind are run together, for most of a minute

SECONDS = 30
DEAF = """
for number in range(1, 65):
    try: signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError): pass
"""


def hanging(name: str, status: str | tuple[str, ...] = "timeout", **parts: Any) -> Case:
    """Return the case of a method that does not end."""
    return Case(name, replace(Parts(), **parts), status, "" if status != "timeout" else "second")


CASES = (
    hanging("sleeps", after="time.sleep(600)"),
    hanging("sleeps-deaf", after=f"{DEAF}\ntime.sleep(600)"),
    hanging("stops", after="os.kill(os.getpid(), signal.SIGSTOP)"),
    hanging("loops-in-prepare", prepare="while True: time.sleep(0)"),
    hanging("waits-for-a-lock", after="lock = threading.Lock(); lock.acquire(); lock.acquire()"),
    hanging(
        "waits-for-a-child", after="if not os.fork():\n    mark()\n    os.kill(os.getpid(), signal.SIGSTOP)\nos.wait()"
    ),
    hanging("reads-a-fifo", after="os.mkfifo(scratch() / 'fifo'); open(scratch() / 'fifo')"),
    hanging(
        "text-of-error-hangs",
        at_import="class Odd(Exception):\n    def __str__(self): time.sleep(600)",
        after="raise Odd",
    ),
    hanging("cleaning-up-hangs", after="try: 1 / 0\nfinally: time.sleep(600)"),
    hanging("catches-everything", after="while True:\n    try: time.sleep(600)\n    except BaseException: pass"),
    hanging("leaves-garbage", after="(scratch() / 'checkpoint.pt').write_bytes(os.urandom(1000)); time.sleep(600)"),
    hanging("leaves-an-outcome", after="(scratch() / 'training.json').write_text('{}'); time.sleep(600)"),
    hanging("daemon-stays", ("timeout", "ok"), after="leave(sleep_long); run.step == 2 and time.sleep(600)"),
    hanging("thread-stays", ("timeout", "ok", "error"), after="threading.Thread(target=sleep_long).start()"),
    hanging(
        "child-stays",
        ("timeout", "ok", "error"),
        after="import multiprocessing as m\nif run.step == 2: m.get_context('fork').Process(target=sleep_long).start()",
    ),
    hanging(
        "exit-hangs",
        ("timeout", "ok", "error"),
        at_import="import multiprocessing.util",
        after="atexit.register(sleep_long); multiprocessing.util.Finalize(None, sleep_long, exitpriority=10)",
    ),
    hanging("prints-for-ever", ("timeout", "error"), after="while True:\n    print('x' * 1000)\n    time.sleep(0.001)"),
    hanging(
        "half-a-message",
        after="to_each(lambda number: os.write(number, bytes(2))); time.sleep(600)",
    ),
    hanging(
        "turns-back-the-clock", ("timeout", "error"), after="time.time = time.monotonic = lambda: 0.0; time.sleep(600)"
    ),
    hanging(
        "new-group",
        after="os.getpid() == os.getpgrp() or os.setpgid(0, 0); time.sleep(600)",
    ),
)


@pytest.fixture(scope="module")
def battle(arena: Arena) -> Battle:
    """One command that runs every method of this file at once."""
    return arena.fight(CASES, "--time-limit", str(SECONDS), workers=len(CASES))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_method_that_never_ends_is_ended(case: Case, battle: Battle) -> None:
    battle.assert_row(case)


def test_methods_that_never_end_touch_nothing_else(battle: Battle) -> None:
    battle.assert_nothing_else_is_touched()
