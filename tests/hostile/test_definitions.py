"""Method files whose class or config is not what it seems: refused in a sentence, or a row of their own."""

import pytest

from tests.hostile.arena import Arena, Battle, Case
from tests.hostile.refusals import Planner
from tests.hostile.sources import Parts, source

pytestmark = pytest.mark.slow  # the methods of a kind are run together, for most of a minute

CLASSES = {
    "name-is-a-number": Parts(variables="name = 3"),
    "name-for-terminals": Parts(variables="name = 'a\\x1b[31m\\nb'"),
    "name-is-long": Parts(variables="name = 'a' * 100_000"),
    "name-is-a-little-too-long": Parts(variables="name = 'a' * 300"),
    "name-is-empty": Parts(variables="name = ''"),
    "name-is-a-path": Parts(variables="name = '../../outside'"),
    "name-ends-in-a-newline": Parts(variables="name = 'newline\\n'"),
    "name-is-the-teachers": Parts(variables="name = 'teacher'"),
    "name-is-a-class-of-its-own": Parts(
        at_import="""
        class Odd(str):
            def __eq__(self, other): os._exit(0)
            def __hash__(self): os._exit(0)
            def __str__(self): raise ValueError("no text")
            __repr__ = __format__ = __str__
        """,
        variables="name = Odd('Odd')",
    ),
    "name-is-a-property": Parts(at_end="Hostile.name = property(lambda self: 'x')"),
    "text-of-name-raises": Parts(
        at_import="""
        class Odd:
            def __repr__(self): raise KeyboardInterrupt
        """,
        variables="name = Odd()",
    ),
    "text-of-name-exits": Parts(
        at_import="""
        class Odd:
            def __repr__(self): os._exit(0)
        """,
        variables="name = Odd()",
    ),
    "text-of-name-is-long": Parts(
        at_import="""
        class Odd:
            def __repr__(self): return "\\x1b[31m" * 5_000_000
        """,
        variables="name = Odd()",
    ),
    "summary-is-none": Parts(variables="summary = None"),
    "summary-is-long": Parts(variables="summary = 'a' * 10_000_000"),
    "summary-cannot-be-encoded": Parts(variables="summary = '\\ud800'"),
    "paper-is-a-list": Parts(variables="paper = ['x'] * 10**6"),
    "no-such-direction": Parts(variables="directions = ('north',)"),
    "direction-for-terminals": Parts(variables="directions = ('\\x1b[31m' * 10**6,)"),
    "no-directions": Parts(variables="directions = ()"),
    "directions-are-lists": Parts(variables="directions = ([],)"),
    "direction-is-a-text": Parts(variables="directions = 'vit-to-cnn'"),
    "no-such-output": Parts(variables="needs = frozenset({'labels'})"),
    "needs-is-none": Parts(variables="needs = None"),
    "uses-teacher-is-a-text": Parts(variables="uses_teacher = 'no'"),
    "truth-of-uses-teacher-raises": Parts(
        at_import="""
        class Odd:
            def __bool__(self): raise KeyboardInterrupt
        """,
        variables="uses_teacher = Odd()",
    ),
    "two-methods": Parts(at_end="class Second(Hostile): name = 'second'"),
    "no-method": Parts(at_end="del Hostile"),
    "method-of-another-module": Parts(at_end="Hostile.__module__ = 'kdbench.api'"),
    "not-a-class": Parts(at_end="Hostile = Hostile.__new__(Hostile)"),
    "class-exits-when-looked-at": Parts(
        at_import="""
        class Odd(type(Method)):
            def __getattribute__(cls, name):
                if name in ("name", "directions"): os._exit(0)
                return super().__getattribute__(name)
        """,
        at_end="class Hostile(Hostile, metaclass=Odd): pass",
    ),
    "config-is-no-dataclass": Parts(at_end="class Config: pass\nHostile.Config = Config"),
    "config-is-not-frozen": Parts(at_end="@dataclass\nclass Config:\n    x: int = 1\nHostile.Config = Config"),
    "config-has-no-default": Parts(config="x: int"),
    "config-is-a-tensor": Parts(config="x: object = field(default_factory=lambda: torch.zeros(3))"),
    "config-is-a-set": Parts(config="x: set = field(default_factory=lambda: {1, 2})"),
    "config-is-not-a-number": Parts(config="x: float = float('nan')"),
    "config-is-infinite": Parts(config="x: tuple = (1.0, float('inf'))"),
    "config-is-a-huge-number": Parts(config="x: int = 10**5000"),
    "config-is-long": Parts(config="x: str = 'x' * 50_000_000"),
    "config-holds-itself": Parts(
        at_import="circle = []; circle.append(circle)", config="x: list = field(default_factory=lambda: circle)"
    ),
    "config-is-deep": Parts(
        at_import="""
        deep = []
        for _ in range(20_000): deep = [deep]
        """,
        config="x: list = field(default_factory=lambda: deep)",
    ),
    "config-cannot-be-encoded": Parts(config="x: str = '\\ud800'"),
    "config-raises": Parts(config="def __post_init__(self): raise ValueError('\\x1b[31m' + 'x' * 10**7)"),
    "config-exits": Parts(config="def __post_init__(self): os._exit(0)"),
    "config-interrupts": Parts(config="def __post_init__(self): raise KeyboardInterrupt"),
    "config-kills": Parts(config="def __post_init__(self): os.kill(os.getpid(), signal.SIGKILL)"),
    "config-refers-to-nothing": Parts(config="x: 'NoSuchType' = 1"),
    "config-copies-badly": Parts(
        at_import="""
        class Odd(int):
            def __deepcopy__(self, memo): os._exit(0)
        """,
        config="x: int = Odd(3)",
    ),
    "made-with-an-error": Parts(init="raise ValueError('\\x1b[31m' + 'x' * 20_000_000)"),
    "made-with-an-exit": Parts(init="sys.exit(0)"),
    "made-with-a-hard-exit": Parts(init="os._exit(0)"),
    "made-with-an-interrupt": Parts(init="raise KeyboardInterrupt"),
    "made-with-a-full-disk": Parts(init="raise OSError(errno.ENOSPC, 'No space left on device')"),
    "made-with-a-fault": Parts(init="ctypes.string_at(0)"),
    "made-of-too-much": Parts(init="self.x = nn.Parameter(torch.zeros(2**44))"),
    "made-with-no-frames-left": Parts(init="def again(): again()\nagain()"),
}


