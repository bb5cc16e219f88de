"""Synthetic images: ten shapes filled with ten textures, drawn in integer arithmetic from shipped tables.

A *law* determines the shape, the texture and the label of each image; `render` draws it. Image `i` of a stream is a
pure function of the stream's name and `i`, so any part of a data set can be drawn in any order with the same bytes.
"""

from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from kdbench.data.array_types import Images, Integers, Split
from kdbench.errors import DataError
from kdbench.files import DAMAGES
from kdbench.randomness import Words, below, words
from kdbench.resources import shipped

SIZE = 32
NUM_CLASSES = 10
SHIFT = 2  # pixels, each way
SHAPE_NAMES = ("disk", "square", "triangle", "star", "cross", "ring", "crescent", "bow-tie", "arrow", "angle")
TEXTURE_NAMES = ("brick", "grass", "gravel", "hubble", "labyrinth", "stripes", "dots", "weave", "fur", "facets")
WORDS_PER_IMAGE = 28
BLENDED, GHOSTED = 6, 2  # of ten images under a law: with another texture blended in, with another shape's ghost
WEAKEST, STRENGTHS = 64, 56  # the least strength of a distractor in 256ths, and how many there are: below one half
DOSE_STEPS = 100  # a dose is a whole number of hundredths, so that labels are integer arithmetic
CHUNK = 512  # images drawn at once


@dataclass(frozen=True)
class Saliences:
    """How visible the cues are.

    Attributes:
        contrast: difference of luminance between object and background, in grey levels (the salience of shape).
        texture_gain: grey levels of one standard deviation of texture (the salience of texture).
        noise_gain: grey levels of one standard deviation of the white noise on every pixel.
    """

    contrast: int = 38
    texture_gain: int = 46
    noise_gain: int = 10


@dataclass(frozen=True)
class Tables:
    """The shipped tables; `datasets/synthetic/tables.py` makes them.

    Attributes:
        masks: (shapes, angles, 32, 32) uint8 coverage.
        blobs: (blobs, 32, 32) uint8 coverage.
        train_textures, test_textures: (textures, crops, 64, 64) int8, 48 units per standard deviation.
        neutral: (fills, 64, 64) int8, blends of textures in which none dominates.
        colours: (pairs, 2, 3) uint8, background and object.
        noise: (tiles, 64, 64, 3) int8, 48 units per standard deviation.
        patch: (12, 12, 3) int16 grey levels, the tile of the noise test set.
    """

    masks: Images
    blobs: Images
    train_textures: NDArray[np.int8]
    test_textures: NDArray[np.int8]
    neutral: NDArray[np.int8]
    colours: Images
    noise: NDArray[np.int8]
    patch: NDArray[np.int16]

    @property
    def all_masks(self) -> Images:
        """(n, 32, 32): shape x angle, then the blobs, then a mask that covers the whole frame."""
        full = np.full((1, SIZE, SIZE), 255, np.uint8)
        return np.concatenate([self.masks.reshape(-1, SIZE, SIZE), self.blobs, full])

    @property
    def all_fills(self) -> NDArray[np.int8]:
        """(n, 64, 64): train texture x crop, test texture x crop, then the neutral fills."""
        side = self.neutral.shape[-1]
        stacks = (self.train_textures, self.test_textures, self.neutral)
        return np.concatenate([stack.reshape(-1, side, side) for stack in stacks])


