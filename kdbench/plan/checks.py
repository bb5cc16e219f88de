"""Checks the networks and the names of a plan before anything is trained."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kdbench.errors import SpecError, SubmissionError, describe_error
from kdbench.methods.files import list_submissions, submission_path
from kdbench.plan.matrix import Submission
from kdbench.spec import FAMILIES, Family, Track

if TYPE_CHECKING:
    from kdbench.api import Shapes


def check_track(track: Track) -> "dict[Family, Shapes]":
    """Return the shapes of a track's networks, after checking all that its file alone does not show.

    `kdbench run` and `kdbench spec FILE` refuse a track by this check. What must be fetched is not checked.

    Raises:
        SpecError: a network cannot be made for the track's images.
        DataError: timm has no such weights, a shipped file of weights is missing or differs, or the images are stored
            at a size from which nothing can be built.
    """
    from kdbench.networks.models import check_shipped_weights
    from kdbench.networks.weights import backbone_files
    from kdbench.testsets.build import check_stored_size

    check_stored_size(track)
    backbone_files(track)
    shapes = checked_shapes(track)
    check_shipped_weights(track)
    return shapes


def checked_shapes(track: Track) -> "dict[Family, Shapes]":
    """Return the shapes of a track's networks.

    Raises:
        SpecError: timm cannot make one of them, or it does not take the track's images; the message has the reason.
    """
    from kdbench.methods.preflight import backbone_shapes

    shapes = {}
    for family in FAMILIES:
        try:
            shapes[family] = backbone_shapes(track, family)
        except Exception as error:  # timm and the libraries below it raise errors of many types
            raise SpecError(_why_not(track, family, describe_error(error))) from error
    return shapes


def _why_not(track: Track, family: Family, reason: str) -> str:
    """Return the sentence about a network that cannot be made for a track."""
    if track.pair is not None:
        size = f"{track.data.image_size} x {track.data.image_size} pixels"
        return (
            f"--pair: {track.pair[family].words} cannot be used on the images of {track.name}, {size}: {reason}; name "
            "another network or track, or correct --pair-argument"
        )
    spec = track.backbones[family]
    return (
        f"the spec's {family} backbone cannot be made: {reason}; "
        f"fix the architecture {spec.architecture!r} or its arguments {spec.arguments}"
    )


def check_names(submissions: Sequence[Submission]) -> None:
    """Raise SubmissionError if two method files have the same name; shipped files count, too."""
    known = {name: submission_path(name) for name in list_submissions()}
    for submission in submissions:
        assert submission.path is not None
        first = known.setdefault(submission.name, submission.path)
        if first != submission.path:
            raise SubmissionError(
                f"{submission.path} and {first} both have the name {submission.name!r}; "
                "records are distinguished by this name, so give one of them another"
            )
