"""The shapes and textures of the synthetic data, from which the tables of benchmark and pretext task are drawn.

Only the scripts that make tables import this file. It may use floats freely: what a run uses are the shipped tables.
"""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import skimage
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from scipy.spatial import cKDTree
from skimage.draw import polygon2mask

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
CANVAS = 512  # supersampled drawing of a shape; reduced to 32 pixels later
CROP = 64
Points = list[tuple[float, float]]


def _regular(corners: int, radius: float = 1.0, turn: float = -math.pi / 2) -> Points:
    return [
        (radius * math.cos(turn + 2 * math.pi * k / corners), radius * math.sin(turn + 2 * math.pi * k / corners))
        for k in range(corners)
    ]


def _star(points: int, inner: float) -> Points:
    outer, notch = _regular(points), _regular(points, inner, -math.pi / 2 + math.pi / points)
    return [corner for pair in zip(outer, notch, strict=True) for corner in pair]


def _grid() -> tuple[Floats, Floats]:
    axis = (np.arange(CANVAS) + 0.5) / CANVAS * 4 - 2  # both coordinates in [-2, 2), y down
    y, x = np.meshgrid(axis, axis, indexing="ij")
    return x, y


def _polygon(points: Points) -> Mask:
    corners = [((y + 2) / 4 * CANVAS, (x + 2) / 4 * CANVAS) for x, y in points]
    return np.asarray(polygon2mask((CANVAS, CANVAS), corners), dtype=bool)


def _disk(x0: float = 0, y0: float = 0, radius: float = 1, squeeze: float = 1) -> Mask:
    x, y = _grid()
    return (x - x0) ** 2 + ((y - y0) / squeeze) ** 2 <= radius**2


def _box(left: float, top: float, right: float, bottom: float) -> Mask:
    x, y = _grid()
    return (x >= left) & (x <= right) & (y >= top) & (y <= bottom)


SHAPES: dict[str, Callable[[], Mask]] = {
    "disk": _disk,
    "square": lambda: _polygon(_regular(4, turn=math.pi / 4)),
    "triangle": lambda: _polygon(_regular(3)),
    "star": lambda: _polygon(_star(5, 0.5)),
    "cross": lambda: _box(-1, -0.3, 1, 0.3) | _box(-0.3, -1, 0.3, 1),
    "ring": lambda: _disk() & ~_disk(radius=0.55),
    "crescent": lambda: _disk() & ~_disk(0.62, -0.1, 0.66),
    "bow-tie": lambda: _polygon([(-1, -1), (0, -0.18), (1, -1), (1, 1), (0, 0.18), (-1, 1)]),
    "arrow": lambda: _polygon([(1, 0), (0, -0.85), (0, -0.4), (-1, -0.4), (-1, 0.4), (0, 0.4), (0, 0.85)]),
    "angle": lambda: _box(-1, -1, -0.14, 1) | _box(-1, 0.14, 1, 1),
}

