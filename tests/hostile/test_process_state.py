"""Methods that change what their own process may do, or what happens in it later, by the means of the system."""

import pytest

from tests.hostile.arena import Arena, Battle, Case
from tests.hostile.sources import Parts

pytestmark = pytest.mark.slow  # the methods of a kind are run together, for most of a minute

EITHER = ("ok", "error")
LIMIT = "resource.setrlimit(resource.RLIMIT_{}, ({}, {}))"
OPENING = "self.kept.append(os.open('/dev/null', os.O_RDONLY))"
RAISING = "class Odd(BaseException): pass\ndef raising(*arguments): raise Odd('later')"
LATER = "import kdbench.training.outcome as outcome, kdbench.training.loop as loop, kdbench.jobs.train_job as train_job"


def after(name: str, statements: str, status: str | tuple[str, ...] = EITHER, reason: str = "", at: str = "") -> Case:
    """Return the case of a method that does something after its first update."""
    body = "\n".join(f"    {line}" for line in statements.strip("\n").splitlines())
    return Case(name, Parts(at_import=at, after=f"if run.step == 1:\n{body}"), status, reason)


LIMITS = (
    after("no-more-descriptors", LIMIT.format("NOFILE", 3, 3)),
    after("all-descriptors", f"self.kept = []\nwhile True: {OPENING}", "error"),
    after(
        "all-descriptors-kept-in-silence",
        f"self.kept = []\ntry:\n    while True: {OPENING}\nexcept OSError: pass",
    ),
    after("no-more-memory", LIMIT.format("AS", 2**20, 2**20), ("error", "oom")),
    after("no-more-files", LIMIT.format("FSIZE", 0, 0), "error"),
    after("no-more-processes", LIMIT.format("NPROC", 0, 0)),
    after("no-more-seconds", LIMIT.format("CPU", 1, 1) + "\nwhile True: pass", ("error", "oom")),
    after("small-stack", LIMIT.format("STACK", 2**14, 2**14)),
    after("file-over-the-limit", "(f := scratch() / 'x').touch(); os.truncate(f, 2**40)", "error", "too large"),
    after(
        "file-over-the-limit-and-a-signal",
        "signal.signal(signal.SIGXFSZ, signal.SIG_DFL)\n(f := scratch() / 'x').touch(); os.truncate(f, 2**40)",
        "error",
        "signal 25",
    ),
    after(
        "many-files",
        "folder = scratch()\nfor i in range(110_000): (folder / str(i)).touch()\ntime.sleep(5)",
        "error",
        "more than 100,000 files",
    ),
    after("no-permissions-of-files", "os.umask(0o777)"),
    after("no-folder-to-be-in", "(f := scratch() / 'x').mkdir(); os.chdir(f); f.rmdir()"),
)
SIGNALS = (
    after(
        "timer-that-raises",
        "signal.signal(signal.SIGALRM, raising); signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01); time.sleep(1)",
        "error",
        "",
        RAISING,
    ),
    after(
        "timer-that-raises-in-the-harness",
        "signal.signal(signal.SIGALRM, raising); signal.setitimer(signal.ITIMER_REAL, 0.3, 0.01)",
        EITHER,
        "",
        RAISING,
    ),
    after("timer-that-kills", "signal.setitimer(signal.ITIMER_VIRTUAL, 0.001)\nwhile True: pass", "error", "signal 26"),
    after(
        "every-signal-ignored",
        "for n in range(1, 65):\n    try: signal.signal(n, signal.SIG_IGN)\n    except (OSError, ValueError): pass",
        "ok",
    ),
    after("every-signal-blocked", "signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))", "ok"),
    after(
        "dump-that-exits",
        "import faulthandler; faulthandler.dump_traceback_later(0.05, exit=True); time.sleep(2)",
        "error",
    ),
    after("strict-system-calls", "ctypes.CDLL(None).prctl(22, 1, 0, 0, 0)", ("ok", "error", "oom")),
    after("hidden-memory", "ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)", "ok"),
    after(
        "overflows-the-stack",
        "sys.setrecursionlimit(10**8)\ndeep = []\nfor _ in range(10**6): deep = [deep]\nrepr(deep)",
        "error",
    ),
)
INTERPRETER = (
    after("trace", "sys.settrace(raising); threading.settrace(raising)", EITHER, "", RAISING),
    after("profile", "sys.setprofile(raising)", EITHER, "", RAISING),
    after(
        "trace-that-exits",
        "sys.setprofile(lambda frame, *_: frame.f_code.co_name == 'write_outcome' and os._exit(0))",
        "error",
    ),
    after("audit", "sys.addaudithook(raising)", EITHER, "", RAISING),
    after("collection-raises", "gc.callbacks.append(raising); gc.set_threshold(1)", EITHER, "", RAISING),
    after("collection-exits", "gc.callbacks.append(lambda *_: os._exit(0)); gc.collect()", "error"),
    after("all-is-collected-late", "gc.disable()\nfor _ in range(10**5): x = []; x.append(x)", "ok"),
    after("switches-never", "sys.setswitchinterval(10**6)", "ok"),
    after("few-frames", "sys.setrecursionlimit(len(__import__('inspect').stack()) + 5)", EITHER),
    after(
        "writing-is-patched",
        f"{LATER}\nloop.write_outcome = outcome.write_outcome = train_job.write_outcome = lambda *_: None",
        "error",
        "without an outcome",
    ),
    after("writing-of-weights-is-patched", f"{LATER}\nloop.write_weights = lambda *_: None", "error", "weights"),
    after("json-is-patched", "import json.encoder\njson.dumps = json.dump = json.JSONEncoder.encode = None", EITHER),
    after("opening-is-patched", "io.open = os.open = builtins.open = Path.open = None", EITHER),
    after("exceptions-are-patched", "builtins.BaseException = builtins.Exception = builtins.OSError = None", EITHER),
    after(
        "codec-is-patched",
        "import codecs\ncodecs.register(lambda name: os._exit(0))\nsys.stdout.reconfigure(encoding='ascii')",
        EITHER,
    ),
    after("time-stands-still", "time.monotonic = time.perf_counter = time.time = lambda: 0.0", EITHER),
    after("time-is-not-a-number", "time.monotonic = time.perf_counter = time.time = lambda: float('nan')", EITHER),
)
TORCH = (
    Case(
        "extra-state",
        Parts(
            at_import="class Odd:\n    def __reduce__(self): return Path.touch, (Path(OUTSIDE, 'unpickled'),)",
            init="self.get_extra_state = lambda: Odd()",
        ),
        EITHER,
    ),
    Case(
        "student-of-another-class",
        Parts(
            at_import="def empty(*_, **__): return {}",
            after="for n in networks(): n.__class__ = type('Odd', (type(n),), {'state_dict': empty})",
        ),
        ("ok", "error", "over_budget"),
    ),
    Case(
        "thread-that-trains",
        Parts(
            after="""
            if run.step == 1:
                def train(parameters=leaves(loss)):
                    while True:
                        for parameter in parameters: parameter.data.add_(1e-3)
                threading.Thread(target=train, daemon=True).start()
            """
        ),
        ("ok", "error", "over_budget", "diverged"),
        honest=False,
    ),
    Case(
        "threads-that-only-work",
        Parts(
            after="""
            if run.step == 1:
                def work():
                    while True: sum(range(1000))
                for _ in range(5): threading.Thread(target=work, daemon=True).start()
            """
        ),
        "ok",
    ),
    Case(
        "save-is-patched",
        Parts(after="torch.save = lambda *_, **__: (_ for _ in ()).throw(OSError(errno.ENOSPC, 'No space'))"),
        EITHER,
    ),
    Case(
        "finite-is-patched",
        Parts(
            after="""
            torch.isfinite = lambda tensor: torch.ones_like(tensor, dtype=torch.bool)
            if run.step == 2: leaves(loss)[0].data.fill_(float("nan"))
            """
        ),
        ("diverged", "error", "over_budget"),
    ),
)
CASES = (*LIMITS, *SIGNALS, *INTERPRETER, *TORCH)


@pytest.fixture(scope="module")
def battle(trusted_arena: Arena) -> Battle:
    """One command that runs every method of this file."""
    return trusted_arena.fight(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_process_that_is_spoilt_is_the_methods_own_row(case: Case, battle: Battle) -> None:
    battle.assert_row(case)


def test_processes_that_are_spoilt_touch_nothing_else(battle: Battle) -> None:
    battle.assert_nothing_else_is_touched()
