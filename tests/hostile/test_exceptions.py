"""Methods that raise, exit or crash while they train: one row each, whatever they raise."""

import pytest

from tests.hostile.arena import Arena, Battle, Case
from tests.hostile.sources import Parts

pytestmark = pytest.mark.slow  # the methods of a kind are run together, for most of a minute

NAMED = "def named(name): return next(kind for kind in Exception.__subclasses__() if kind.__name__ == name)"
ODD = """
class Odd(Exception):
    def __str__(self):
        {statement}
    __repr__ = __str__
"""


def raised(name: str, expression: str, status: str | tuple[str, ...] = "error", reason: str = "", at: str = "") -> Case:
    """Return the case of a method that raises after its first update."""
    return Case(name, Parts(at_import=at, after=f"raise {expression}"), status, reason)


CASES = (
    raised("long-message", "ValueError('x' * 20_000_000)", reason="ValueError: xxx"),
    raised(
        "message-for-terminals",
        "ValueError('a\\x1b]0;b\\x07\\x1b[31mc\\x00\\x9b2J\\r\\nd\\u202ee')",
        reason="ValueError: a",
    ),
    raised("message-that-cannot-be-encoded", "ValueError('a\\ud800b')", reason="ValueError: ab"),
    raised("message-of-html", "ValueError('</td><script>alert(1)</script>')", reason="script"),
    raised("message-of-markup", "ValueError('[bold]a[/bold] [/] {x} %s')", reason="bold"),
    raised("message-of-blanks", "ValueError('\\n\\n \\n')", reason="ValueError"),
    raised("no-message", "ValueError", reason="ValueError"),
    raised("long-type", "type('X' * 10**6, (Exception,), {})('odd')"),
    raised("type-for-terminals", "type('X\\x1b[31m\\n', (Exception,), {})('odd')"),
    raised("keyboard-interrupt", "KeyboardInterrupt", reason="KeyboardInterrupt"),
    raised("generator-exit", "GeneratorExit", reason="GeneratorExit"),
    raised("own-base-exception", "type('Odd', (BaseException,), {})('odd')", reason="Odd"),
    raised("stop-iteration", "StopIteration", reason="StopIteration"),
    raised("exit-0", "SystemExit(0)", reason="SystemExit|exit"),
    raised("exit-none", "SystemExit", reason="SystemExit|exit"),
    raised("exit-74", "SystemExit(74)", reason="SystemExit|exit"),
    raised("exit-with-text", "SystemExit('\\x1b[31m' * 10**6)", reason="SystemExit|exit"),
    raised("exit-with-a-huge-number", "SystemExit(10**100)", reason="SystemExit|exit"),
    raised("no-space", "OSError(errno.ENOSPC, 'No space left on device')", reason="No space left"),
    raised("input-output-error", "OSError(errno.EIO, 'Input/output error')", reason="Input/output"),
    raised("read-only", "OSError(errno.EROFS, 'Read-only file system')", reason="Read-only"),
    raised(
        "write-error", "WriteError('cannot write')", reason="cannot write", at="from kdbench.errors import WriteError"
    ),
    raised("kdbench-error", "KdbenchError('odd')", reason="odd", at="from kdbench.errors import KdbenchError"),
    raised("caused-by-no-space", "ValueError('v') from OSError(errno.ENOSPC, 'No space')", reason="ValueError: v"),
    raised("memory-error", "MemoryError", "oom"),
    raised("out-of-memory-of-torch", "torch.OutOfMemoryError('CUDA out of memory' + 'x' * 10**7)", "oom"),
    raised("recursion-error", "RecursionError('deep')", reason="RecursionError"),
    Case("recursion", Parts(after="def again(): again()\nagain()"), reason="RecursionError"),
    raised("text-raises", "Odd", at=ODD.format(statement="raise ValueError('no text')")),
    raised("text-interrupts", "Odd", at=ODD.format(statement="raise KeyboardInterrupt")),
    raised("text-is-a-number", "Odd", at=ODD.format(statement="return 3")),
    raised("text-exits", "Odd", at=ODD.format(statement="os._exit(0)")),
    raised("text-recurses", "Odd", at=ODD.format(statement="return str(self)")),
    raised("text-is-long", "Odd", at=ODD.format(statement="return 'x' * 10**8")),
    Case(
        "circle",
        Parts(
            after="""
            first, second = ValueError("first"), ValueError("second")
            first.__cause__, second.__context__ = second, first
            raise first
            """
        ),
        reason="first",
    ),
    Case(
        "long-chain",
        Parts(
            after="""
            error = None
            for number in range(20_000):
                new = ValueError(str(number))
                new.__context__ = error
                error = new
            raise error
            """
        ),
        reason="19999",
    ),
    Case(
        "group", Parts(after="raise ExceptionGroup('many', [ValueError(str(i)) for i in range(20_000)])"), reason="many"
    ),
    Case(
        "notes",
        Parts(after="error = ValueError('noted')\nfor _ in range(1000): error.add_note('x' * 100_000)\nraise error"),
        reason="noted",
    ),
    Case("after-the-last-step", Parts(after="if run.step == 2: raise ValueError('last')"), reason="last"),
    Case("in-prepare", Parts(prepare="raise ValueError('early')"), reason="early"),
    Case(
        "in-a-hook",
        Parts(midst="logits.register_hook(lambda g: (_ for _ in ()).throw(ValueError('hook')))"),
        reason="hook",
    ),
    Case("in-a-thread", Parts(after="threading.Thread(target=lambda: 1 / 0).start()"), "ok"),
    Case(
        "when-collected",
        Parts(at_import="class Odd:\n    def __del__(self): raise ValueError('x' * 10**6)", after="Odd()"),
        "ok",
    ),
    Case("warnings", Parts(after="import warnings\nfor i in range(20_000): warnings.warn(f'{i}' + 'x' * 1000)"), "ok"),
    Case("hard-exit-0", Parts(after="os._exit(0)")),
    Case("hard-exit-0-at-the-end", Parts(after="if run.step == 2: os._exit(0)")),
    Case("hard-exit-74", Parts(after="os._exit(74)")),
    Case("hard-exit-137", Parts(after="os._exit(137)")),
    Case("killed", Parts(after="os.kill(os.getpid(), signal.SIGKILL); time.sleep(1)"), ("ok", "error", "oom")),
    Case("terminated", Parts(after="os.kill(os.getpid(), signal.SIGTERM); os._exit(9)")),
    Case("interrupted", Parts(after="os.kill(os.getpid(), signal.SIGINT); time.sleep(5); os._exit(9)")),
    Case("aborted", Parts(after="os.abort()")),
    Case("faulted", Parts(after="ctypes.string_at(0)")),
    Case("alarmed", Parts(after="signal.alarm(1); time.sleep(5); os._exit(9)")),
    Case("group-killed", Parts(after="os.killpg(os.getpgrp(), signal.SIGKILL); time.sleep(1)"), ("ok", "error", "oom")),
    Case(
        "parent-killed",
        Parts(after="os.getppid() > 1 and os.kill(os.getppid(), signal.SIGKILL); os._exit(9)"),
        ("error", "oom"),
    ),
    Case(
        "everything-killed",
        Parts(after="os.getpid() < 10 and os.kill(-1, signal.SIGKILL); os._exit(9)"),
        ("error", "oom"),
    ),
    Case(
        "diverged-by-name",
        Parts(at_import=NAMED, after="raise named('Diverged')('\\x1b[31m' + 'x' * 10**7)"),
        ("error", "diverged"),
    ),
    Case(
        "over-budget-by-name",
        Parts(
            at_import=NAMED,
            after="raise named('BudgetExceeded')('\\x1b[31m' + 'x' * 10**7)",
        ),
        ("error", "over_budget"),
    ),
)


@pytest.fixture(scope="module")
def battle(arena: Arena) -> Battle:
    """One command that runs every method of this file."""
    return arena.fight(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_whatever_a_method_raises_is_its_own_row(case: Case, battle: Battle) -> None:
    battle.assert_row(case)


def test_nothing_that_is_raised_touches_others(battle: Battle) -> None:
    battle.assert_nothing_else_is_touched()