PRETEXT_SHAPES: dict[str, Callable[[], Mask]] = {
    "hexagon": lambda: _polygon(_regular(6)),
    "half-disk": lambda: _disk() & _box(-1, -1, 1, 0.05),
    "ellipse": lambda: _disk(squeeze=0.55),
    "trapezoid": lambda: _polygon([(-0.5, -0.6), (0.5, -0.6), (1, 0.6), (-1, 0.6)]),
    "parallelogram": lambda: _polygon([(-0.4, -0.7), (1, -0.7), (0.4, 0.7), (-1, 0.7)]),
    "tee": lambda: _box(-1, -1, 1, -0.35) | _box(-0.33, -1, 0.33, 1),
    "u": lambda: _box(-1, -1, -0.4, 1) | _box(0.4, -1, 1, 1) | _box(-1, 0.4, 1, 1),
    "zigzag": lambda: _polygon(
        [(-1, -1), (0.3, -1), (0.3, 0.4), (1, 0.4), (1, 1), (-0.3, 1), (-0.3, -0.4), (-1, -0.4)]
    ),
    "chevron": lambda: _polygon([(-1, 0.9), (0, -0.9), (1, 0.9), (0.4, 0.9), (0, 0.15), (-0.4, 0.9)]),
    "kite": lambda: _polygon([(0, -1), (0.7, -0.3), (0, 1), (-0.7, -0.3)]),
    "heart": lambda: (
        _disk(-0.45, -0.3, 0.5) | _disk(0.45, -0.3, 0.5) | _polygon([(-0.92, -0.12), (0.92, -0.12), (0, 1)])
    ),
    "wedge": lambda: _disk() & ~_polygon([(0, 0), (2, -1.4), (2, 1.4)]),
    "h": lambda: _box(-1, -1, -0.45, 1) | _box(0.45, -1, 1, 1) | _box(-1, -0.25, 1, 0.25),
    "four-star": lambda: _polygon(_star(4, 0.45)),
    "drop": lambda: _disk(0, 0.35, 0.62) | _polygon([(0, -1), (0.56, 0.12), (-0.56, 0.12)]),
    "two-disks": lambda: _disk(-0.55, 0, 0.5) | _disk(0.55, 0, 0.5) | _box(-0.6, -0.12, 0.6, 0.12),
    "frame": lambda: _box(-1, -1, 1, 1) & ~_box(-0.5, -0.5, 0.5, 0.5),
    "stairs": lambda: _box(-1, 0.33, 1, 1) | _box(-0.33, -0.33, 1, 1) | _box(0.33, -1, 1, 1),
    "arch": lambda: (_disk(0, 0.3, 1) & ~_disk(0, 0.3, 0.5)) & _box(-1, -1, 1, 0.75),
    "hourglass": lambda: _polygon([(-0.8, -1), (0.8, -1), (0.15, 0), (0.8, 1), (-0.8, 1), (-0.15, 0)]),
}


