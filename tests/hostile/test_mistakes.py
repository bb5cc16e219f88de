"""Honest mistakes in the training process: what the harness counts and fixes cannot be changed without a word.

One process cannot bind a hostile method. These are mistakes that people make, and each of them is named.
"""

from textwrap import indent

import pytest

from tests.hostile.arena import BYSTANDER, PUPIL, Arena, Battle, Case
from tests.hostile.sources import Parts

pytestmark = pytest.mark.slow  # the methods of a kind are run together, for most of a minute

CAUGHT = ("over_budget", "error")
OPTIMISERS = "for optimiser in things(torch.optim.Optimizer):\n    for group in optimiser.param_groups:"


def changes(name: str, statements: str) -> tuple[Case, ...]:
    """Return cases of one mistake before the forward pass, between it and the update, and after the update."""
    keeping = "self.kept = leaves(loss)"
    later = f"if run.step:\n{indent(statements, '    ')}"
    return (
        Case(f"{name}-before", Parts(before=later, midst=keeping), CAUGHT),
        Case(f"{name}-between", Parts(midst=f"{keeping}\n{statements}"), CAUGHT),
        Case(f"{name}-after", Parts(midst=keeping, after=statements), CAUGHT),
    )


CASES = (
    *changes("adds-to-data", "for p in self.kept: p.data.add_(0.01)"),
    *changes("adds", "torch._foreach_add_([p.detach() for p in self.kept], 0.01)"),
    *changes("new-data", "for p in self.kept: p.data = p.data + 0.01"),
    *changes("one-number", "self.kept[0].data.view(-1)[0] += 1e-3"),
    *changes("by-numpy", "self.kept[0].detach().numpy()[...] *= 1.01"),
    *changes("learning-rate", f"{OPTIMISERS} group['lr'] = group['lr'] * 2"),
    *changes("weight-decay", f"{OPTIMISERS} group['weight_decay'] = 0.5"),
    *changes("freezes", "for p in self.kept[:3]: p.requires_grad_(False)"),
    Case(
        "own-optimiser",
        Parts(
            midst="self.kept = leaves(loss)",
            after="""
            for p in self.kept: p.grad = torch.ones_like(p)
            torch.optim.SGD(self.kept, lr=0.01).step()
            """,
        ),
        CAUGHT,
    ),
    Case(
        "declares-an-optimiser-of-the-students",
        Parts(
            optimizers="return {'own': torch.optim.SGD([p for m in things(nn.Module) for p in m.parameters()], lr=0.1)}"
        ),
        CAUGHT,
        "student",
    ),
    Case("steps-the-harness-optimiser", Parts(after="for o in things(torch.optim.Optimizer): o.step()"), CAUGHT),
    Case(
        "adds-a-group",
        Parts(after="things(torch.optim.Optimizer)[0].add_param_group({'params': [nn.Parameter(torch.zeros(1))]})"),
        CAUGHT,
    ),
    Case(
        "two-updates",
        Parts(after="run.backward_and_step(F.cross_entropy(run.student_forward(batch.images).logits, batch.labels))"),
        "over_budget",
        "once",
    ),
    Case("no-update", Parts(midst="return"), "over_budget", "once"),
    Case(
        "two-updates-swallowed",
        Parts(
            after="""
            try: run.backward_and_step(F.cross_entropy(run.student_forward(batch.images).logits, batch.labels))
            except BaseException: pass
            """
        ),
        CAUGHT,
    ),
    Case(
        "update-in-prepare",
        Parts(prepare="run.backward_and_step(torch.zeros((), requires_grad=True))"),
        "over_budget",
        "prepare",
    ),
    Case(
        "update-in-prepare-swallowed",
        Parts(prepare="try: run.backward_and_step(torch.zeros((), requires_grad=True))\nexcept BaseException: pass"),
        ("ok", "over_budget", "error"),
    ),
    Case(
        "many-batches-in-prepare",
        Parts(prepare="for batch in run.batches(10): pass"),
        "over_budget",
        "pass over the training set",
    ),
    Case(
        "many-batches-in-prepare-swallowed",
        Parts(prepare="try:\n    for batch in run.batches(10): pass\nexcept BaseException: pass"),
        CAUGHT,
    ),
    Case(
        "student-changed-in-prepare",
        Parts(prepare="batch = next(run.batches(1))\nfor m in things(nn.BatchNorm2d): m.running_mean.add_(0.1)"),
        "over_budget",
        "prepare",
    ),
    Case(
        "batches-kept-from-prepare", Parts(prepare="self.batches = run.batches(5)", after="next(self.batches)"), CAUGHT
    ),
    Case("batches-in-step", Parts(after="next(run.batches(1))"), CAUGHT),
    Case("statistics-reset", Parts(after="for m in things(nn.BatchNorm2d): m.reset_running_stats()"), CAUGHT),
    Case("statistics-frozen", Parts(before="for m in things(nn.BatchNorm2d): m.eval()"), CAUGHT),
    Case("unmetered-forward", Parts(before="for m in networks(): m.training and m(batch.images)"), CAUGHT),
    Case(
        "unmetered-without-gradient",
        Parts(before="with torch.no_grad():\n    for m in networks(): m.eval()(batch.images); m.train()"),
        ("ok", *CAUGHT),
    ),
    Case(
        "student-hooked",
        Parts(before="for m in networks(): m.register_forward_hook(lambda m, i, o: o * 2)"),
        ("ok", *CAUGHT),
        honest=False,
    ),
    Case(
        "student-patched",
        Parts(
            before="""
            for m in networks(): m.forward_head = lambda x, **_: torch.zeros(len(x), 10, requires_grad=True)
            """
        ),
        ("ok", *CAUGHT),
        honest=False,
    ),
    Case("labels-of-task-zeroed", Parts(init="task.train_labels.zero_()"), ("ok", *CAUGHT)),
    Case(
        "labels-of-task-shuffled",
        Parts(prepare="self.task.train_labels.copy_(self.task.train_labels.flip(0))"),
        ("ok", *CAUGHT),
    ),
    Case("threads", Parts(before="torch.set_num_threads(3)"), ("ok", *CAUGHT)),
    Case("threads-in-init", Parts(init="torch.set_num_threads(3)"), ("ok", *CAUGHT)),
    Case("seeds", Parts(before="torch.manual_seed(0); torch.rand(3)"), "ok"),
    Case("no-gradients-after", Parts(after="torch.set_grad_enabled(False)"), ("ok", *CAUGHT)),
    Case("inference-mode", Parts(after="torch.inference_mode().__enter__()"), ("ok", *CAUGHT)),
    Case("doubles-by-default", Parts(after="torch.set_default_dtype(torch.float64)"), ("ok", *CAUGHT)),
    Case("meta-by-default", Parts(after="torch.set_default_device('meta')"), ("ok", *CAUGHT)),
    Case("cast-by-default", Parts(before="torch.autocast('cpu', torch.bfloat16).__enter__()"), ("ok", *CAUGHT)),
    Case(
        "sets-attributes-of-run",
        Parts(before="run.total_steps = 100; run.student = run.teacher = None"),
        ("ok", *CAUGHT),
    ),
    Case("counts-less", Parts(before="(getattr(run, 'counts', None) or run._counts).clear()"), ("ok", *CAUGHT)),
    Case("images-changed", Parts(after="batch.images.zero_()"), "ok"),
    Case("labels-changed", Parts(after="batch.labels.zero_()"), CAUGHT, "in place"),
    Case(
        "teacher-changed",
        Parts(
            uses_teacher=True,
            before="for m in networks(): m.training or m.head.weight.data.zero_()",
        ),
        CAUGHT,
        "teacher",
        rows=2,
        honest=False,
    ),
    Case(
        "teacher-changed-and-restored",
        Parts(
            uses_teacher=True,
            prepare="""
            self.teachers = [w for m in networks() if not (w := m.get_classifier().weight).requires_grad]
            self.saved = [w.detach().clone() for w in self.teachers]
            with torch.no_grad():
                for w in self.teachers: w.zero_()
            """,
            after="""
            if run.step == 2:
                with torch.no_grad():
                    for w, s in zip(self.teachers, self.saved): w.copy_(s)
            """,
        ),
        CAUGHT,
        rows=2,
        honest=False,
    ),
    Case(
        "teacher-trains",
        Parts(uses_teacher=True, before="for m in things(nn.Module): m.train()"),
        ("ok", *CAUGHT),
        rows=2,
        honest=False,
    ),
    Case("asks-an-absent-teacher", Parts(before="run.teacher_forward(batch.images)"), "error", "teacher"),
    Case(
        "outputs-without-gradient",
        Parts(midst="with torch.no_grad(): loss = run.student_forward(batch.images).logits.sum()"),
        ("ok", "error"),
        honest=False,
    ),
    Case(
        "images-of-another-size",
        Parts(before="run.student_forward(torch.zeros(4, 3, 7, 5))"),
        ("ok", *CAUGHT),
        honest=False,
    ),
    Case("images-of-another-type", Parts(before="run.student_forward(batch.images.double())"), "error"),
    Case("no-images", Parts(before="run.student_forward(batch.images[:0])"), ("ok", *CAUGHT), honest=False),
)


@pytest.fixture(scope="module")
def battle(arena: Arena) -> Battle:
    """One command that runs every mistake, and then methods without and with a teacher."""
    return arena.fight(CASES, bystanders=(BYSTANDER, PUPIL))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_mistake_is_named_or_changes_nothing(case: Case, battle: Battle) -> None:
    battle.assert_row(case)


def test_mistakes_touch_nothing_else(battle: Battle) -> None:
    battle.assert_nothing_else_is_touched()