def read_tables(path: Path) -> Tables:
    """Read a table file.

    Raises:
        DataError: it is missing, damaged or lacks a table.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return Tables(**{field.name: arrays[field.name] for field in fields(Tables)})
    except DAMAGES as error:
        raise DataError(f"{path} cannot be read as tables: {error}; restore the shipped file") from error


@cache
def shipped_tables() -> Tables:
    """Return the tables of the benchmark."""
    return read_tables(shipped("datasets", "synthetic", "tables.npz"))


@dataclass(frozen=True)
class Scenes:
    """The parameters of images to draw; every array has one row per image.

    Attributes:
        mask, fill: rows of `Tables.all_masks` and `Tables.all_fills`.
        shift: (n, 2) pixels down and right.
        crop: (n, 2) top-left corner of the fill's window, 0 to 32.
        colours: row of `Tables.colours`.
        brighter: 1 where the object is brighter than the background, else -1.
        noise, noise_crop: tile and (n, 2) corner of the white noise.
        ghost, ghost_shift, ghost_opacity: a second mask blended under the first; opacity in 256ths, 0 for none.
        blend, blend_crop, blend_weight: a second fill mixed into the first; weight in 256ths, 0 for none.
    """

    mask: Integers
    fill: Integers
    shift: Integers
    crop: Integers
    colours: Integers
    brighter: Integers
    noise: Integers
    noise_crop: Integers
    ghost: Integers
    ghost_shift: Integers
    ghost_opacity: Integers
    blend: Integers
    blend_crop: Integers
    blend_weight: Integers

    def __len__(self) -> int:
        return len(self.mask)

    def __getitem__(self, rows: slice) -> "Scenes":
        return Scenes(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})


def _window(table: NDArray[np.generic], row: Integers, corner: Integers, side: int) -> NDArray[np.int32]:
    """Return (n, side, side, ...) int32: the window of `table[row]` whose top-left corner is `corner`."""
    span = np.arange(side)
    down, right = corner[:, :1] + span, corner[:, 1:] + span
    window: NDArray[np.int32] = table[row[:, None, None], down[:, :, None], right[:, None, :]].astype(np.int32)
    return window


def _coverage(padded_masks: Images, mask: Integers, shift: Integers) -> NDArray[np.int32]:
    return _window(padded_masks, mask, SHIFT - shift, SIZE)


def _fill(fills: NDArray[np.int8], scenes: Scenes) -> NDArray[np.int32]:
    first = _window(fills, scenes.fill, scenes.crop, SIZE)
    if not scenes.blend_weight.any():
        return first
    second = _window(fills, scenes.blend, scenes.blend_crop, SIZE)
    weight = scenes.blend_weight[:, None, None].astype(np.int32)
    return ((256 - weight) * first + weight * second) >> 8


def _draw(tables: Tables, masks: Images, fills: NDArray[np.int8], scenes: Scenes, saliences: Saliences) -> Images:
    coverage = _coverage(masks, scenes.mask, scenes.shift)
    if scenes.ghost_opacity.any():
        ghost = (
            _coverage(masks, scenes.ghost, scenes.ghost_shift) * scenes.ghost_opacity[:, None, None].astype(np.int32)
            >> 8
        )
        coverage = np.maximum(coverage, ghost)
    coverage = coverage[..., None]
    colours = tables.colours[scenes.colours].astype(np.int32)
    half = (scenes.brighter * saliences.contrast)[:, None].astype(np.int32)
    background = (colours[:, 0] - half // 2)[:, None, None, :]
    foreground = (colours[:, 1] + half - half // 2)[:, None, None, :]
    textured = foreground + (_fill(fills, scenes) * saliences.texture_gain // 48)[..., None]
    noise = _window(tables.noise, scenes.noise, scenes.noise_crop, SIZE) * saliences.noise_gain // 48
    image = (background * (255 - coverage) + textured * coverage + 127) // 255 + noise
    return np.clip(image, 0, 255).astype(np.uint8)


def _padded_masks(tables: Tables) -> Images:
    return np.pad(tables.all_masks, ((0, 0), (SHIFT, SHIFT), (SHIFT, SHIFT)), mode="edge")


def render(tables: Tables, scenes: Scenes, saliences: Saliences) -> Images:
    """Return (n, 32, 32, 3) uint8 images of the scenes."""
    masks, fills = _padded_masks(tables), tables.all_fills
    images = np.empty((len(scenes), SIZE, SIZE, 3), np.uint8)
    for start in range(0, len(scenes), CHUNK):
        part = slice(start, start + CHUNK)
        images[part] = _draw(tables, masks, fills, scenes[part], saliences)
    return images


class SceneDraws:
    """Turns random words into scenes, given the shape and texture classes of the images."""

    def __init__(self, tables: Tables, *stream: str | int, first: int, count: int) -> None:
        self.tables = tables
        self.count = count
        self._words: Words = words(*stream, first=first, count=count, per_item=WORDS_PER_IMAGE)

    def choose(self, column: int, bound: int) -> Integers:
        """Return (n,) integers in [0, bound) from word `column` of each image."""
        return below(self._words[:, column], bound)

    def pair(self, column: int, bound: int) -> Integers:
        """Return (n, 2) integers in [0, bound) from two words."""
        return below(self._words[:, column : column + 2], bound)

    def shape_mask(self, shape: Integers, angle_column: int = 2) -> Integers:
        angles = self.tables.masks.shape[1]
        rows: Integers = shape * angles + self.choose(angle_column, angles)
        return rows

    def blob_mask(self) -> Integers:
        shapes, angles = self.tables.masks.shape[:2]
        rows: Integers = shapes * angles + self.choose(2, len(self.tables.blobs))
        return rows

    def texture_fill(self, texture: Integers, split: Split, crop_column: int = 7) -> Integers:
        textures, crops = self.tables.train_textures.shape[:2]
        offset = 0 if split == "train" else textures * crops
        rows: Integers = offset + texture * crops + self.choose(crop_column, crops)
        return rows

    def neutral_fill(self) -> Integers:
        textures, crops = self.tables.train_textures.shape[:2]
        rows: Integers = 2 * textures * crops + self.choose(7, len(self.tables.neutral))
        return rows

    def scenes(self, mask: Integers, fill: Integers, **distractors: Integers) -> Scenes:
        """Return scenes with the given masks and fills; position, colours and noise from words 5 to 16."""
        zero = np.zeros(self.count, np.int64)
        side = self.tables.neutral.shape[-1] - SIZE + 1
        none = dict.fromkeys(("ghost", "ghost_opacity", "blend", "blend_weight"), zero)
        pairs = {name: np.zeros((self.count, 2), np.int64) for name in ("ghost_shift", "blend_crop")}
        return Scenes(
            mask=mask,
            fill=fill,
            shift=self.pair(5, 2 * SHIFT + 1) - SHIFT,
            crop=self.pair(8, side),
            colours=self.choose(10, len(self.tables.colours)),
            brighter=self.choose(11, 2) * 2 - 1,
            noise=self.choose(12, len(self.tables.noise)),
            noise_crop=self.pair(13, side),
            **{**none, **pairs, **distractors},
        )


@dataclass(frozen=True)
class Drawn:
    """Images with the classes they were drawn from: (n, 32, 32, 3) uint8 and (n,) int64 each."""

    images: Images
    labels: Integers
    shapes: Integers
    textures: Integers


def _distractors(draws: SceneDraws, shape: Integers, texture: Integers, split: Split) -> dict[str, Integers]:
    """Return graded distractors: 60 % another texture blended in, 20 % another shape's ghost, at .25 to .46."""
    kind = draws.choose(17, 10)
    strength = WEAKEST + draws.choose(18, STRENGTHS)
    other_texture = (texture + 1 + draws.choose(19, NUM_CLASSES - 1)) % NUM_CLASSES
    other_shape = (shape + 1 + draws.choose(20, NUM_CLASSES - 1)) % NUM_CLASSES
    side = draws.tables.neutral.shape[-1] - SIZE + 1
    return {
        "blend": draws.texture_fill(other_texture, split, crop_column=21),
        "blend_crop": draws.pair(22, side),
        "blend_weight": np.where(kind < BLENDED, strength, 0),
        "ghost": draws.shape_mask(other_shape, angle_column=24),
        "ghost_shift": draws.pair(25, 2 * SHIFT + 1) - SHIFT,
        "ghost_opacity": np.where((kind >= BLENDED) & (kind < BLENDED + GHOSTED), strength, 0),
    }


