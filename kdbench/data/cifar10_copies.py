"""Finds the files of a copy of CIFAR-10, whose contents decide which of three layouts it has.

The copy may lie one folder below the one that is given, as in a clone of the Hub's repository. Files whose names begin
with a dot are ignored: macOS leaves such files beside pictures. The letters of folders and of suffixes of pictures may
be capitals.
"""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from kdbench.data.array_types import Split
from kdbench.errors import DataError

SourceLayout = Literal["torchvision", "parquet", "image-folder"]

BATCHES = "cifar-10-batches-py"
ARCHIVE = "cifar-10-python.tar.gz"
PICTURES = (".png", ".jpg", ".jpeg")
SPLITS: tuple[Split, ...] = get_args(Split)
_ALLOWED = (
    f"a folder {BATCHES}, parquet files train-*.parquet and test-*.parquet (or train/*.parquet and test/*.parquet), "
    f"or pictures train/CLASS/* and test/CLASS/* that end in {', '.join(PICTURES[:-1])} or {PICTURES[-1]}"
)


@dataclass(frozen=True)
class StoredCopy:
    """A copy on disk: the folder that its files lie in, and their layout."""

    root: Path
    layout: SourceLayout

    def folder(self, split: Split) -> Path:
        """Return the folder that holds the classes of a split, for pictures."""
        return next(iter(_split_folders(self.root, split)), self.root / split)

    def files(self, split: Split) -> list[Path]:
        """Return the parquet files or the pictures of a split, in a fixed order.

        Raises:
            DataError: two parquet files have the same bytes.
        """
        if self.layout == "image-folder":
            return pictures_of(self.folder(split))
        files = _parquet_files(self.root, split)
        _refuse_copies(files)
        return files

    def all_files(self) -> list[Path]:
        """Return all files that the images are read from, in a fixed order; DataError as for `files`."""
        if self.layout == "torchvision":
            return sorted(path for path in (self.root / BATCHES).iterdir() if path.is_file())
        return [path for split in SPLITS for path in self.files(split)]


def find_copy(root: Path) -> StoredCopy:
    """Return the copy in a folder, or in one of the folders in it.

    Raises:
        DataError: the folder is missing or empty, or holds no known layout or several.
    """
    root = root.parent if root.name == BATCHES else root
    names = _names_in(root)
    copies = [StoredCopy(root, layout) for layout in _layouts(root)]
    if not copies:
        below = (root / name for name in names if not name.startswith("."))
        copies = [StoredCopy(folder, layout) for folder in below if folder.is_dir() for layout in _layouts(folder)]
    if len(copies) == 1:
        return copies[0]
    if copies:
        layouts = " and ".join(copy.layout for copy in copies)
        raise DataError(
            f"CIFAR-10 folder {root} is ambiguous: it has the layouts {layouts}; give a folder with only one of them"
        )
    raise DataError(f"CIFAR-10 folder {root} {_what_is_there(root, names)}")


def pictures_of(folder: Path) -> list[Path]:
    """Return the pictures in the class folders of a split, however deep they lie there, sorted."""
    return sorted(
        path
        for path in folder.glob("[!.]*/**/*")
        if path.suffix.lower() in PICTURES and not path.name.startswith(".") and path.is_file()
    )


def _names_in(root: Path) -> list[str]:
    if not root.is_dir():
        raise DataError(
            f"CIFAR-10 folder {root} does not exist or is not a folder; give a folder that holds {_ALLOWED}, "
            "or omit --data-root to download it"
        )
    try:
        return sorted(path.name for path in root.iterdir())
    except OSError as error:
        raise DataError(
            f"CIFAR-10 folder {root} cannot be read: {error.strerror}; fix its permissions or give another folder"
        ) from error


def _what_is_there(root: Path, names: Sequence[str]) -> str:
    """Return what a folder holds instead of a copy, and what to do, as the end of a sentence."""
    if ARCHIVE in names:
        return f"holds {ARCHIVE}, which is packed; unpack it with `tar -xzf {root / ARCHIVE} -C {root}`"
    if any(name.startswith("cifar-100-python") for name in names):
        return "holds CIFAR-100, another data set; give a folder that holds CIFAR-10"
    holds = f"holds {', '.join(names[:4])}{', ...' if len(names) > 4 else ''}" if names else "is empty"
    return f"{holds}; expected {_ALLOWED}"


def _layouts(root: Path) -> list[SourceLayout]:
    parquet = any(_parquet_files(root, split) for split in SPLITS)
    folders = [folder for split in SPLITS for folder in _split_folders(root, split)]
    layouts: dict[SourceLayout, bool] = {
        "torchvision": (root / BATCHES).is_dir(),
        "parquet": parquet,
        "image-folder": any(not any(folder.glob("[!.]*.parquet")) for folder in folders),
    }
    return [layout for layout, is_there in layouts.items() if is_there]


def _split_folders(root: Path, split: Split) -> list[Path]:
    """Return the folders whose name is that of a split, in any case of letters; the usual one first."""
    folders = (path for path in root.glob("[!.]*") if path.name.lower() == split and path.is_dir())
    return sorted(folders, key=lambda path: path.name, reverse=True)


def _parquet_files(root: Path, split: Split) -> list[Path]:
    return sorted((*root.glob(f"{split}-*.parquet"), *root.glob(f"{split}/[!.]*.parquet")))


def _refuse_copies(files: Sequence[Path]) -> None:
    """Raise DataError if two files have the same bytes."""
    by_size: dict[int, list[Path]] = defaultdict(list)
    for path in files:
        by_size[path.stat().st_size].append(path)
    seen: dict[bytes, Path] = {}
    for path in (path for alike in by_size.values() if len(alike) > 1 for path in alike):
        first = seen.setdefault(hashlib.sha256(path.read_bytes()).digest(), path)
        if first != path:
            raise DataError(f"{first} and {path} are the same file; keep one of them")
