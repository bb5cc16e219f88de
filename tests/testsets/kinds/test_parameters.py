"""The parameters that a kind declares are those that the code which makes its images takes."""

from collections.abc import Callable
from dataclasses import MISSING, fields
from inspect import Parameter as Argument
from inspect import signature
from typing import Any

import pytest

from kdbench.errors import SpecError
from kdbench.spec import TestSet
from kdbench.testsets.kinds import check_parameters, kind_of
from kdbench.testsets.kinds.noise_patch import noise_table, noisy
from kdbench.testsets.kinds.silhouette import silhouettes
from kdbench.testsets.kinds.superpixels import Slic
from kdbench.testsets.kinds.tiles import scrambled, tile_table
from kdbench.testsets.quilting import Quilting
from kdbench.testsets.spec import load_spec
from kdbench.testsets.vgg import style_of, texture_of

SPEC = load_spec()
SETS = {(name, test_set.name): test_set for name, track in SPEC.tracks.items() for test_set in track.test_sets}


def arguments(function: Callable[..., Any]) -> tuple[set[str], set[str]]:
    """The names of a function's keyword-only arguments: without a default, and with one."""
    named = [
        parameter for parameter in signature(function).parameters.values() if parameter.kind is Argument.KEYWORD_ONLY
    ]
    required = {parameter.name for parameter in named if parameter.default is Argument.empty}
    return required, {parameter.name for parameter in named} - required


def settings(made: type) -> tuple[set[str], set[str]]:
    """The names of a dataclass's fields: without a default, and with one."""
    required = {field.name for field in fields(made) if field.default is MISSING}
    return required, {field.name for field in fields(made)} - required


@pytest.mark.parametrize(
    ("track", "name", "taken"),
    [
        ("synthetic", "locality", settings(Slic)),
        ("synthetic", "scramble-2", arguments(scrambled)),
        ("cifar10-224", "scramble-2", arguments(tile_table)),
        ("synthetic", "noise", arguments(noisy)),
        ("cifar10-224", "noise", arguments(noise_table)),
        ("cifar10-32", "texture", settings(Quilting)),
        ("cifar10-32", "cue-conflict", settings(Quilting)),
        ("cifar10-32", "shape-white", arguments(silhouettes)),
    ],
)
def test_declared_parameters_are_those_that_are_taken(track: str, name: str, taken: tuple[set[str], set[str]]) -> None:
    data = SPEC.track(track).data
    declared = kind_of(SETS[track, name], data).parameters(data)
    required = {key for key, parameter in declared.items() if parameter.required}
    assert (required - {"rendering"}, declared.keys() - required) == taken


class Reading(dict[str, Any]):
    """Parameters that note which of them were read."""

    def __init__(self, given: dict[str, Any]) -> None:
        super().__init__(given)
        self.read: set[str] = set()

    def __getitem__(self, key: str) -> Any:
        self.read.add(key)
        return super().__getitem__(key)


@pytest.mark.parametrize(("name", "read_by"), [("texture", texture_of), ("stylized", style_of)])
def test_what_vgg_reads_is_required(name: str, read_by: Callable[[Any], object]) -> None:
    test_set, data = SETS["cifar10-224", name], SPEC.track("cifar10-224").data
    reading = Reading(dict(test_set.parameters))
    read_by(reading)
    declared = kind_of(test_set, data).parameters(data)
    assert reading.read <= declared.keys() == set(test_set.parameters)
    assert all(parameter.required for parameter in declared.values())


def changed(track: str, name: str, **parameters: int | float | str) -> TestSet:
    """A set of the spec with other parameters."""
    return SETS[track, name].model_copy(update={"parameters": parameters})


@pytest.mark.parametrize(
    ("track", "test_set", "reason"),
    [
        ("synthetic", changed("synthetic", "texture", block=8), "unknown key block; allowed there: none"),
        ("cifar10-32", changed("cifar10-224", "scramble-2", grid=2, table_sha256="0"), "unknown key table_sha256"),
        (
            "cifar10-32",
            changed("cifar10-32", "shape-white", foreground=1),
            "key rendering is missing; allowed are sil",
        ),
        ("cifar10-32", changed("cifar10-32", "texture", rendering="x"), "'x'; allowed there: fcn-silhouette, fcn-cut"),
        ("cifar10-32", changed("cifar10-32", "noise", size=8, rendering="x"), "unknown key rendering"),
        ("cifar10-224", changed("cifar10-224", "texture", rendering="vgg19-texture", place="corner"), "field, object"),
    ],
    ids=["texture block", "scramble table", "shape rendering", "texture rendering", "noise rendering", "place"],
)
def test_wrong_parameters_of_a_set_are_refused(track: str, test_set: TestSet, reason: str) -> None:
    with pytest.raises(SpecError, match=f"test_sets: parameters of {test_set.name}: .*{reason}"):
        check_parameters(test_set, SPEC.track(track).data)
