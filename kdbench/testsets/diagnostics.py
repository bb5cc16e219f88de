"""Diagnostic test sets: variants of a track's primary sets, which explain a score and never enter one.

They follow from the primary sets, so the spec does not list them and its digests do not cover them; a record keeps the
SHA-256 of each one's bytes, as of every set.
"""

from kdbench.spec import TestSet, Track
from kdbench.testsets.kinds import variants_of


def evaluated_sets(track: Track, *, diagnostics: bool) -> tuple[TestSet, ...]:
    """Return the sets that a network is evaluated on, primary ones first.

    Args:
        track: of the spec.
        diagnostics: with the spec's own diagnostic sets and the variants: further permutations of each grid, coarser
            and finer superpixels, smaller and larger noise, and noise that lies off the ViT's patches by half a patch.
    """
    if not diagnostics:
        return tuple(test_set for test_set in track.test_sets if not test_set.diagnostic)
    return (*track.test_sets, *variants_of(track))
