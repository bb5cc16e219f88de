"""Command-line options that several commands share, and the console that they write to."""

import os
import sys
from collections.abc import Callable
from functools import wraps
from inspect import signature
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_type_hints

import typer

from kdbench.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

Options = TypeVar("Options")
BOARD_WIDTH = 140  # columns

TrackOption = Annotated[str, typer.Option(help="Track of the spec: synthetic, cifar10-32 or cifar10-224.")]
OutOption = Annotated[Path, typer.Option(help="Folder of the records.")]
SiteOption = Annotated[Path, typer.Option(help="Folder of the rendered page.")]
MethodsOption = Annotated[str, typer.Option(help="Method names or files, with commas (default: all submissions).")]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
SpecOption = Annotated[Path | None, typer.Option(help="Another spec file than the shipped one (unofficial).")]
DataRootOption = Annotated[Path | None, typer.Option(help="Folder that holds CIFAR-10; without it, it is downloaded.")]
LimitTestOption = Annotated[int | None, typer.Option(min=10, help="Images a test set, at most (unofficial).")]
WeightsOption = Annotated[
    Path | None, typer.Option(help="Folder of pretrained weights, as `kdbench data weights` names the files.")
]
StyleOption = Annotated[
    Path | None, typer.Option(help="Picture in whose style the diagnostic stylised set is rendered (unofficial).")
]
YesOption = Annotated[
    bool, typer.Option("--yes", help="With --device cpu: do on a processor what wants a GPU, however long it takes.")
]
WorkersOption = Annotated[int | None, typer.Option(min=1, help="Jobs at a time (default: one a core, or one a GPU).")]


def takes(kind: type[Options]) -> Callable[[Callable[[Options], None]], Callable[..., None]]:
    """Lets a command take a dataclass of options: typer sees a parameter for each of its fields."""

    def spread(command: Callable[[Options], None]) -> Callable[..., None]:
        @wraps(command)
        def with_parameters(**values: Any) -> None:
            command(kind(**values))

        with_parameters.__signature__ = signature(kind)  # type: ignore[attr-defined]
        with_parameters.__annotations__ = get_type_hints(kind, include_extras=True)
        return with_parameters

    return spread


def make_console() -> "Console":
    """Standard output, for people; where it is no terminal, wide enough for a board."""
    from rich.console import Console

    free = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    return Console(soft_wrap=True, width=BOARD_WIDTH if free else None)


def check_can_write(folder: Path, option: str) -> None:
    """Makes a folder for what a command writes at its end; InputError if nothing can be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=folder, prefix=".writable."):
            pass
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error.strerror}; choose another with {option}") from error


def check_device(device: str) -> None:
    """InputError if it is no device, or one that is not here."""
    if device not in ("auto", "cpu", "cuda"):
        raise InputError(f"--device {device!r} is none of: auto, cpu, cuda")
    if device == "cuda":
        from kdbench.networks.device import choose_device  # PyTorch takes seconds to import

        if choose_device("auto") != "cuda":
            raise InputError("--device cuda: PyTorch finds no GPU here; take --device cpu, or see `nvidia-smi`")


def check_weights_dir(folder: Path | None) -> None:
    """Raise InputError if the folder of `--weights-dir` is not a folder."""
    if folder is not None and not folder.is_dir():
        raise InputError(f"--weights-dir {folder} is not a folder; `kdbench data weights` lists what belongs there")
