"""The profile of one network as a value: `kdbench.profile` returns it, and `kdbench profile --json` prints it."""

from collections.abc import Iterator
from textwrap import wrap
from typing import Final

from kdbench.networks.given import NetworkInput
from kdbench.profiling.text import chart_lines, conflict_words, table_lines, undefined_axes, with_interval
from kdbench.scoring.arms import Profile
from kdbench.scoring.estimates import Estimate, Score
from kdbench.scoring.scores import RowKind
from kdbench.spec import FrozenModel, Int64

WIDTH: Final = 100  # columns of the text
MOST_NEIGHBOURS: Final = 8


class BoardNetwork(FrozenModel):
    """An arm of a board on the same test sets.

    Attributes:
        name: of the arm, in words.
        seeds: number of its random seeds.
        distance: mean over the axes of the absolute difference of c from that of the profiled network; None if no axis
            has both numbers.
    """

    name: str
    kind: RowKind
    seeds: Int64
    profile: Profile
    distance: float | None = None


class NetworkProfile(FrozenModel):
    """How well a network recognises manipulated images. Intervals cover the choice of the test images only.

    Printed, it is a text of a screen with a chart of the axes.

    Attributes:
        network: its name.
        images: what the test sets are made from: a track, or the path of a folder.
        classes: number of classes, C.
        expected: size and normalisation of the images that the network got.
        arrays: SHA-256 of the images and labels of each test set, as records have it.
        profile: clean accuracy from 0 to 1, and by axis the accuracy, the chance-corrected bias c = (a - 1/C) /
            (a_clean - 1/C) and the ratio a / a_clean; the decisions on cue-conflict images.
        swing: share of the cue-conflict images that get the class of the shape minus that of the texture, -1 to 1.
        notes: what a reader of the numbers must know, as sentences.
        neighbours: networks of boards, the nearest first.
    """

    network: str
    images: str
    classes: Int64
    expected: NetworkInput
    arrays: dict[str, str]
    profile: Profile
    swing: Score
    notes: tuple[str, ...] = ()
    neighbours: tuple[BoardNetwork, ...] = ()

    def __str__(self) -> str:
        parts = (self._heading(), chart_lines(self.profile), self._remarks(), self._neighbours())
        return "\n".join(line.rstrip() for part in parts for line in part)

    def _heading(self) -> Iterator[str]:
        clean = self.profile.clean
        images = f" on {clean.images} images" if isinstance(clean, Estimate) else ""
        yield f"{self.network}, {self.images}"
        yield f"Clean accuracy: {with_interval(clean)}{images} of {self.classes} classes."
        yield from wrap(f"Input: {self.expected}.", WIDTH)
        yield ""

    def _remarks(self) -> Iterator[str]:
        yield ""
        if conflict := conflict_words(self.profile, self.swing):
            yield conflict
        yield "c is 0 at chance and 1 where the manipulation costs nothing; intervals cover the choice of images."
        for reason, axes in undefined_axes(self.profile).items():
            yield from wrap(f"No c on {', '.join(axes)}: {reason}.", WIDTH)
        for note in self.notes:
            yield from wrap(note, WIDTH)

    def _neighbours(self) -> Iterator[str]:
        """Yield a table of the nearest networks of boards, below the profiled one."""
        if self.neighbours:
            yield ""
            yield f"The nearest of {len(self.neighbours)} networks of boards, by the mean difference of c:"
            shown = self.neighbours[:MOST_NEIGHBOURS]
            rows = [(network.name, network.profile, network.distance) for network in shown]
            yield from table_lines([(self.network, self.profile, None), *rows])
