"""Diagnostic test sets: variants of a track's primary sets, which explain scores and are part of none.

They follow from the primary sets, so the spec does not list them and its digests do not cover them. A record contains
the SHA-256 of their bytes, as it does for every set.
"""

from kdbench.spec import TestSet, Track
from kdbench.testsets.kinds import variants_of


def evaluated_sets(track: Track, *, diagnostics: bool) -> tuple[TestSet, ...]:
    """Return the sets on which a network is evaluated, primary ones first.

    Args:
        track: of the spec.
        diagnostics: whether to include the diagnostic sets of the spec and the variants: further permutations of each
            grid, coarser and finer superpixels, smaller and larger noise, and noise shifted by half a patch of the ViT.
    """
    if not diagnostics:
        return tuple(test_set for test_set in track.test_sets if not test_set.diagnostic)
    return (*track.test_sets, *variants_of(track))