def _photo(name: str, scale: int, *, columns: slice = slice(None)) -> Floats:
    """Return a photograph from the scikit-image wheel in grey levels, reduced `scale` times.

    Names are those of files in the wheel's `data` folder.
    """
    path = next((p for p in _photo_folder().glob(f"{name}.*")), None)
    if path is None:
        raise FileNotFoundError(f"scikit-image does not ship a photograph called {name!r}")
    grey = np.asarray(Image.open(path).convert("L"), dtype=np.float64)[:, columns]
    height, width = (side // scale * scale for side in grey.shape)
    return grey[:height, :width].reshape(height // scale, scale, width // scale, scale).mean(axis=(1, 3))


def _photo_folder() -> Path:
    return Path(skimage.__file__).parent / "data"


SHEET = (160, 320)  # height and width of a procedural sheet


def _white(rng: np.random.Generator) -> Floats:
    return rng.standard_normal(SHEET)


def _smooth(rng: np.random.Generator, sigma: float | tuple[float, float]) -> Floats:
    field = ndimage.gaussian_filter(_white(rng), sigma, mode="wrap")
    return (field - field.mean()) / field.std()


def _axes() -> tuple[Floats, Floats]:
    y, x = np.mgrid[: SHEET[0], : SHEET[1]].astype(np.float64)
    return x, y


def _labyrinth(rng: np.random.Generator) -> Floats:
    white = _white(rng)
    band = ndimage.gaussian_filter(white, 1.5, mode="wrap") - ndimage.gaussian_filter(white, 3.0, mode="wrap")
    return ndimage.gaussian_filter(np.where(band > 0, 1.0, -1.0), 0.6)


def _stripes(rng: np.random.Generator, turn: float = math.pi / 4, period: float = 6.5, wave: float = 1.0) -> Floats:
    x, y = _axes()
    phase = 2 * math.pi / period * (x * math.cos(turn) + y * math.sin(turn)) + wave * _smooth(rng, 8)
    return np.tanh(2 * np.sin(phase))


def _dots(rng: np.random.Generator, spacing: float = 8.0, radius: float = 2.4) -> Floats:
    x, y = _axes()
    x, y = x + 1.6 * _smooth(rng, 9), y + 1.6 * _smooth(rng, 9)
    shifted = x + spacing / 2 * (np.floor(y / spacing) % 2)
    distance = np.hypot(shifted % spacing - spacing / 2, y % spacing - spacing / 2)
    return np.tanh(2 * (radius - distance))


def _weave(rng: np.random.Generator, period: float = 5.0) -> Floats:
    x, y = _axes()
    x, y = x + 0.8 * _smooth(rng, 7), y + 0.8 * _smooth(rng, 7)
    over = (np.floor(x / period) + np.floor(y / period)) % 2 == 0
    return np.where(over, np.sin(math.pi * (x % period) / period), -np.sin(math.pi * (y % period) / period))


def _fur(rng: np.random.Generator) -> Floats:
    return _smooth(rng, (4.5, 0.8)) + 0.4 * _smooth(rng, (2.0, 0.6))


def _cells(rng: np.random.Generator, spacing: float, edge: bool) -> Floats:
    count = int(SHEET[0] * SHEET[1] / spacing**2)
    seeds = rng.uniform((0, 0), SHEET, (count, 2))
    x, y = _axes()
    near, owner = cKDTree(seeds).query(np.stack([y, x], axis=-1), k=2)
    if edge:
        return np.tanh(near[..., 1] - near[..., 0] - 1.2)
    shade: Floats = rng.standard_normal(count)[owner[..., 0]]
    return shade


def _checker(rng: np.random.Generator, period: float = 6.0) -> Floats:
    x, y = _axes()
    x, y = x + 0.9 * _smooth(rng, 10), y + 0.9 * _smooth(rng, 10)
    return np.tanh(4 * np.sin(math.pi * x / period) * np.sin(math.pi * y / period))


def _blotches(rng: np.random.Generator) -> Floats:
    return np.tanh(3 * _smooth(rng, 3.5))


def _speckle(rng: np.random.Generator) -> Floats:
    return ndimage.gaussian_filter((rng.random(SHEET) < 0.06).astype(float), 0.8)


def _rain(rng: np.random.Generator) -> Floats:
    return ndimage.gaussian_filter((rng.random(SHEET) < 0.03).astype(float), (0.5, 3.0))


def _ripples(rng: np.random.Generator) -> Floats:
    x, y = _axes()
    return np.sin(2 * math.pi * np.hypot(x % 40 - 20, y % 40 - 20) / 5.0 + 0.7 * _smooth(rng, 6))


def _clouds(rng: np.random.Generator) -> Floats:
    return sum((_smooth(rng, sigma) * sigma**0.7 for sigma in (0.7, 1.4, 2.8, 5.6)), np.zeros(SHEET))


def _grain(rng: np.random.Generator) -> Floats:
    return _smooth(rng, 0.7)


def _bricks_fine(rng: np.random.Generator) -> Floats:
    x, y = _axes()
    x, y = x + 0.7 * _smooth(rng, 8), y + 0.7 * _smooth(rng, 8)
    row = np.floor(y / 5)
    mortar = ((y % 5) < 1.2) | (((x + 4.5 * (row % 2)) % 9) < 1.2)
    return np.where(mortar, -1.0, 0.4) + 0.2 * _white(rng)


TEXTURES: dict[str, Callable[[np.random.Generator], Floats]] = {
    "brick": lambda _: _photo("brick", 3),
    "grass": lambda _: _photo("grass", 2),
    "gravel": lambda _: _photo("gravel", 2),
    "hubble": lambda _: _photo("hubble_deep_field", 4),
    "labyrinth": _labyrinth,
    "stripes": _stripes,
    "dots": _dots,
    "weave": _weave,
    "fur": _fur,
    "facets": lambda rng: _cells(rng, 5.0, edge=False),
}

PRETEXT_TEXTURES: dict[str, Callable[[np.random.Generator], Floats]] = {
    "coins": lambda _: _photo("coins", 2),
    "text": lambda _: _photo("text", 1),
    "ihc": lambda _: _photo("ihc", 3),
    "clouds": _clouds,
    "bars": lambda rng: _stripes(rng, turn=0.0, period=5.0),
    "bands": lambda rng: _stripes(rng, turn=math.pi / 2, period=9.0, wave=1.6),
    "hatch": lambda rng: _stripes(rng, turn=-math.pi / 3, period=4.5),
    "cross-hatch": lambda rng: np.maximum(_stripes(rng, 0.5, 7.0), _stripes(rng, -0.9, 7.0)),
    "small-dots": lambda rng: _dots(rng, 5.0, 1.4),
    "holes": lambda rng: -_dots(rng, 11.0, 3.6),
    "cracks": lambda rng: _cells(rng, 8.0, edge=True),
    "checker": _checker,
    "blotches": _blotches,
    "speckle": _speckle,
    "rain": _rain,
    "ripples": _ripples,
    "grain": _grain,
    "fine-bricks": _bricks_fine,
    "soft": lambda rng: _smooth(rng, 2.2),
    "coarse-weave": lambda rng: _weave(rng, 8.0),
}
