"""The kinds of test sets: one module each, and one line in `KINDS`.

The rest of kdbench does not distinguish kinds: it calls `kind_of`, and the kind knows how its sets are made, opened,
shown and described.
"""

from collections.abc import Iterator

from kdbench.errors import SpecError
from kdbench.spec import Data, TestSet, Track
from kdbench.spec.parameters import complaint
from kdbench.testsets.kinds.clean import Clean
from kdbench.testsets.kinds.cue_conflict import CueConflict
from kdbench.testsets.kinds.fcn_cut_out import FcnCutOut
from kdbench.testsets.kinds.fcn_silhouette import FcnSilhouette
from kdbench.testsets.kinds.generated import Generated
from kdbench.testsets.kinds.kind import Kind
from kdbench.testsets.kinds.noise_patch import Noise
from kdbench.testsets.kinds.part_alone import PartAlone
from kdbench.testsets.kinds.quilted_texture import QuiltedTexture
from kdbench.testsets.kinds.silhouette import Silhouette
from kdbench.testsets.kinds.superpixels import Superpixels
from kdbench.testsets.kinds.tiles import Tiles
from kdbench.testsets.kinds.vgg_style import VggStyle
from kdbench.testsets.kinds.vgg_texture import VggTexture

# Records and the page list diagnostic variants in this order.
KINDS: tuple[Kind, ...] = (
    Clean(),
    Generated(),
    Silhouette(),
    FcnSilhouette(),
    FcnCutOut(),
    QuiltedTexture(),
    VggTexture(),
    VggStyle(),
    Tiles(),
    Superpixels(),
    Noise(),
    PartAlone(),
    CueConflict(),
)


def kind_of(test_set: TestSet, data: Data) -> Kind:
    """Return the kind of a test set, given the data of its track.

    Raises:
        SpecError: no kind has the set's rendering, or the set has no rendering but needs one.
    """
    possible = [kind for kind in KINDS if test_set.axis in kind.axes and data.source in kind.sources]
    renderings = {kind.rendering: kind for kind in possible if kind.rendering is not None}
    rendering = test_set.parameters.get("rendering")
    if rendering is not None and renderings:
        if rendering not in renderings:
            raise _wrong(test_set, f"key rendering has the value {rendering!r}; allowed there: {', '.join(renderings)}")
        return renderings[str(rendering)]
    for kind in possible:
        if kind.rendering is None:
            return kind
    raise _wrong(test_set, f"key rendering is missing; allowed are {', '.join(renderings)}")


def check_parameters(test_set: TestSet, data: Data) -> None:
    """Raise SpecError, which names key, value and what is allowed, if the parameters do not fit the set's kind."""
    if reason := complaint(test_set.parameters, kind_of(test_set, data).parameters(data)):
        raise _wrong(test_set, reason)


def variants_of(track: Track) -> Iterator[TestSet]:
    """Yield the diagnostic variants of all primary sets of a track, by kind in the order of `KINDS`."""
    primary = [(test_set, kind_of(test_set, track.data)) for test_set in track.test_sets if not test_set.diagnostic]
    for kind in KINDS:
        for test_set, its_kind in primary:
            if its_kind is kind:
                yield from kind.variants(test_set, track)


def _wrong(test_set: TestSet, reason: str) -> SpecError:
    return SpecError(f"test_sets: parameters of {test_set.name}: {reason}")
