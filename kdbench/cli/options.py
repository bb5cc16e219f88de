"""Command-line options that several commands share, their checks, and the console that commands write to."""

import os
import sys
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Annotated

import typer

from kdbench.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

BOARD_WIDTH = 140  # columns
DEFAULT_OUT = Path("runs")
DEFAULT_SITE = Path("leaderboard") / "site"

TrackOption = Annotated[str, typer.Option(help="Track of the spec: synthetic, cifar10-32 or cifar10-224.")]
OutOption = Annotated[Path, typer.Option(help="Folder of the records.")]
SiteOption = Annotated[Path, typer.Option(help="Folder to render the page into.")]
MethodsOption = Annotated[
    str, typer.Option(help="Names or .py files of methods, separated by commas (default: all submissions).")
]
DeviceOption = Annotated[str, typer.Option(help="Device to compute on: auto, cpu or cuda.")]
SpecOption = Annotated[
    Path | None, typer.Option(help="Spec file to use instead of the shipped one; makes runs unofficial.")
]
DataRootOption = Annotated[
    Path | None, typer.Option(help="Folder that holds CIFAR-10. Without this option, CIFAR-10 is downloaded.")
]
LimitTestOption = Annotated[
    int | None, typer.Option(min=10, help="Maximum images per test set; makes runs unofficial.")
]
WeightsOption = Annotated[
    Path | None,
    typer.Option(help="Folder of pretrained weights, with the file names that `kdbench data weights` lists."),
]
StyleOption = Annotated[
    Path | None,
    typer.Option(help="Picture whose style the stylised diagnostic set takes on; makes runs unofficial."),
]
YesOption = Annotated[
    bool,
    typer.Option(
        "--yes", help="Together with --device cpu: run work that needs a GPU on the CPU, although it is slow."
    ),
]
WorkersOption = Annotated[
    int | None, typer.Option(min=1, help="Number of jobs at a time (default: one per CPU core, or one per GPU).")
]


def split_names(text: str) -> tuple[str, ...]:
    """Return the names in a text that separates them by commas."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def command_line() -> str:
    """Return the command as the user gave it."""
    return " ".join(["kdbench", *sys.argv[1:]])


def make_console() -> "Console":
    """Return a console on standard output; where that is not a terminal, it is wide enough for a board."""
    from rich.console import Console

    free = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    return Console(soft_wrap=True, width=BOARD_WIDTH if free else None)


def check_can_write(folder: Path, option: str) -> None:
    """Make the folder for what a command writes at its end; InputError if it cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=folder, prefix=".writable."):
            pass
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error.strerror}; choose another with {option}") from error


def check_device(device: str) -> None:
    """Raise InputError if the value of --device is not a device, or one that this machine lacks."""
    if device not in ("auto", "cpu", "cuda"):
        raise InputError(f"--device {device!r} is none of: auto, cpu, cuda")
    if device == "cuda":
        from kdbench.networks.device import choose_device  # PyTorch takes seconds to import

        if choose_device("auto") != "cuda":
            raise InputError("--device cuda: PyTorch finds no GPU here; give --device cpu, or see `nvidia-smi`")


def check_weights_dir(folder: Path | None) -> None:
    """Raise InputError if the value of --weights-dir is not a folder."""
    if folder is not None and not folder.is_dir():
        raise InputError(f"--weights-dir {folder} is not a folder; `kdbench data weights` lists what belongs there")


def check_style(picture: Path | None) -> None:
    """Raise InputError if the value of --style is not a file."""
    if picture is not None and not picture.is_file():
        raise InputError(f"--style {picture} is not a file; give the path of a picture")
