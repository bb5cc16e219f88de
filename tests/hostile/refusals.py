"""What planning says of a method file that it refuses, without the rest of a command."""

from pathlib import Path

from kdbench.errors import SubmissionError
from kdbench.jobs.describer import ConfinedDescriber
from kdbench.jobs.launcher import DESCRIBE_LIMITS, ForkLauncher
from kdbench.methods.files import read_method_file
from kdbench.methods.inquiries import Description, Inquiry
from tests.hostile.arena import assert_harmless
from tests.planned_runs import trial_on

LONGEST_SENTENCE = 2_000  # characters


class Planner:
    """Describes method files as a command does while it plans: each in a confined process of its own."""

    def __init__(self) -> None:
        self._describe = ConfinedDescriber(ForkLauncher(DESCRIBE_LIMITS), workers=1)
        self._trial = trial_on()

    def description(self, path: Path) -> Description:
        """Return the description of a method file; SubmissionError if it is refused."""
        file = read_method_file(path)
        (description,) = self._describe([Inquiry(file.path, file.source, trial=self._trial)])
        return description

    def refusal(self, path: Path) -> str:
        """Return the sentence that refuses a method file, which names the file and is harmless to show."""
        try:
            accepted = self.description(path)
        except SubmissionError as error:
            sentence = str(error)
        else:
            raise AssertionError(f"{path.name} was accepted: {accepted.model_dump_json()[:2000]}")
        assert path.name in sentence
        assert "\n" not in sentence
        assert_harmless(sentence, LONGEST_SENTENCE)
        return sentence

    def accepts(self, path: Path) -> bool:
        """Return whether a method file is described; if it is not, its refusal must be a harmless sentence."""
        try:
            self.description(path)
        except SubmissionError:
            self.refusal(path)
            return False
        return True
