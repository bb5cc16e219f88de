"""`kdbench profile`: the bias profile of any network."""

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kdbench.cli.options import JsonOption, check_test_set_options, with_test_set_options
from kdbench.cli.values import one_of
from kdbench.errors import InputError
from kdbench.plan.options import TestSetOptions

if TYPE_CHECKING:
    from torch import nn

ModelOption = Annotated[
    str, typer.Option(help="Name of a model of timm, or cnn or vit for the network of the track.", show_default=False)
]
ArgumentsOption = Annotated[
    list[str] | None,
    typer.Option("--argument", help="Argument of timm.create_model, written KEY=VALUE; may be repeated."),
]
WeightsFileOption = Annotated[
    Path | None,
    typer.Option(
        help="File of the network's weights, a state dict in .safetensors or .pth (default: timm's pretrained weights)."
    ),
]
InputOption = Annotated[
    str | None,
    typer.Option(
        parser=one_of("--input", ("model", "track")),
        metavar="<model|track>",
        help="Size and normalisation of the images that the network gets: those that timm names for the model "
        "(default), or those of the track.",
    ),
]
ClassesOption = Annotated[
    Path | None,
    typer.Option(
        help="JSON file with the outputs of the network that mean each class, by name or in order, for example "
        '{"cat": [281, 282], "dog": 207}. Folders that are named by ImageNet\'s WordNet ids need none.'
    ),
]
DataOption = Annotated[
    Path | None,
    typer.Option(
        help="Folder of one's own images, CLASS/*.jpg or train/CLASS/*.jpg, instead of the track's. The track then "
        "gives their size and the kinds of test sets (default: cifar10-224; cifar10-32 for 32 pixels)."
    ),
]
MasksOption = Annotated[
    Path | None,
    typer.Option(
        help="Folder of the objects' masks for --data: PNG files with the names of the images, white on the object. "
        "Shape, texture and cue conflict need them."
    ),
]
BoardsOption = Annotated[
    Path | None, typer.Option("--results", help="Folder of records, whose networks are shown beside.")
]


@with_test_set_options(without=("diagnostics", "style"))
def profile(
    options: TestSetOptions,
    model: ModelOption,
    weights: WeightsFileOption = None,
    arguments: ArgumentsOption = None,
    input: InputOption = None,
    classes: ClassesOption = None,
    data: DataOption = None,
    masks: MasksOption = None,
    results: BoardsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the bias profile of any network.

    The profile has c with intervals on every axis and the decisions on cue-conflict images, as text with a chart.
    Weights that the network does not bring are fetched from timm's hub.
    """
    check_test_set_options(options)
    options = _for_own_images(options) if data else options
    network = _network(options, model, weights, arguments or ())
    from kdbench.profiling.class_outputs import read_classes
    from kdbench.profiling.profiling import profile_with_options

    measured = profile_with_options(
        network,
        options,
        classes=read_classes(classes) if classes else None,
        inputs=_inputs(input, model),
        name=model,
        data=data,
        masks=masks,
        results=results,
    )
    typer.echo(measured.model_dump_json(indent=1) if as_json else str(measured))


def _for_own_images(options: TestSetOptions) -> TestSetOptions:
    """Return the options with a track of photographs, unless they name one."""
    from dataclasses import replace

    from kdbench.profiling.profiling import OWN_TRACK

    return replace(options, track=OWN_TRACK) if options.track == TestSetOptions.track else options


def _network(options: TestSetOptions, name: str, weights: Path | None, arguments: Sequence[str]) -> "nn.Module":
    """Return the network on the device of the options."""
    from kdbench.networks.device import choose_device
    from kdbench.networks.from_timm import timm_model, track_model
    from kdbench.spec import FAMILIES
    from kdbench.testsets.spec import load_spec

    device = choose_device(options.device)
    for family in FAMILIES:
        if name == family:
            if weights is None:
                raise InputError(f"--model {name} has no weights of its own; give a file with --weights")
            return track_model(load_spec(options.spec).track(options.track), family, weights).to(device)
    return timm_model(name, weights=weights, arguments=dict(map(_argument, arguments))).to(device)


def _inputs(chosen: str | None, model: str) -> Any:
    """Return which images the network gets; a network of the track gets those of the track."""
    from kdbench.spec import FAMILIES

    return "track" if model in FAMILIES else chosen


def _argument(text: str) -> tuple[str, Any]:
    """Return key and value of KEY=VALUE; a value that is not TOML is a text."""
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise InputError(f"--argument {text!r} is not KEY=VALUE, for example img_size=32")
    try:
        return key, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key, value
