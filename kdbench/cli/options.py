"""Command-line options that several commands share, their checks, and the console that commands write to."""

import os
import sys
from collections.abc import Callable, Collection
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kdbench.cli.system import below_home
from kdbench.cli.values import number, one_of, whole_number
from kdbench.errors import InputError
from kdbench.plan.options import TestSetOptions

if TYPE_CHECKING:
    from rich.console import Console

BOARD_WIDTH = 140  # columns
DEFAULT_OUT = Path("runs")
DEFAULT_SITE = Path("leaderboard") / "site"
DEVICES = ("auto", "cpu", "cuda")
_MOST_PARTS = 10  # of the path of a method, between commas

TrackOption = Annotated[
    str, typer.Option(help="Track of the spec: synthetic, synthetic-long, cifar10-32, cifar10-32-jpeg or cifar10-224.")
]
OutOption = Annotated[Path, typer.Option(help="Folder to write the records into.")]
ResultsArgument = Annotated[Path, typer.Argument(metavar="[RESULTS]", help="Results folder, which holds the records.")]
SeveralResultsArgument = Annotated[
    list[Path],
    typer.Argument(
        metavar="[RESULTS]...",
        help="Results folders, which hold the records. If two of them have a record of one run, the first one counts.",
        default_factory=lambda: [DEFAULT_OUT],
        show_default=str(DEFAULT_OUT),
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for another program.")]
SiteOption = Annotated[Path, typer.Option(help="Folder to render the page into.")]
MethodsOption = Annotated[
    str, typer.Option(help="Names or .py files of methods, separated by commas (default: all submissions).")
]
DeviceOption = Annotated[
    str,
    typer.Option(
        parser=one_of("--device", DEVICES), metavar="<auto|cpu|cuda>", help="Device to compute on: auto, cpu or cuda."
    ),
]
SpecOption = Annotated[
    Path | None, typer.Option(help="Spec file to use instead of the shipped one; makes runs unofficial.")
]
WeightsOption = Annotated[
    Path | None,
    typer.Option(help="Folder of pretrained weights, with the file names that `kdbench data weights` lists."),
]
TimeLimitOption = Annotated[
    float,
    typer.Option(parser=number("--time-limit", least=1), metavar="<seconds>", help="Maximum seconds per run."),
]
MemoryLimitOption = Annotated[
    float,
    typer.Option(parser=number("--memory-limit", least=0.1), metavar="<GiB>", help="Maximum GiB of memory per run."),
]

TEST_SET_OPTIONS: dict[str, tuple[Any, object]] = {
    "track": (TrackOption, "synthetic"),
    "data_root": (
        Annotated[
            Path | None, typer.Option(help="Folder that holds CIFAR-10. Without this option, CIFAR-10 is downloaded.")
        ],
        None,
    ),
    "limit_test": (
        Annotated[
            int | None,
            typer.Option(
                parser=whole_number("--limit-test", least=10),
                metavar="<int>",
                help="Maximum images per test set, at least 10; makes runs unofficial.",
            ),
        ],
        None,
    ),
    "spec": (SpecOption, None),
    "diagnostics": (
        Annotated[bool, typer.Option("--diagnostics", help="Include the diagnostic test sets.")],
        False,
    ),
    "style": (
        Annotated[
            Path | None,
            typer.Option(help="Picture whose style the stylised diagnostic set takes on; makes runs unofficial."),
        ],
        None,
    ),
    "workers": (
        Annotated[
            int | None,
            typer.Option(
                parser=whole_number("--workers", least=1),
                metavar="<int>",
                help="Number of runs at a time, on the CPU or on each GPU (default: one per CPU core; on a GPU as many "
                "as its memory and the cores allow, at most 4).",
            ),
        ],
        None,
    ),
    "device": (DeviceOption, "auto"),
    "weights_dir": (WeightsOption, None),
    "yes": (
        Annotated[
            bool,
            typer.Option("--yes", help="With --device cpu: do on the CPU what needs a GPU, although that is slow."),
        ],
        False,
    ),
}
"""By field of `TestSetOptions`: the option that fills it, and its default."""


def with_test_set_options(*, without: Collection[str] = ()) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator that declares the options of `TEST_SET_OPTIONS` for a command.

    The command gets their values as one `TestSetOptions`, which must be its first parameter. On the command line,
    `--track` comes first, then the command's own options, then the other shared ones.

    Args:
        without: fields of options that the command does not have.
    """
    declared = {field: option for field, option in TEST_SET_OPTIONS.items() if field not in without}
    shared = [
        Parameter(field, Parameter.KEYWORD_ONLY, annotation=annotation, default=default)
        for field, (annotation, default) in declared.items()
    ]

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        _, *own = signature(command).parameters.values()
        own = [parameter.replace(kind=Parameter.KEYWORD_ONLY) for parameter in own]

        @wraps(command)
        def run(**values: Any) -> None:
            options = TestSetOptions(**{field: values.pop(field) for field in declared})
            command(options, **values)

        parameters = [shared[0], *own, *shared[1:]]
        run.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return run

    return decorate


def split_names(text: str) -> tuple[str, ...]:
    """Return the names in a text that separates them by commas.

    A comma that belongs to the path of a file separates nothing, and `~` is the user's home directory.
    """
    parts, names = text.split(","), list[str]()
    while parts:
        joined = [below_home(",".join(parts[:count]).strip()) for count in range(1, _MOST_PARTS + 1)]
        name = next((path for path in joined if _is_method_file(path)), joined[0])
        del parts[: joined.index(name) + 1]
        names += [name] if name else []
    return tuple(names)


def _is_method_file(text: str) -> bool:
    """Return whether a text is the path of a method file that exists."""
    try:
        return text.endswith(".py") and Path(text).is_file()
    except OSError:  # it is longer than a path may be
        return False


def command_line() -> str:
    """Return the command as the user gave it."""
    return " ".join(["kdbench", *sys.argv[1:]])


def make_console() -> "Console":
    """Return a console on standard output; where that is not a terminal, it is wide enough for a board."""
    from rich.console import Console

    free = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    return Console(soft_wrap=True, width=BOARD_WIDTH if free else None)


def warn_of(*sentences: str) -> None:
    """Print warnings on standard error."""
    for sentence in sentences:
        typer.echo(f"kdbench: warning: {sentence}", err=True)


def check_can_write(folder: Path, option: str) -> None:
    """Make the folder for what a command writes at its end; InputError if it cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=folder, prefix=".writable."):
            pass
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error.strerror}; choose another with {option}") from error


def check_device(device: str) -> None:
    """Raise InputError if the value of --device is "cuda" and this machine has no GPU."""
    if device == "cuda":
        from kdbench.networks.device import choose_device  # PyTorch takes seconds to import

        if choose_device("auto") != "cuda":
            raise InputError("--device cuda: PyTorch finds no GPU here; give --device cpu, or see `nvidia-smi`")


def check_test_set_options(options: TestSetOptions) -> None:
    """Raise InputError if this machine lacks the device, the folder or the picture that an option names."""
    check_device(options.device)
    folder, picture = options.weights_dir, options.style
    if folder is not None and not folder.is_dir():
        raise InputError(f"--weights-dir {folder} is not a folder; `kdbench data weights` lists what belongs there")
    if picture is not None and not picture.is_file():
        raise InputError(f"--style {picture} is not a file; give the path of a picture")
