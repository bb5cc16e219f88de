"""Checks the networks and methods of a plan before anything is trained."""

from collections.abc import Sequence

from kdbench.errors import SpecError, SubmissionError, describe_error
from kdbench.methods.files import list_submissions, submission_path
from kdbench.plan.matrix import Submission
from kdbench.spec import FAMILIES, Direction, Track


def check_backbones(track: Track) -> None:
    """Raise SpecError, with timm's own reason, if timm cannot make one of the track's networks."""
    from kdbench.methods.preflight import backbone_shapes

    for family in FAMILIES:
        try:
            backbone_shapes(track, family)
        except Exception as error:  # timm and what lies below it raise a dozen types
            spec = track.backbones[family]
            raise SpecError(
                f"the spec's {family} backbone cannot be made: {describe_error(error)}; "
                f"fix the architecture {spec.architecture!r} or its arguments {spec.arguments}"
            ) from error


def check_names(submissions: Sequence[Submission]) -> None:
    """Raise SubmissionError if two method files, of the plan or shipped, have one name."""
    known = {name: submission_path(name) for name in list_submissions()}
    for submission in submissions:
        assert submission.path is not None
        first = known.setdefault(submission.name, submission.path)
        if first != submission.path:
            raise SubmissionError(
                f"{submission.path} and {first} both have the name {submission.name!r}; "
                "records are told apart by it: give one of them another name"
            )


def check_methods(submissions: Sequence[Submission], directions: Sequence[Direction], track: Track) -> None:
    """Raise SubmissionError if a method cannot be made for the networks of one of its directions."""
    from kdbench.methods.loading import load_submission
    from kdbench.methods.preflight import check_method

    for submission in submissions:
        assert submission.path is not None
        method = load_submission(submission.path)
        for direction in set(directions) & set(submission.directions):
            check_method(method, submission.config, track, direction, track.data.num_train)
