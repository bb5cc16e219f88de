"""Method files that attack, or only misbehave, as soon as they are imported."""

import os
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from kdbench.jobs import launcher as launching
from kdbench.jobs.launcher import DESCRIBE_LIMITS
from tests.hostile.arena import Arena, Battle, Case, assert_harmless
from tests.hostile.refusals import Planner
from tests.hostile.sources import Parts, plain, source

pytestmark = pytest.mark.slow  # the methods of a kind are run together, for most of a minute

GARBAGE = """
for number in range(1, 64):
    for text in (b"\\x80\\x04\\x95", b"{}\\n", b"\\x00" * 3, b'{"name": "\\x1b[31m"}\\n', os.urandom(100_000)):
        try:
            os.set_blocking(number, False)
            os.write(number, text)
        except OSError:
            pass
"""

REFUSED = {
    "exits-0": "os._exit(0)",
    "exits-74": "os._exit(74)",
    "asks-to-exit": "sys.exit(0)",
    "asks-to-exit-with-text": "sys.exit('\\x1b[2J' + 'x' * 10**7)",
    "keyboard-interrupt": "raise KeyboardInterrupt",
    "generator-exit": "raise GeneratorExit",
    "own-base-exception": "raise type('Odd', (BaseException,), {})('odd')",
    "name-of-exception-is-long": "raise type('X' * 10**6, (Exception,), {})('odd')",
    "long-message": "raise ValueError('x' * 20_000_000)",
    "message-for-terminals": "raise ValueError('\\x1b]0;owned\\x07\\x1b[31mred\\x00\\x9b2J\\r\\n\\u202eend')",
    "text-of-exception-raises": """
        class Odd(Exception):
            def __str__(self):
                raise ValueError("no text")
            __repr__ = __str__
        raise Odd
    """,
    "text-of-exception-exits": """
        class Odd(Exception):
            def __str__(self):
                os._exit(0)
        raise Odd
    """,
    "exceptions-in-a-circle": """
        first, second = ValueError("first"), ValueError("second")
        first.__cause__, second.__context__ = second, first
        raise first
    """,
    "disk-is-full": "raise OSError(errno.ENOSPC, 'No space left on device')",
    "memory-error": "raise MemoryError",
    "kills-itself": "os.kill(os.getpid(), signal.SIGKILL); os._exit(9)",
    "terminates-itself": "os.kill(os.getpid(), signal.SIGTERM); os._exit(9)",
    "kills-its-group": "os.killpg(os.getpgrp(), signal.SIGKILL); os._exit(9)",
    "kills-its-parent": "os.kill(os.getppid(), signal.SIGKILL) if os.getppid() > 1 else None; os._exit(1)",
    "kills-all-that-it-sees": "os.kill(-1, signal.SIGKILL) if os.getpid() < 10 else None; os._exit(1)",
    "reads-address-0": "ctypes.string_at(0)",
    "aborts": "os.abort()",
    "recursion": "def again(): again()\nagain()",
    "syntax-error": "def (:",
    "no-such-module": "import no_such_module_anywhere",
    "forgets-itself": "del sys.modules[__name__]; raise ImportError",
    "answers-for-the-harness": """
        answer = json.dumps({"name": "teacher", "summary": "", "paper": "", "directions": ["vit-to-cnn"], "needs": [],
                             "uses_teacher": False, "config": {}, "ok": True, "error": None})
        for number in range(1, 64):
            try:
                os.set_blocking(number, False)
                os.write(number, answer.encode() + b"\\n")
            except OSError:
                pass
        os._exit(0)
    """,
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_does_not_import_is_refused_in_a_sentence(
    name: str, trusted_arena: Arena, planner: Planner
) -> None:
    assert name in planner.refusal(trusted_arena.write(name, source(name, Parts(at_import=REFUSED[name]))))


@pytest.mark.parametrize("name", ["exits-0", "kills-all-that-it-sees", "long-message", "answers-for-the-harness"])
def test_a_command_with_a_file_that_does_not_import_ends_in_order(name: str, trusted_arena: Arena) -> None:
    path = trusted_arena.write(name, source(name, Parts(at_import=REFUSED[name])))
    assert f"{name}.py" in trusted_arena.refused(path).stderr


HANGING = {
    "loops": "while True: pass",
    "sleeps-and-hears-nothing": """
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        time.sleep(600)
    """,
    "stops-itself": "os.kill(os.getpid(), signal.SIGSTOP)",
}


@pytest.mark.parametrize("name", HANGING)
def test_a_file_whose_import_never_ends_is_refused_in_a_sentence(
    name: str, trusted_arena: Arena, planner: Planner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launching, "DESCRIBE_LIMITS", replace(DESCRIBE_LIMITS, seconds=2))
    sentence = planner.refusal(trusted_arena.write(name, source(name, Parts(at_import=HANGING[name]))))
    assert "took more than 2 seconds" in sentence


TOO_MUCH = {
    "memory": ("kept = [bytearray(b'x') * 2**28 for _ in range(8)]; time.sleep(60)", "GiB of memory"),
    "processes": ("for _ in range(40): os.fork() or time.sleep(60)\ntime.sleep(60)", "more than 32 processes"),
    "bytes": ("for i in range(20): Path(f'{__file__}{i}').write_bytes(bytes(2**23))\ntime.sleep(60)", "GiB of files"),
    "files": ("for i in range(3000): Path(f'{__file__}{i}').touch()\ntime.sleep(60)", "more than 2,000 files"),
    "depth": (
        "os.chdir(Path(__file__).parent)\nfor _ in range(2000): os.mkdir('d'); os.chdir('d')\ntime.sleep(60)",
        "more than 2,000 files|cannot be read|MiB",
    ),
}


@pytest.mark.parametrize("name", TOO_MUCH)
def test_a_file_that_takes_too_much_is_refused_in_a_sentence(
    name: str, trusted_arena: Arena, planner: Planner, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = replace(DESCRIBE_LIMITS, memory_bytes=2**30, files=2000)
    monkeypatch.setattr(launching, "DESCRIBE_LIMITS", limits)
    statements, words = TOO_MUCH[name]
    path = trusted_arena.write(f"much-{name}", source(f"much-{name}", Parts(at_import=statements)))
    assert re.search(words, planner.refusal(path))


BYTES = {
    "empty": b"",
    "not-utf-8": b"x = '\xff\xfe'\n" + plain("not-utf-8").encode(),
    "nul-bytes": plain("nul-bytes").encode() + b"\x00",
    "utf-16": plain("utf-16").encode("utf-16"),
    "no-such-coding": b"# -*- coding: no-such -*-\n" + plain("no-such-coding").encode(),
    "rot13": b"# -*- coding: rot13 -*-\n" + plain("rot13").encode(),
    "undefined-coding": b"# -*- coding: undefined -*-\n" + plain("undefined-coding").encode(),
    "nested-brackets": b"x = " + b"[" * 5_000 + b"]" * 5_000 + b"\n",
    "nested-signs": b"x = " + b"-" * 100_000 + b"1\n",
    "nested-blocks": b"".join(b" " * depth + b"if 1:\n" for depth in range(120)) + b" " * 120 + b"pass\n",
    "long-sum": b"x = " + b"+".join([b"1"] * 20_000) + b"\n",
    "long-chain-of-attributes": b"def f(x): x" + b".x" * 20_000 + b"\n",
    "long-chain-of-calls": b"def f(x): x" + b"()" * 20_000 + b"\n",
    "long-chain-of-else": b"if 0: pass\n" + b"elif 0: pass\n" * 5_000,
    "many-digits": b"x = " + b"9" * 10_000 + b"\n",
    "many-hexadecimal-digits": b"x = 0x" + b"f" * 1_000_000 + b"\n",
    "much-text": b"x = 1\n" * 1_000_000,
    "one-long-line": b"x = [" + b"0," * 3_000_000 + b"]\n",
    "compressed-code": b"\xa7\x0d\x0d\x0a" + bytes(12) + b"\xe3" + bytes(100),
}


@pytest.mark.parametrize("name", BYTES)
def test_bytes_that_are_no_method_are_refused_in_a_sentence(name: str, trusted_arena: Arena, planner: Planner) -> None:
    assert name in planner.refusal(trusted_arena.write(name, BYTES[name]))


def test_what_is_not_a_regular_file_is_refused_in_a_sentence(trusted_arena: Arena, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.py")
    (tmp_path / "folder.py").mkdir()
    (tmp_path / "dangling.py").symlink_to(tmp_path / "nothing.py")
    (tmp_path / "circle.py").symlink_to(tmp_path / "circle.py")
    (tmp_path / "endless.py").symlink_to("/dev/zero")
    with (tmp_path / "sparse.py").open("wb") as file:
        file.truncate(2**40)
    for name in ("fifo", "folder", "dangling", "circle", "endless", "sparse"):
        assert f"{name}.py" in trusted_arena.refused(tmp_path / f"{name}.py").stderr


def test_a_file_name_for_terminals_is_refused_or_shown_without_them(trusted_arena: Arena) -> None:
    name = "\x1b[31mred\x07\nkdbench: all is well"
    assert_harmless(trusted_arena.refused(trusted_arena.write(name, "raise ValueError\n")).stderr, 2_000)


SIBLINGS = {
    "plain": "import beside_me",
    "by-path": "sys.path.insert(0, FOLDER); import beside_me",
    "executed": "exec(Path(FOLDER, 'beside_me.py').read_text())",
    "spawned": "subprocess.run([sys.executable, '-c', 'import beside_me'], cwd=FOLDER, check=True)",
}


@pytest.mark.parametrize("name", SIBLINGS)
def test_a_module_beside_the_file_is_not_part_of_a_method(name: str, trusted_arena: Arena, planner: Planner) -> None:
    sibling = trusted_arena.write("beside_me", "factor = 2\n")
    at_import = f"FOLDER = {str(sibling.parent)!r}\n{SIBLINGS[name]}"
    path = trusted_arena.write(f"sibling-{name}", source(f"sibling-{name}", Parts(at_import=at_import)))
    sentence = planner.refusal(path)
    assert name != "plain" or "beside_me" in sentence


WORKS = (
    Case(
        "prints-much",
        Parts(
            at_import="for _ in range(200): print('x' * 100_000); os.write(1, b'\\x1b[2J'); os.write(2, b'y' * 1000)"
        ),
        "ok",
    ),
    Case(
        "changes-environment",
        Parts(
            at_import="""
            for name in ("PYTHONPATH", "PYTHONSTARTUP", "LD_PRELOAD", "KDBENCH_CACHE", "HOME", "TMPDIR"):
                os.environ[name] = OUTSIDE
            os.environ["OMP_NUM_THREADS"] = "7"
            os.environ["KDBENCH_DEBUG"] = "1"
            sys.path.insert(0, OUTSIDE)
            sys.argv[:] = ["kdbench", "run"]
            """
        ),
        "ok",
    ),
    Case(
        "patches-libraries",
        Parts(
            at_import="""
            def zeros(self, *arguments, **named):
                return torch.zeros(1)
            np.load = np.savez_compressed = zeros
            torch.nn.Module.load_state_dict = zeros
            import zipfile
            zipfile.ZipFile.__init__ = zeros
            """
        ),
        ("ok", "error"),
    ),
    Case(
        "replaces-modules",
        Parts(
            at_import="""
            for name in ("kdbench.evaluation.answers", "kdbench.evaluation.evaluator", "kdbench.scoring.board"):
                sys.modules[name] = json
            """
        ),
        "ok",
    ),
    Case(
        "threads",
        Parts(at_import="for _ in range(20): threading.Thread(target=time.sleep, args=(600,), daemon=True).start()"),
        "ok",
    ),
    Case("processes", Parts(at_import="for _ in range(5): leave(sleep_long)"), "ok"),
    Case(
        "children",
        Parts(
            at_import="""
            for _ in range(5):
                if not os.fork():
                    mark()
                    sleep_long()
                    os._exit(0)
            """
        ),
        "ok",
    ),
    Case("exit-handlers", Parts(at_import="atexit.register(os._exit, 3); atexit.register(print, 'x' * 10**6)"), "ok"),
    Case("excepthook", Parts(at_import="sys.excepthook = threading.excepthook = lambda *_: os._exit(0)"), "ok"),
    Case("seeds", Parts(at_import="torch.manual_seed(0); np.random.seed(0); import random; random.seed(0)"), "ok"),
    Case("threads-of-torch", Parts(at_import="torch.set_num_threads(4)"), "error", "number of threads"),
    Case("flushes-denormals", Parts(at_import="torch.set_flush_denormal(True)"), ("ok", "error")),
    Case("no-gradients", Parts(at_import="torch.set_grad_enabled(False)"), "error", "gradient mode"),
    Case("doubles", Parts(at_import="torch.set_default_dtype(torch.float64)"), "error", "default dtype"),
    Case("elsewhere", Parts(at_import="os.chdir('/'); os.umask(0)"), "ok"),
    Case("no-collection", Parts(at_import="gc.disable(); gc.freeze()"), "ok"),
    Case("no-limits", Parts(at_import="sys.setrecursionlimit(10**8); sys.set_int_max_str_digits(0)"), "ok"),
)


EITHER = (
    Case(
        "patches-the-harness",
        Parts(
            at_import="""
            import importlib, pkgutil, kdbench
            from types import FunctionType
            def nothing(*arguments, **named):
                raise SystemExit(0)
            for found in pkgutil.walk_packages(kdbench.__path__, "kdbench."):
                if found.name.startswith(("kdbench.evaluation", "kdbench.scoring", "kdbench.leaderboard")):
                    module = importlib.import_module(found.name)
                    for name, value in list(vars(module).items()):
                        if type(value) is FunctionType:
                            setattr(module, name, nothing)
            """
        ),
        ("ok", "error"),
    ),
    Case(
        "closes-descriptors",
        Parts(at_import="for number in descriptors(): os.closerange(number, number + 1)"),
        ("ok", "error"),
    ),
    Case(
        "no-standard-streams", Parts(at_import="os.closerange(0, 3); sys.stdout = sys.stderr = None"), ("ok", "error")
    ),
    Case("writes-into-descriptors", Parts(at_import=GARBAGE), ("ok", "error")),
    Case(
        "few-frames", Parts(at_import="sys.setrecursionlimit(len(__import__('inspect').stack()) + 30)"), ("ok", "error")
    ),
    Case("no-modules", Parts(at_import="sys.modules.clear()"), ("ok", "error")),
    Case(
        "no-builtins", Parts(at_import="builtins.isinstance = builtins.print = builtins.open = None"), ("ok", "error")
    ),
    Case("timer", Parts(at_import="signal.setitimer(signal.ITIMER_REAL, 0.2, 0.01)"), ("ok", "error")),
)


@pytest.fixture(scope="module")
def accepted(trusted_arena: Arena, planner: Planner) -> tuple[Case, ...]:
    """Those of the files that break their own process which are described all the same."""
    sources = {case: trusted_arena.write(case.name, source(case.name, case.parts)) for case in EITHER}
    return tuple(case for case, path in sources.items() if planner.accepts(path))


@pytest.fixture(scope="module")
def battle(trusted_arena: Arena, accepted: tuple[Case, ...]) -> Battle:
    """One command that runs every file whose import does not end its own process."""
    return trusted_arena.fight((*WORKS, *accepted))


@pytest.mark.parametrize("case", WORKS, ids=lambda case: case.name)
def test_what_an_import_changes_ends_with_its_run(case: Case, battle: Battle) -> None:
    battle.assert_row(case)


@pytest.mark.parametrize("case", EITHER, ids=lambda case: case.name)
def test_an_import_that_breaks_its_own_process_is_refused_or_has_its_row(
    case: Case, accepted: tuple[Case, ...], battle: Battle
) -> None:
    if case in accepted:
        battle.assert_row(case)


def test_nothing_that_an_import_changes_reaches_others(battle: Battle, accepted: tuple[Case, ...]) -> None:
    failed = any(record.status != "ok" for case in (*WORKS, *accepted) for record in battle.rows(case.name))
    battle.assert_nothing_else_is_touched(failures=failed)


def test_no_command_imports_a_method_file_in_its_own_process(trusted_arena: Arena, tmp_path: Path) -> None:
    path = trusted_arena.write("canary-in-vain", source("canary-in-vain", Parts(at_import="torch.canary = 1\n1 / 0")))
    finished = trusted_arena.refused(path)
    assert not hasattr(torch, "canary")
    assert "canary-in-vain.py" in finished.stderr
