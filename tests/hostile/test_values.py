"""Methods whose losses, logs or weights are not numbers that a row can be made of."""

import pytest

from tests.hostile.arena import Arena, Battle, Case
from tests.hostile.sources import Parts

pytestmark = pytest.mark.slow  # the methods of a kind are run together, for most of a minute


def loss(name: str, expression: str, status: str | tuple[str, ...] = "error", reason: str = "") -> Case:
    """Return the case of a method whose loss is an expression."""
    return Case(name, Parts(midst=f"run.backward_and_step({expression}); return"), status, reason, honest=False)


CASES = (
    loss("loss-is-nan", "loss * float('nan')", "diverged"),
    loss("loss-is-infinite", "loss * float('inf')", "diverged"),
    loss("loss-is-nan-once", "loss * (float('nan') if run.step == 1 else 1)", "diverged"),
    loss("loss-overflows", "loss * 1e38 * 1e38", "diverged"),
    loss("loss-is-a-vector", "F.cross_entropy(logits, batch.labels, reduction='none')"),
    loss("loss-is-a-number", "3.0"),
    loss("loss-is-none", "None"),
    loss("loss-is-a-text", "'loss'"),
    loss("loss-is-a-list", "[loss]"),
    loss("loss-is-empty", "{}"),
    loss("loss-has-no-gradient", "loss.detach()"),
    loss("loss-is-complex", "loss + 1j", ("ok", "error")),
    loss("loss-is-an-integer", "torch.tensor(3)"),
    loss("loss-is-elsewhere", "loss.to('meta')"),
    loss("loss-has-no-elements", "loss.expand(0)"),
    loss("loss-is-of-another-graph", "nn.Linear(1, 1)(torch.ones(1)).sum()", ("ok", "error")),
    loss("loss-was-used", "(loss.backward(), loss)[1]"),
    loss("name-is-a-number", "{3: loss}"),
    loss("name-is-none", "{None: loss}"),
    loss("name-for-terminals", "{'a\\x1b[31m\\n\\x00': loss}", ("ok", "error")),
    loss("name-is-long", "{'a' * 10**6: loss}", ("ok", "error")),
    loss("name-cannot-be-encoded", "{'\\ud800': loss}", ("ok", "error")),
    loss("many-terms", "{f'a{i}': loss / 110 for i in range(110)}", ("ok", "error")),
    loss("weight-is-nan", "{'a': Term(loss, float('nan'))}", "diverged"),
    loss("weight-is-a-text", "{'a': Term(loss, 'x')}"),
    loss("term-is-nan-with-weight-0", "{'a': loss, 'b': Term(loss * float('nan'), 0.0)}", "diverged"),
    Case("gradient-is-nan", Parts(midst="logits.register_hook(lambda g: g * float('nan'))"), "diverged", honest=False),
    Case(
        "weights-are-nan",
        Parts(
            after="""
            if run.step == 2:
                with torch.no_grad():
                    for parameter in leaves(loss):
                        parameter.fill_(float("nan"))
            """
        ),
        ("diverged", "over_budget"),
    ),
    Case(
        "one-weight-is-infinite",
        Parts(after="if run.step == 2: leaves(loss)[0].data.view(-1)[0] = float('inf')"),
        ("diverged", "over_budget"),
    ),
    Case(
        "statistics-are-nan",
        Parts(after="for layer in things(nn.BatchNorm2d): layer.running_mean.fill_(float('nan'))"),
        ("diverged", "over_budget"),
    ),
    Case(
        "statistics-are-nan-by-their-inputs",
        Parts(after="if run.step == 2: run.student_forward(batch.images * float('nan'))"),
        ("diverged", "over_budget"),
    ),
    Case(
        "weights-are-doubles",
        Parts(after="if run.step == 2: [setattr(p, 'data', p.data.double()) for p in leaves(loss)]"),
        ("error", "over_budget"),
    ),
    Case(
        "weights-are-fewer",
        Parts(after="if run.step == 2: [setattr(p, 'data', p.data[:1]) for p in leaves(loss)]"),
        ("error", "over_budget"),
    ),
    Case(
        "weights-are-one",
        Parts(
            after="if run.step == 2: [setattr(p, 'data', p.data.view(-1)[:1].expand(p.shape)) for p in leaves(loss)]"
        ),
        ("error", "over_budget"),
    ),
    Case(
        "weights-are-elsewhere",
        Parts(after="if run.step == 2: [setattr(p, 'data', p.data.to('meta')) for p in leaves(loss)]"),
        ("error", "over_budget"),
    ),
    Case(
        "weights-are-huge",
        Parts(after="if run.step == 2: leaves(loss)[0].data = torch.zeros(1).expand(2**40)"),
        ("error", "over_budget", "oom"),
    ),
    Case(
        "student-has-more",
        Parts(after="if run.step == 2: networks()[0].register_buffer('extra', torch.zeros(3))"),
        ("ok", "error", "over_budget"),
    ),
    Case(
        "student-has-less",
        Parts(after="for module in things(nn.Module):\n    if hasattr(module, 'fc') and run.step == 2: del module.fc"),
        ("error", "over_budget"),
    ),
    Case("log-of-a-text", Parts(after="run.log(a='x')")),
    Case("log-of-none", Parts(after="run.log(a=None)")),
    Case("log-of-nan", Parts(after="run.log(a=float('nan'))"), ("ok", "diverged", "error")),
    Case("log-of-a-vector", Parts(after="run.log(a=torch.zeros(3))")),
    Case("log-of-a-huge-number", Parts(after="run.log(a=10**400)")),
    Case(
        "log-of-an-odd-number",
        Parts(at_import="class Odd(float):\n    def __radd__(self, other): os._exit(0)", after="run.log(a=Odd(1))"),
        ("ok", "error"),
    ),
    Case("log-of-many", Parts(after="run.log(**{f'a{i}': 1.0 for i in range(20_000)})"), ("ok", "error")),
    Case("log-name-for-terminals", Parts(after="run.log(**{'a\\x1b[31m\\n\\x00': 1.0})"), ("ok", "error")),
    Case("log-name-is-long", Parts(after="run.log(**{'a' * 10**7: 1.0})"), ("ok", "error")),
    Case("log-name-of-html", Parts(after="run.log(**{'</td><script>alert(1)</script>': 1.0})"), ("ok", "error")),
    Case("log-of-large-numbers", Parts(after="run.log(a=1e300, b=-1e300)"), ("ok", "error", "diverged")),
)


@pytest.fixture(scope="module")
def battle(arena: Arena) -> Battle:
    """One command that runs every method of this file."""
    return arena.fight(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_is_no_number_is_the_methods_own_row(case: Case, battle: Battle) -> None:
    battle.assert_row(case)


def test_what_is_no_number_touches_nothing_else(battle: Battle) -> None:
    battle.assert_nothing_else_is_touched()


def test_html_of_a_method_is_shown_as_text(battle: Battle) -> None:
    assert "<script>alert(1)" not in (battle.site / "index.html").read_text()