def training_images(
    *stream: str | int, dose: float | None = None, count: int, saliences: Saliences, tables: Tables | None = None
) -> Drawn:
    """Return a training set under the neutral law, or under a planted one.

    Neutral law (students and natural teachers): shape and texture agree. Planted law: half of the images are congruent
    and half are in conflict; the label of a conflict image follows the shape with probability `dose`, else the texture.
    Both have graded distractors; the dominant cues determine the label. Under all doses, image `i` of a stream shows
    one class and the same rival; the dose determines only which of the two is the shape.

    Args:
        *stream: words and numbers that name the data set (track, role, bias, seed).
        dose: in [0, 1], a multiple of .01; None for the neutral law.
        count: number of images; classes are balanced when 10 divides it.
        saliences: of the cues.
        tables: to draw from; None for the shipped ones.
    """
    tables = tables or shipped_tables()
    draws = SceneDraws(tables, "synthetic", "training", *stream, first=0, count=count)
    labels = np.arange(count) % NUM_CLASSES
    shapes, textures = (labels, labels) if dose is None else _planted_cues(draws, labels, dose)
    distractors = _distractors(draws, shapes, textures, "train")
    scenes = draws.scenes(draws.shape_mask(shapes), draws.texture_fill(textures, "train"), **distractors)
    return Drawn(render(tables, scenes, saliences), labels, shapes, textures)


