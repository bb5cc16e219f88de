"""The keys that a test set's parameters may have, by what makes its images: known without importing any of that."""

from collections.abc import Mapping
from dataclasses import dataclass, field

Value = int | float | str

GREY_LEVELS = ("foreground", "background")
COUNTS = ("segments", "grid", "size", "block", "overlap", "candidates", "steps")
WORDS: Mapping[type, str] = {int: "a whole number", float: "a number", str: "a text"}


@dataclass(frozen=True)
class Keys:
    """Keys and the type of each value; a whole number is a number, too.

    Attributes:
        needed: that every such set has.
        further: that it may have.
    """

    needed: Mapping[str, type] = field(default_factory=dict)
    further: Mapping[str, type] = field(default_factory=dict)

    @property
    def all(self) -> dict[str, type]:
        return {**self.needed, **self.further}

    def complaint(self, parameters: Mapping[str, Value]) -> str:
        """What is wrong with parameters, in words; empty if nothing is."""
        allowed = f"allowed there: {', '.join(self.all) or 'none'}"
        for key, value in parameters.items():
            if key not in self.all:
                return f"unknown key {key}; {allowed}"
            if not _is_a(value, self.all[key]):
                return f"key {key} has the value {value!r}, which is not {WORDS[self.all[key]]}"
            if not isinstance(value, str) and (allowed_values := _out_of_range(key, value)):
                return f"key {key} has the value {value!r}, allowed are {allowed_values}"
        missing = [key for key in self.needed if key not in parameters]
        return f"key {missing[0]} is missing; {allowed}" if missing else ""


SUPERPIXELS = Keys({"segments": int}, {"compactness": float, "sigma": float})
TILES = Keys({"grid": int}, {"permutation": int})
TILE_TABLE = Keys(TILES.needed, {**TILES.further, "table_sha256": str})
PATCH = Keys({"size": int}, {"offset": int})
PATCH_TABLE = Keys(PATCH.needed, {**PATCH.further, "tile_sha256": str})
QUILTING = Keys({}, {"block": int, "overlap": int, "candidates": int})

_NAMED: Mapping[str, type] = {"rendering": str}
_COLOURS: Mapping[str, type] = {"foreground": int, "background": int}
_FEATURES: Mapping[str, type] = {"layers": str, "weights": str, "pooling": str, "steps": int, "learning_rate": float}
SILHOUETTE = Keys({**_NAMED, **_COLOURS})
FCN_SILHOUETTE = Keys({**_NAMED, **_COLOURS}, {"fallback": str})
FCN_CUT_OUT = Keys({**_NAMED, "background": int})
VGG_TEXTURE = Keys({**_NAMED, "place": str, **_FEATURES, "erosion": int, "fallback": int})
VGG_STYLE = Keys({**_NAMED, "style": str, **_FEATURES, "style_weight": float, "content": str, "content_weight": float})

BY_NETWORKS = {
    "fcn-silhouette": FCN_SILHOUETTE,
    "fcn-cut-out": FCN_CUT_OUT,
    "vgg19-texture": VGG_TEXTURE,
    "vgg19-style": VGG_STYLE,
}
RENDERINGS: Mapping[str, Mapping[str, Keys]] = {
    "shape": {"silhouette": SILHOUETTE, **BY_NETWORKS},
    "texture": BY_NETWORKS,
}


def complaint(axis: str, parameters: Mapping[str, Value], *, generated: bool, resized: bool) -> str:
    """What is wrong with the parameters of a test set, in words; empty if nothing is.

    Args:
        axis: of the set.
        parameters: of the set.
        generated: the track's images are synthetic ones.
        resized: the track resizes its images, so that tiles and noise are tables for the evaluation.
    """
    renderings = {} if generated else RENDERINGS.get(axis, {})
    if "rendering" in parameters and renderings and parameters["rendering"] not in renderings:
        return f"key rendering has the value {parameters['rendering']!r}; allowed there: {', '.join(renderings)}"
    if "rendering" in parameters and renderings:
        return renderings[str(parameters["rendering"])].complaint(parameters)
    return _without_rendering(axis, generated=generated, resized=resized).complaint(parameters)


def _without_rendering(axis: str, *, generated: bool, resized: bool) -> Keys:
    """The keys of a set whose axis says what makes it."""
    if axis == "locality":
        return SUPERPIXELS
    if axis == "scramble":
        return TILE_TABLE if resized else TILES
    if axis == "noise":
        return PATCH_TABLE if resized else PATCH
    if axis == "clean" or generated:
        return Keys()
    return Keys(_NAMED) if axis == "shape" else QUILTING


def _is_a(value: Value, kind: type) -> bool:
    return isinstance(value, (int, float) if kind is float else kind)


def _out_of_range(key: str, value: float) -> str:
    """The numbers that a key may have, in words; empty if the value is one of them."""
    least = 1 if key in COUNTS else 0
    if key in GREY_LEVELS:
        return "" if 0 <= value <= 255 else "0 to 255"
    return "" if value >= least else f"{least} and more"
