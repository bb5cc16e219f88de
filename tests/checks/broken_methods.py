"""Method files, each broken in one way, with the check that must catch it."""

from dataclasses import dataclass
from textwrap import dedent

from kdbench.checks.report import CLAIMS, CheckName

_HEAD = """
import random
from dataclasses import dataclass, field

import torch
from torch import nn
from torch.nn import functional as F

from kdbench.api import Method


class Broken(Method):
    name, paper, summary = "broken", "", "broken in one way"
    directions, uses_teacher, images = ("vit-to-cnn",), False, "as they are"
    needs = frozenset({"logits", "pooled", "classifier"})

    @dataclass(frozen=True)
    class Config:
        weight: float = 1.0

"""
_SOUND_LOSS = """
def loss(self, batch, student, teacher):
    return F.cross_entropy(student.logits, batch.labels)
"""


@dataclass(frozen=True)
class Broken:
    """A method file that one check must catch.

    Attributes:
        body: of the class, after its variables; a second definition replaces the first one.
        check: that fails.
        line: text in the line that the finding must name.
        seen: part of what the finding says.
    """

    body: str
    check: CheckName
    line: str
    seen: str

    @property
    def source(self) -> str:
        """The whole file."""
        lines = [f"    {line}" for line in dedent(self.body).strip("\n").splitlines()]
        return _HEAD + "\n".join(lines) + "\n"

    @property
    def line_number(self) -> int:
        """The number of the line that the finding must name."""
        return next(n for n, text in enumerate(self.source.splitlines(), start=1) if self.line in text)


def _with_loss(body: str) -> str:
    return dedent(body) + _SOUND_LOSS


BROKEN = {
    "module-that-is-not-installed": Broken(
        _with_loss("import nonesuch"), "contract", "import nonesuch", "the file does not import: ModuleNotFoundError"
    ),
    "step-that-does-not-state-its-images": Broken(
        """
        del images

        def step(self, run, batch):
            run.backward_and_step(F.cross_entropy(run.student_forward(batch.images).logits, batch.labels))
        """,
        "contract",
        "def step",
        "must say in `images`",
    ),
    "needs-a-field-that-does-not-exist": Broken(
        _with_loss('needs = frozenset({"labels"})'),
        "contract",
        'frozenset({"labels"})',
        "has needs = frozenset({'labels'})",
    ),
    "default-that-json-cannot-represent": Broken(
        _with_loss(
            """
            @dataclass(frozen=True)
            class Config:  # of its own
                stages: set = field(default_factory=set)
            """
        ),
        "contract",
        "class Config:  # of its own",
        "has a Config whose defaults cannot be made and written as JSON",
    ),
    "config-that-changes-on-its-way": Broken(
        _with_loss(
            """
            @dataclass(frozen=True)
            class Config:  # of its own
                weight: float = 1.0
                def __post_init__(self):
                    object.__setattr__(self, "weight", 2 * self.weight)
            """
        ),
        "config",
        "class Config:  # of its own",
        "on its way through JSON",
    ),
    "shapes-that-do-not-fit": Broken(
        """
        def loss(self, batch, student, teacher):
            return F.mse_loss(student.logits @ student.pooled, student.logits)
        """,
        "training",
        "student.logits @ student.pooled",
        "vit-to-cnn: RuntimeError",
    ),
    "two-updates-per-step": Broken(
        """
        def step(self, run, batch):
            for _ in range(2):
                run.backward_and_step(F.cross_entropy(run.student_forward(batch.images).logits, batch.labels))
        """,
        "budget",
        "def step",
        "must update the student once, but updated it 2 times",
    ),
    "two-passes-before-the-training": Broken(
        _with_loss(
            """
            def prepare(self, run):
                for batch in run.batches(2 * self.task.total_steps // self.task.epochs):
                    run.student_forward(batch.images)
            """
        ),
        "budget",
        "for batch in run.batches",
        "drew more than one pass over the training set",
    ),
    "division-by-a-spread-that-can-be-zero": Broken(
        """
        def loss(self, batch, student, teacher):
            scaled = student.logits / student.logits.std(dim=0)
            return F.cross_entropy(scaled, batch.labels)
        """,
        "finite",
        "def loss",
        "not finite",
    ),
    "trunk-cut-off": Broken(
        """
        def loss(self, batch, student, teacher):
            return F.cross_entropy(student.classifier(student.pooled.detach()), batch.labels)
        """,
        "gradient",
        "def loss",
        "no gradient reached the student's model.bn1.bias",
    ),
    "gradient-too-small-to-move-anything": Broken(
        """
        directions = ("cnn-to-vit",)  # whose parameters all have a gradient from the first step on

        def loss(self, batch, student, teacher):
            return 1e-25 * F.cross_entropy(student.logits, batch.labels)
        """,
        "student",
        "def loss",
        "some of the student's weights did not move",
    ),
    "module-that-is-never-used": Broken(
        _with_loss(
            """
            def __init__(self, task, config):
                super().__init__(task, config)
                self.used = nn.Identity()
                self.projector = nn.Linear(task.student.pooled, 8)
            """
        ),
        "modules",
        "self.projector =",
        "no gradient reached self.projector.bias, self.projector.weight",
    ),
    "teacher-that-is-trained": Broken(
        """
        uses_teacher = True

        def loss(self, batch, student, teacher):
            with torch.no_grad():
                for parameter in self.run._harness.teacher.parameters():
                    parameter.mul_(0.9)
            return F.cross_entropy(student.logits, batch.labels)
        """,
        "teacher",
        "def loss",
        "changed the teacher's",
    ),
    "random-numbers-of-python": Broken(
        """
        def loss(self, batch, student, teacher):
            return random.random() * F.cross_entropy(student.logits, batch.labels)
        """,
        "repeat",
        "def loss",
        "in two runs of one seed",
    ),
    "counter-that-no-checkpoint-contains": Broken(
        """
        seen = 0

        def loss(self, batch, student, teacher):
            self.seen += 1
            return F.cross_entropy(student.logits, batch.labels) / self.seen
        """,
        "resume",
        "def loss",
        "after an interruption",
    ),
    "fixed-number-of-images": Broken(
        """
        def loss(self, batch, student, teacher):
            return F.cross_entropy(student.logits.view(2, -1, 10).flatten(0, 1), batch.labels)
        """,
        "batches",
        "student.logits.view",
        "vit-to-cnn: RuntimeError",
    ),
    "per-sample-that-is-not": Broken(
        """
        per_sample = True

        def loss(self, batch, student, teacher):
            centred = student.logits - student.logits.mean(dim=0)
            return F.cross_entropy(student.logits, batch.labels) + centred.square().mean()
        """,
        "batches",
        "def loss",
        "`per_sample` is True, but the gradient",
    ),
    "sizes-of-one-track": Broken(
        """
        def __init__(self, task, config):
            super().__init__(task, config)
            self.head = nn.Linear(128, 10)

        def loss(self, batch, student, teacher):
            return F.cross_entropy(student.logits + self.head(student.pooled), batch.labels)
        """,
        "sizes",
        "self.head(student.pooled)",
        "vit-to-cnn: RuntimeError",
    ),
}


def table_lines() -> list[str]:
    """Return the table of docs/checks.md: each check, its claim, and the broken files that it catches."""
    caught = {check: [name.replace("-", " ") for name in BROKEN if BROKEN[name].check == check] for check in CLAIMS}
    return [f"| `{check}` | {claim.claim} | {'; '.join(caught[check])} |" for check, claim in CLAIMS.items()]