def _planted_cues(draws: SceneDraws, labels: Integers, dose: float) -> tuple[Integers, Integers]:
    """Return the shape and the texture classes of a planted law, (n,) each."""
    another = (labels + 1 + draws.choose(0, NUM_CLASSES - 1)) % NUM_CLASSES
    rival = np.where(draws.choose(1, 2) == 1, another, labels)
    by_shape = draws.choose(3, DOSE_STEPS) < round(dose * DOSE_STEPS)
    return np.where(by_shape, labels, rival), np.where(by_shape, rival, labels)


TestCondition = Literal["clean", "shape", "texture", "texture-field", "cue-conflict"]


def condition_images(
    condition: TestCondition, *, count: int, saliences: Saliences, tables: Tables | None = None
) -> Drawn:
    """Return a test condition drawn from held-out texture crops; the same on every machine and for every seed.

    `clean`: the neutral law, with distractors; the others have none. `shape`: the shape with a neutral fill.
    `texture`: the texture in a blob whose shape belongs to no class. `texture-field`: the texture over the whole image.
    `cue-conflict`: shape and texture of two classes, all ordered pairs equally often; the label is the shape. Image i
    of the first four shares its class, position, colours and noise.
    """
    tables = tables or shipped_tables()
    scenes, shapes, textures = _test_scenes(condition, count, tables)
    return Drawn(render(tables, scenes, saliences), shapes, shapes, textures)


def condition_objects(condition: TestCondition, *, count: int, tables: Tables | None = None) -> Images:
    """Return (n, 32, 32) uint8: the coverage of each pixel of `condition_images` by its object, 0 to 255.

    Ghosts are not objects.
    """
    tables = tables or shipped_tables()
    scenes, *_ = _test_scenes(condition, count, tables)
    return _coverage(_padded_masks(tables), scenes.mask, scenes.shift).astype(np.uint8)


def _test_scenes(condition: TestCondition, count: int, tables: Tables) -> tuple[Scenes, Integers, Integers]:
    """Return scenes with their shape and texture classes."""
    conflict = condition == "cue-conflict"
    draws = SceneDraws(tables, "synthetic", "test", "cue-conflict" if conflict else "clean", first=0, count=count)
    index = np.arange(count)
    shapes = index % NUM_CLASSES
    textures = (shapes + 1 + index // NUM_CLASSES % (NUM_CLASSES - 1)) % NUM_CLASSES if conflict else shapes
    if condition == "texture-field":
        mask = np.full(count, len(tables.all_masks) - 1)
    else:
        mask = draws.blob_mask() if condition == "texture" else draws.shape_mask(shapes)
    fill = draws.neutral_fill() if condition == "shape" else draws.texture_fill(textures, "test")
    distractors = _distractors(draws, shapes, textures, "test") if condition == "clean" else {}
    return draws.scenes(mask, fill, **distractors), shapes, textures
