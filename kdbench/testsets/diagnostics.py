"""Diagnostic test sets: variants of a track's primary sets, which explain a score and never enter one.

They follow from the primary sets, so the spec does not list them and its digests do not cover them; a record keeps the
SHA-256 of each one's bytes, as of every set.
"""

from collections.abc import Iterator

from kdbench.spec import TestSet, Track

PERMUTATIONS = 3  # of each image and grid, the primary one included
SEGMENTS = (16, 32, 64, 128)
NOISE_SIZES = ((1, 2), (3, 2))  # times the primary one's size
PATCH_SIZE = 16  # timm's default


def evaluated_sets(track: Track, *, diagnostics: bool) -> tuple[TestSet, ...]:
    """The sets that a network is asked about, primary ones first.

    Args:
        track: of the spec.
        diagnostics: with the spec's own diagnostic sets and the variants: further permutations of each grid, coarser
            and finer superpixels, smaller and larger noise, and noise that lies off the ViT's patches by half a patch.
    """
    if not diagnostics:
        return tuple(one for one in track.test_sets if not one.diagnostic)
    return (*track.test_sets, *_variants(track))


def permuted_sets(track: Track) -> dict[str, tuple[str, ...]]:
    """By primary scramble set, the names of the sets that hold its images under `PERMUTATIONS` permutations."""
    return {
        one.name: (one.name, *(variant.name for variant in _permutations(one)))
        for one in track.primary_sets("scramble")
    }


def _variants(track: Track) -> Iterator[TestSet]:
    for one in track.primary_sets("scramble"):
        yield from _permutations(one)
    for one in track.primary_sets("locality"):
        for segments in SEGMENTS:
            if segments != one.parameters["segments"]:
                yield _variant(one, f"{segments}", segments=segments)
    for one in track.primary_sets("noise"):
        primary = int(one.parameters["size"])
        for times, over in NOISE_SIZES:
            yield _variant(one, f"{primary * times // over}", size=primary * times // over)
        yield _variant(one, "offset", offset=_patch_size(track) // 2)


def _permutations(primary: TestSet) -> Iterator[TestSet]:
    """The further permutations; a digest that pins the primary one's table says nothing of theirs."""
    own = {key: value for key, value in primary.parameters.items() if key != "table_sha256"}
    unpinned = primary.model_copy(update={"parameters": own})
    return (_variant(unpinned, f"permutation-{k}", permutation=k) for k in range(1, PERMUTATIONS))


def _variant(primary: TestSet, suffix: str, **parameters: int) -> TestSet:
    changes = {"parameters": {**primary.parameters, **parameters}, "diagnostic": True}
    return primary.model_copy(update={"name": f"{primary.name}-{suffix}", **changes})


def _patch_size(track: Track) -> int:
    """Pixels a side of a patch of the track's ViT."""
    return int(track.backbones.vit.arguments.get("patch_size", PATCH_SIZE))
