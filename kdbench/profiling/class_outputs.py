"""Which outputs of a network mean which class of the test images."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kdbench.errors import InputError
from kdbench.networks.given import OutputsByClass

Outputs = int | Sequence[int]
Classes = Mapping[str, Outputs] | Sequence[Outputs]
"""The outputs of a network by class of the test images: by the name of the class, or in the order of the classes."""
IMAGENET_OUTPUTS = 1000


def outputs_by_class(classes: Classes, names: Sequence[str]) -> OutputsByClass:
    """Return the outputs of each class.

    Args:
        classes: as the user gives them.
        names: of the classes of the test images, in order.

    Raises:
        InputError: a class is missing or unknown, or has no output.
    """
    if isinstance(classes, Mapping):
        unknown, missing = set(classes) - set(names), [name for name in names if name not in classes]
        if unknown or missing:
            wrong = f"have the unknown class {min(unknown)!r}" if unknown else f"lack the class {missing[0]!r}"
            raise InputError(f"`classes` {wrong}; the classes are {_listed(names)}")
        classes = [classes[name] for name in names]
    if isinstance(classes, str) or len(classes) != len(names):
        raise InputError(f"`classes` must have one entry for each of the {len(names)} classes: {_listed(names)}")
    return tuple(_outputs(entry, name) for entry, name in zip(classes, names, strict=True))


def _outputs(entry: Any, name: str) -> tuple[int, ...]:
    outputs = (entry,) if isinstance(entry, int) else tuple(entry) if isinstance(entry, Sequence) else ()
    if not outputs or not all(isinstance(output, int) and output >= 0 for output in outputs):
        raise InputError(f"`classes` have {entry!r} for the class {name!r}; give an output of the network, or several")
    return outputs


def known_outputs(names: Sequence[str]) -> dict[int, OutputsByClass]:
    """Return the outputs of each class in networks of ImageNet-1k, by their number of outputs.

    There is nothing to return unless all classes are named by the WordNet ids of ImageNet-1k, such as n01440764.
    """
    from timm.data import ImageNetInfo

    places = {synset: place for place, synset in enumerate(ImageNetInfo().label_names())}
    if not all(name in places for name in names):
        return {}
    return {IMAGENET_OUTPUTS: tuple((places[name],) for name in names)}


def read_classes(path: Path) -> Classes:
    """Return the classes in a JSON file: an object by class name, or a list in the order of the classes.

    Raises:
        InputError: the file cannot be read or is not such JSON.
    """
    try:
        classes = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"--classes {path} cannot be read as JSON: {error}; correct the file") from error
    if not isinstance(classes, dict | list):
        raise InputError(f'--classes {path} holds neither an object nor a list; write {{"cat": [281, 282], ...}}')
    return classes


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
