"""Scramble: square tiles change places. Each image has its own permutation, which leaves no tile in its place.

Stored images are scrambled in the store. On a track that resizes its images, the evaluation moves the tiles on the
device: the store holds a table of permutations whose digest the spec pins.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kdbench.data.array_types import AnyArray, Images, Integers
from kdbench.randomness import derangements
from kdbench.spec import Data, TestSet, Track
from kdbench.spec.parameters import Parameter, Parameters
from kdbench.testsets.arrays import Manipulation
from kdbench.testsets.draws import compare_with_pinned, image_words
from kdbench.testsets.kinds.kind import Kind, variant
from kdbench.testsets.plans import BuildPlan, ChunkPlan, TablePlan, Workshop

if TYPE_CHECKING:
    from torch import Tensor

PERMUTATIONS = 3  # per image and grid, including that of the primary set
TABLE_IMAGES = 10000  # in the whole test set; a limited build uses some rows of the table


class Tiles(Kind):
    axes = ("scramble",)

    def parameters(self, data: Data) -> Parameters:
        pinned = {"table_sha256": Parameter(str, required=False)} if data.resize is not None else {}
        return {"grid": Parameter(int, least=1), "permutation": Parameter(int, required=False), **pinned}

    def plan(self, test_set: TestSet, workshop: Workshop) -> BuildPlan:
        clean, data = workshop.clean, workshop.track.data
        parameters: dict[str, Any] = dict(test_set.parameters)
        if data.resize is None:
            arrays = (clean.images, clean.ids)
            return ChunkPlan(answers=clean.answers(), function=scrambled, arrays=arrays, keywords=parameters)
        order = tile_table(clean.ids, data.image_size, **parameters).order
        return TablePlan(answers=clean.answers(), tables={"order": order})

    def caption(self, test_set: TestSet) -> str:
        grid = test_set.parameters.get("grid")
        return f"The image is cut into {grid}×{grid} tiles that change places. Detail remains, but the layout is lost."

    def title(self, test_set: TestSet, axis_name: str) -> str:
        grid = test_set.parameters.get("grid")
        return f"{axis_name} {grid}×{grid}"

    def tables(self, data: Data) -> tuple[str, ...]:
        return ("order",) if data.resize is not None else ()

    def manipulation(self, test_set: TestSet, arrays: Mapping[str, AnyArray]) -> "TileOrders":
        return TileOrders(int(test_set.parameters["grid"]), arrays["order"])

    def variants(self, primary: TestSet, track: Track) -> Iterator[TestSet]:
        """Yield sets with further permutations, without the digest that pins the table of the primary set."""
        unpinned = {key: value for key, value in primary.parameters.items() if key != "table_sha256"}
        without_digest = primary.model_copy(update={"parameters": unpinned})
        return (variant(without_digest, f"permutation-{k}", permutation=k) for k in range(1, PERMUTATIONS))


def permuted_sets(track: Track) -> dict[str, tuple[str, ...]]:
    """Return, by primary scramble set, the names of the sets that hold its images under `PERMUTATIONS` permutations."""
    return {
        primary.name: (primary.name, *(permuted.name for permuted in Tiles().variants(primary, track)))
        for primary in track.primary_sets("scramble")
    }


def scrambled(images: Images, ids: Integers, *, grid: int, permutation: int = 0) -> Images:
    """Move the tiles of a `grid` x `grid` partition.

    Args:
        images: (n, H, W, 3) uint8, H and W multiples of `grid`.
        ids: (n,) positions in the whole data set, which determine each image's permutation.
        grid: tiles per side, at least 2.
        permutation: number of the permutation that is drawn for each image; sets that differ in it are independent.
    """
    count, height, width, channels = images.shape
    if grid < 2 or height % grid or width % grid:
        raise ValueError(f"{height}x{width} pixels cannot be cut into a grid of {grid}x{grid} tiles")
    order = tile_orders(ids, grid=grid, permutation=permutation)
    tiles = images.reshape(count, grid, height // grid, grid, width // grid, channels).swapaxes(2, 3)
    flat = tiles.reshape(count, grid * grid, height // grid, width // grid, channels)
    moved = flat[np.arange(count)[:, None], order].reshape(tiles.shape)
    return moved.swapaxes(2, 3).reshape(images.shape)


def tile_orders(ids: Integers, *, grid: int, permutation: int = 0) -> Integers:
    """Return (n, grid * grid) for each place of an image the tile that it gets, never its own; see `scrambled`."""
    stream = ("scramble", grid, permutation) if permutation else ("scramble", grid)
    return derangements(image_words(ids, *stream, per_item=grid * grid)[:, : grid * grid])


@dataclass(frozen=True)
class TileOrders(Manipulation):
    """New places for the tiles of a `grid` x `grid` partition: place p of image i gets tile `order[i, p]`.

    Attributes:
        grid: tiles per side.
        order: (n, grid * grid) uint8 or wider.
    """

    grid: int
    order: NDArray[np.integer]

    @property
    def arrays(self) -> tuple[NDArray[np.integer], ...]:
        return (self.order,)

    def apply(self, pixels: "Tensor", rows: slice | Integers) -> "Tensor":
        import torch

        order = torch.from_numpy(self.order[rows].astype(np.int64)).to(pixels.device)
        count, channels, height, width = pixels.shape
        grid, tile = self.grid, (height // self.grid, width // self.grid)
        tiles = pixels.reshape(count, channels, grid, tile[0], grid, tile[1]).permute(0, 2, 4, 1, 3, 5)
        flat = tiles.reshape(count, grid * grid, channels, *tile)
        moved = flat[torch.arange(count, device=pixels.device)[:, None], order]
        square = moved.reshape(count, grid, grid, channels, *tile)
        return square.permute(0, 3, 1, 4, 2, 5).reshape(pixels.shape)


def tile_table(
    ids: Integers, image_size: int, *, grid: int, permutation: int = 0, table_sha256: str | None = None
) -> TileOrders:
    """Return the tile orders of images, which are rows of a table. If the spec pins its digest, the table is verified.

    Args:
        ids: (n,) positions in the whole data set.
        image_size: pixels per side; a multiple of `grid`.
        grid: tiles per side.
        permutation: number of the permutation that is drawn for each image.
        table_sha256: of the whole table.

    Raises:
        DataError: the table is not the pinned one.
        ValueError: images of this size cannot be cut into this number of tiles.
    """
    if grid < 2 or image_size % grid:
        raise ValueError(f"{image_size} pixels cannot be cut into {grid} tiles per side")
    table = _whole_table(grid, permutation)
    compare_with_pinned(f"the permutations of {grid}x{grid} tiles", table, table_sha256)
    return TileOrders(grid, table[ids])


@cache
def _whole_table(grid: int, permutation: int) -> NDArray[np.uint8]:
    return tile_orders(np.arange(TABLE_IMAGES), grid=grid, permutation=permutation).astype(np.uint8)
