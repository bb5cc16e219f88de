"""Processes and threads that a method starts: none outlives its run, and none reaches another."""

import pytest

from tests.hostile.arena import Arena, Battle, Case
from tests.hostile.sources import Parts

pytestmark = pytest.mark.slow  # the methods of a kind are run together, for most of a minute

REWRITE = """
def rewrite():
    '''Change whatever becomes of this run, and of others, for as long as this process lives.'''
    while True:
        for path in [*Path(RESULTS).glob("synthetic/*/*"), *Path(RESULTS).glob(".scratch/*/*")]:
            try:
                if path.name == "result.json":
                    path.write_text(path.read_text().replace('"macro_accuracy": 0.', '"macro_accuracy": 1.'))
                elif path.suffix in (".safetensors", ".npz", ".pt"):
                    os.utime(path)
                    with open(path, "r+b") as file:
                        file.seek(-4, 2)
                        file.write(b"\\0\\0\\0\\0")
            except OSError:
                pass
        time.sleep(0.01)
"""
CASES = (
    Case("daemon", Parts(after="if run.step == 2: leave(sleep_long)"), "ok"),
    Case("daemons", Parts(after="for _ in range(20): leave(sleep_long)"), "ok"),
    Case("daemon-that-rewrites", Parts(at_import=REWRITE, after="if run.step == 2: leave(rewrite)"), ("ok", "error")),
    Case("daemon-before-training", Parts(prepare="leave(sleep_long)"), "ok"),
    Case(
        "child",
        Parts(
            after="""
            if run.step == 2 and not os.fork():
                mark()
                sleep_long()
            """
        ),
        "ok",
    ),
    Case(
        "child-hears-nothing",
        Parts(
            after="""
            if run.step == 2 and not os.fork():
                mark()
                for number in range(1, 65):
                    try: signal.signal(number, signal.SIG_IGN)
                    except (OSError, ValueError): pass
                sleep_long()
            """
        ),
        "ok",
    ),
    Case(
        "child-is-stopped",
        Parts(
            after="""
            if run.step == 2 and not os.fork():
                mark()
                os.kill(os.getpid(), signal.SIGSTOP)
            """
        ),
        "ok",
    ),
    Case(
        "child-goes-on-as-the-training",
        Parts(
            after="""
            if run.step == 1: os.fork()
            """
        ),
        ("ok", "error"),
    ),
    Case(
        "parent-ends-child-goes-on",
        Parts(
            after="""
            if run.step == 1 and os.fork(): os._exit(0)
            mark()
            """
        ),
        "error",
    ),
    Case(
        "zombies",
        Parts(
            after="""
            for _ in range(50):
                if not os.fork(): os._exit(0)
            """
        ),
        "ok",
    ),
    Case(
        "bomb",
        Parts(
            after="""
            children = 0
            try:
                for _ in range(300):
                    if not os.fork():
                        mark()
                        os.setsid()
                        sleep_long()
                        os._exit(0)
                    children += 1
            except OSError:
                pass
            """
        ),
        ("ok", "error", "oom"),
    ),
    Case("dies-with-daemons", Parts(after="leave(sleep_long); leave(sleep_long); os._exit(3)")),
    Case(
        "raises-with-daemons",
        Parts(after="leave(sleep_long); raise ValueError('with a daemon')"),
        reason="with a daemon",
    ),
    Case("subprocess", Parts(after="subprocess.Popen(['sleep', NAP], start_new_session=True)"), ("ok", "error")),
    Case("shell-in-background", Parts(after="os.system(f'(sleep {NAP} &) ; (sleep {NAP} &)')"), "ok"),
    Case("threads", Parts(after="for _ in range(50): threading.Thread(target=sleep_long, daemon=True).start()"), "ok"),
    Case("exits-in-a-thread", Parts(after="threading.Thread(target=os._exit, args=(0,)).start(); time.sleep(1)")),
    Case("raises-in-the-main-thread", Parts(after="import _thread; _thread.interrupt_main(); time.sleep(0.1)")),
    Case(
        "steps-in-a-thread",
        Parts(
            midst="""
            thread = threading.Thread(target=run.backward_and_step, args=({"cross_entropy": loss},))
            thread.start()
            thread.join()
            return
            """
        ),
        ("ok", "error", "over_budget"),
    ),
    Case("subreaper", Parts(after="ctypes.CDLL(None).prctl(36, 1, 0, 0, 0); leave(sleep_long)"), "ok"),
    Case("dies-with-nobody", Parts(prepare="ctypes.CDLL(None).prctl(1, 0, 0, 0, 0); leave(sleep_long)"), "ok"),
    Case(
        "new-session",
        Parts(prepare="os.getpid() != os.getsid(0) and os.setsid(); os.getpgrp() == os.getpid() or os.setpgid(0, 0)"),
        ("ok", "error"),
    ),
    Case(
        "shared-memory",
        Parts(
            at_import="from multiprocessing.shared_memory import SharedMemory",
            after="SharedMemory(MARK, create=run.step == 1, size=2**20)",
        ),
        ("ok", "error"),
    ),
    Case("segments", Parts(after="ctypes.CDLL(None).shmget(0, 2**20, 0o1600)"), "ok"),
)


@pytest.fixture(scope="module")
def battle(arena: Arena) -> Battle:
    """One command that runs every method of this file; no process of it may be left when it ends."""
    return arena.fight(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_a_method_starts_ends_with_its_run(case: Case, battle: Battle) -> None:
    battle.assert_row(case)


def test_what_methods_start_touches_nothing_else(battle: Battle) -> None:
    battle.assert_nothing_else_is_touched()


def test_no_shared_memory_is_left(arena: Arena) -> None:
    before = segments()
    arena.fight((Case("segment", Parts(after="ctypes.CDLL(None).shmget(0, 2**20, 0o1600)"), "ok"),))
    assert segments() == before


def segments() -> list[str]:
    """Return the System V segments of shared memory that there are."""
    from pathlib import Path

    table = Path("/proc/sysvipc/shm")
    return table.read_text().splitlines()[1:] if table.exists() else []
