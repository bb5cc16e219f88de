"""What is checked of a plan, beside its methods, before anything is trained."""

from collections.abc import Sequence

from kdbench.errors import SpecError, SubmissionError, in_a_sentence
from kdbench.methods.files import list_submissions, submission_path
from kdbench.plan.matrix import Submission
from kdbench.spec import FAMILIES, Track


def check_backbones(track: Track) -> None:
    """SpecError if timm cannot make one of the track's networks; its own reason is in the message."""
    from kdbench.methods.preflight import backbone_shapes

    for family in FAMILIES:
        try:
            backbone_shapes(track, family)
        except Exception as error:  # timm and what lies below it raise a dozen types
            spec = track.backbones[family]
            raise SpecError(
                f"the spec's {family} backbone cannot be made: {in_a_sentence(error)}; "
                f"mend the architecture {spec.architecture!r} or its arguments {spec.arguments}"
            ) from error


def check_names(submissions: Sequence[Submission]) -> None:
    """SubmissionError if two method files go by one name, in the plan or beside a shipped one."""
    known = {name: submission_path(name) for name in list_submissions()}
    for submission in submissions:
        assert submission.path is not None
        first = known.setdefault(submission.name, submission.path)
        if first != submission.path:
            raise SubmissionError(
                f"{submission.path} and {first} both have the name {submission.name!r}; "
                "records are told apart by it: give one of them another name"
            )
