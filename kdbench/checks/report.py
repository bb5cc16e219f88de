"""What the checks of a method file found. The claims and the remedies are the harness's own words.

The findings are written by the process that runs the method's code, so they are read as if an adversary had written
them.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from kdbench.errors import plain_text
from kdbench.spec import FrozenModel

LONGEST_SEEN = 500  # characters
_PLACED = re.compile(r"(?:\S[^:\n]*\.py:\d+)(?=: )")
Outcome = Literal["passed", "failed", "skipped"]
CheckName = Literal[
    "contract", "config", "training", "budget", "finite", "gradient", "modules", "student", "teacher", "repeat",
    "resume", "batches", "sizes",
]  # fmt: skip


@dataclass(frozen=True)
class Claim:
    """What a check claims of a method, and what to do if that is not so."""

    claim: str
    remedy: str


CLAIMS: dict[CheckName, Claim] = {
    "contract": Claim(
        "the file defines one method that keeps the contract",
        "follow the sentence; `kdbench new` writes a file that keeps the contract",
    ),
    "config": Claim(
        "the settings survive JSON, and an unknown one is refused",
        "give every field a default that JSON can represent (numbers, texts, booleans, None, lists)",
    ),
    "training": Claim(
        "a short training in each direction ends without an error",
        "correct the line; a method that cannot work with some networks raises ValueError in `__init__`",
    ),
    "budget": Claim(
        "it updates the student once per step, and draws at most one pass before the training",
        "call `run.backward_and_step` exactly once in `step`, and draw fewer batches in `prepare`",
    ),
    "finite": Claim(
        "losses and gradients stay finite, in bfloat16 and on images that are all the same, too",
        "guard divisions, roots, norms and logarithms of zero, for example with `eps` or `clamp_min`",
    ),
    "gradient": Claim(
        "a gradient reaches every parameter of the student",
        "compute the loss from the student's output, and leave out `detach` and `no_grad` on that side",
    ),
    "modules": Claim(
        "a gradient reaches every parameter that the method declares",
        "use the module in the loss, call `requires_grad_(False)` if it is fixed, or remove it",
    ),
    "student": Claim("the student's weights move", "return a loss that depends on the student's output"),
    "teacher": Claim("the teacher stays as it is", "work on copies of the teacher's output, and train no part of it"),
    "repeat": Claim(
        "two runs of one seed are equal, bit for bit",
        "draw random numbers only from torch, and let nothing depend on time, hashes or the order of sets",
    ),
    "resume": Claim(
        "a run that is killed and resumed ends like an unbroken one",
        "keep what changes in buffers (`register_buffer`), so that a checkpoint contains it",
    ),
    "batches": Claim(
        "it takes batches of other sizes, and keeps what it says in `per_sample`",
        "take the number of images from `batch`, and set `per_sample` only if no image depends on another one",
    ),
    "sizes": Claim(
        "it takes networks, images and classes of other sizes",
        "take every size from `task` (`num_classes`, `student`, `teacher`), none from the track that you know",
    ),
}


class Finding(FrozenModel, strict=True):
    """The result of one check.

    Attributes:
        check: its name, a key of `CLAIMS`.
        outcome: "skipped" for a check that could not be made.
        place: "FILE:LINE" of what failed, if that is known.
        seen: what was seen where it failed, or why it was skipped, as a sentence without a full stop.
    """

    check: CheckName
    outcome: Outcome = "passed"
    place: Annotated[str, Field(max_length=LONGEST_SEEN)] = ""
    seen: Annotated[str, Field(max_length=LONGEST_SEEN)] = ""

    @classmethod
    def failure(cls, check: CheckName, sentence: str, direction: str = "") -> "Finding":
        """Return the finding that a check failed.

        Args:
            check: its name.
            sentence: what was seen, which may begin with "FILE:LINE: ".
            direction: in which it was seen; empty for none.
        """
        match = _PLACED.match(sentence)
        place = match.group() if match else ""
        seen = sentence.removeprefix(f"{place}: ")
        seen = f"{direction}: {seen}" if direction else seen
        return cls(check=check, outcome="failed", place=shortened(Path(place).name), seen=shortened(seen))


def shortened(text: str) -> str:
    """Return text on one line, without control characters, that fits a finding."""
    return plain_text(text, LONGEST_SEEN - 3)  # an ellipsis may follow


class CheckReport(FrozenModel, strict=True):
    """The findings about one method file, in the order of `CLAIMS` as far as the checks came."""

    findings: Annotated[tuple[Finding, ...], Field(max_length=len(CLAIMS))] = ()

    @property
    def failed(self) -> tuple[Finding, ...]:
        """The findings of the checks that failed."""
        return tuple(finding for finding in self.findings if finding.outcome == "failed")

    def in_words(self) -> dict[str, Any]:
        """Return the findings, each with its claim and with what to do if it failed, as JSON values."""
        findings = [
            {
                **finding.model_dump(),
                "claim": CLAIMS[finding.check].claim,
                "to_do": CLAIMS[finding.check].remedy if finding.outcome == "failed" else "",
            }
            for finding in self.findings
        ]
        return {"passed": not self.failed, "findings": findings}