@pytest.mark.parametrize("name", CLASSES)
def test_a_class_that_breaks_the_contract_is_refused_in_a_sentence(
    name: str, trusted_arena: Arena, planner: Planner
) -> None:
    assert name in planner.refusal(trusted_arena.write(name, source(name, CLASSES[name])))


def test_a_method_that_calls_itself_as_a_shipped_one_is_refused_beside_it(trusted_arena: Arena) -> None:
    path = trusted_arena.write("name-is-taken", source("name-is-taken", Parts(variables="name = 'independent'")))
    assert "independent" in trusted_arena.refused(path).stderr


ITS_CONFIG = "run.log(seen=float(self.config.x) if isinstance(self.config.x, float) else len(self.config.x))"
DIFFERENT_EACH_TIME = (
    Case("config-is-random", Parts(config="x: float = field(default_factory=torch.rand(1).item)", before=ITS_CONFIG)),
    Case("config-is-the-time", Parts(config="x: float = field(default_factory=time.time)", before=ITS_CONFIG)),
    Case("config-is-written-otherwise", Parts(config="x: tuple = ((1, 2), 'a')", before=ITS_CONFIG)),
)
ONLY_IN_TRAINING = "Path(__file__).parent.name == 'method'"
LATER = (
    Case(
        "class-exits-when-compared",
        Parts(
            at_import="""
            class Odd(type(Method)):
                def __eq__(cls, other): os._exit(0)
                __hash__ = type.__hash__
            """,
            at_end="class Hostile(Hostile, metaclass=Odd): pass",
        ),
        ("ok", "error"),
    ),
    Case("class-makes-something-else", Parts(at_end="Hostile.__new__ = lambda *_: 3")),
    Case("forgets-the-base", Parts(at_end="Hostile.__init__ = lambda self, task, config: None")),
    Case("config-keys-are-numbers", Parts(config="x: dict = field(default_factory=lambda: {1: 2})"), "ok"),
    Case("summary-for-terminals", Parts(variables="summary = 'a\\x1b[31mb\\x00\\x07'"), "ok"),
    Case("init-raises", Parts(init=f"if {ONLY_IN_TRAINING}: raise ValueError('later')"), reason="later"),
    Case("init-exits", Parts(init=f"if {ONLY_IN_TRAINING}: os._exit(0)")),
    Case("init-exits-politely", Parts(init=f"if {ONLY_IN_TRAINING}: sys.exit(0)")),
    Case("init-has-no-memory", Parts(init=f"if {ONLY_IN_TRAINING}: raise MemoryError"), "oom"),
    Case("init-has-no-disk", Parts(init=f"if {ONLY_IN_TRAINING}: raise OSError(errno.ENOSPC, 'No space')")),
    Case(
        "other-import",
        Parts(
            at_import="""
            try: scratch()
            except LookupError: pass
            else: raise ImportError("now")
            """
        ),
        ("ok", "error"),
    ),
    Case("other-type", Parts(init=f"if {ONLY_IN_TRAINING}: self.__class__ = nn.Module"), ("error", "over_budget")),
    Case("optimizers-raise", Parts(optimizers="raise ValueError('no optimiser')"), reason="no optimiser"),
    Case("optimizers-are-none", Parts(optimizers="return None")),
    Case("optimizers-are-numbers", Parts(optimizers="return {'a': 3}")),
    Case("optimizers-are-many", Parts(optimizers="return {'\\x1b[31m' * 10**6: 3}")),
    Case(
        "parameter-is-nan",
        Parts(init="self.register_parameter('x', nn.Parameter(torch.tensor(float('nan'))))"),
        ("ok", "diverged"),
    ),
    Case(
        "buffer-is-large",
        Parts(init="self.register_buffer('x', torch.zeros(1).expand(2**20, 2**10))"),
        ("ok", "error", "oom"),
    ),
    Case("state-raises", Parts(init="self.register_state_dict_pre_hook(lambda *_: os._exit(0))"), ("ok", "error")),
    Case("does-not-move", Parts(at_end="Hostile.to = lambda self, *_: None")),
    Case("does-not-train", Parts(at_end="Hostile.train = lambda self, *_: 3")),
    Case("has-no-parameters", Parts(at_end="Hostile.parameters = lambda self, *_: 3")),
)


LINES = Case("summary-of-lines", Parts(variables="summary = 'first line\\nsecond <b>line</b>'"), "ok")


@pytest.fixture(scope="module")
def battle(trusted_arena: Arena) -> Battle:
    """One command that runs every method which is described without a complaint."""
    return trusted_arena.fight((*LATER, *DIFFERENT_EACH_TIME, LINES))


@pytest.mark.parametrize("case", [*LATER, LINES], ids=lambda case: case.name)
def test_a_class_that_behaves_until_it_is_trained_has_its_row(case: Case, battle: Battle) -> None:
    battle.assert_row(case)


@pytest.mark.parametrize("case", DIFFERENT_EACH_TIME, ids=lambda case: case.name)
def test_a_run_gets_the_config_that_its_record_names(case: Case, battle: Battle) -> None:
    (record,) = battle.rows(case.name)
    assert record.status == "ok", record.reason
    value = record.config["x"]
    assert record.curves[0]["seen"] == pytest.approx(value if isinstance(value, float) else 2, rel=1e-5)


def test_classes_that_behave_until_they_are_trained_touch_nothing_else(battle: Battle) -> None:
    battle.assert_nothing_else_is_touched()
