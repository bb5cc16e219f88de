"""Reads a pair of networks for the open division: any CNN of timm with any network of timm that is not a CNN."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from kdbench.errors import InputError, describe_error, describe_invalid
from kdbench.plan.options import RANDOM_WEIGHTS, RunOptions
from kdbench.spec import FAMILY_NAMES, Direction, Family, OpenNetwork, OpenPair
from kdbench.testsets.spec import load_spec

if TYPE_CHECKING:  # PyTorch takes seconds to import
    from torch import nn

ROLES: Final = ("teacher", "student")


def with_pair(options: RunOptions, text: str, arguments: Sequence[str], weights: str) -> RunOptions:
    """Return options with the pair in a text, from teacher to student unless they name directions; see `read_pair`.

    Raises:
        InputError: there are arguments or weights for a pair, but no pair; or what `read_pair` raises.
    """
    if not text:
        if arguments or weights != RANDOM_WEIGHTS:
            raise InputError("--pair-argument and --pair-weights need --pair, which names the networks")
        return options
    image_size = load_spec(options.spec).track(options.track).data.image_size
    pair, direction = read_pair(text, arguments, weights, image_size)
    return replace(options, pair=pair, directions=options.directions or (direction,))


def read_pair(text: str, arguments: Sequence[str], weights: str, image_size: int) -> tuple[OpenPair, Direction]:
    """Return the pair in a text, and the direction from its teacher to its student.

    A network that timm builds for one size of images is built for that of the track.

    Args:
        text: TEACHER:STUDENT, two names of timm's models.
        arguments: of `timm.create_model`, written teacher.KEY=VALUE or student.KEY=VALUE. Values are TOML.
        weights: "timm" for timm's pretrained weights of both networks, or "random".
        image_size: of the track, pixels per side.

    Raises:
        InputError: a name or an argument is wrong, timm cannot build a network, or both are of one family.
    """
    names = text.split(":")
    if len(names) != len(ROLES) or not all(names):
        raise InputError(f"--pair {text!r} is not TEACHER:STUDENT, for example resnet18:deit_tiny_patch16_224")
    given = _arguments(arguments)
    teacher, student = (
        _network(name, given[role], weights, image_size) for name, role in zip(names, ROLES, strict=True)
    )
    families = tuple(family_of_network(network) for network in (teacher, student))
    if families[0] == families[1]:
        raise InputError(
            f"--pair {text} names two networks of one family ({FAMILY_NAMES[families[0]]}); name a CNN, and a network "
            "with attention or of tokens: the boards compare the two families"
        )
    by_family = dict(zip(families, (teacher, student), strict=True))
    return OpenPair(cnn=by_family["cnn"], vit=by_family["vit"]), _direction(*families)


def _direction(teacher: Family, student: Family) -> Direction:
    return f"{teacher}-to-{student}"  # type: ignore[return-value]


def _arguments(texts: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return the arguments in texts by role, then by key."""
    arguments: dict[str, dict[str, Any]] = {role: {} for role in ROLES}
    for text in texts:
        target, equals, value = text.partition("=")
        role, dot, key = target.partition(".")
        if not (equals and dot and key) or role not in ROLES:
            raise InputError(f"--pair-argument {text!r} is not teacher.KEY=VALUE or student.KEY=VALUE")
        try:
            arguments[role][key] = tomllib.loads(f"value = {value}")["value"]
        except ValueError:
            arguments[role][key] = value  # a text without quotation marks
    return arguments


def _network(name: str, arguments: Mapping[str, Any], weights: str, image_size: int) -> OpenNetwork:
    """Return a network for images of a size; InputError if timm has none of this name."""
    from kdbench.networks.from_timm import fixed_size

    built_for = fixed_size(name)
    sized = {"img_size": image_size} if built_for not in (None, image_size) else {}
    try:
        return OpenNetwork(
            architecture=name,
            arguments={**sized, **arguments},
            weights=None if weights == RANDOM_WEIGHTS else "timm",
        )
    except ValidationError as error:
        raise InputError(f"--pair {name}: {describe_invalid(error, OpenNetwork)}") from error


def family_of_network(network: OpenNetwork) -> Family:
    """Return the family of a network.

    Raises:
        InputError: timm cannot build it; the message contains the reason that timm gives.
    """
    from kdbench.networks.anatomy import family_of

    return family_of(_outline(network))


def _outline(network: OpenNetwork) -> "nn.Module":
    """Return a network without memory for its weights."""
    import torch

    from kdbench.networks.backbone import create_model

    try:
        with torch.device("meta"):
            return create_model(network.architecture, network.arguments, num_classes=2)
    except Exception as error:  # timm and the libraries below it raise errors of many types
        raise InputError(
            f"--pair: timm cannot build {network.words}: {describe_error(error)}; correct --pair-argument"
        ) from error
