"""What a spec may say of a test set is what the code that makes it takes."""

from collections.abc import Callable
from dataclasses import MISSING, fields
from inspect import Parameter, signature
from typing import Any

import pytest

from kdbench.spec import parameters
from kdbench.spec.parameters import Keys, Value, complaint
from kdbench.testsets.locality import Slic
from kdbench.testsets.network_sets import Workshop
from kdbench.testsets.noise import noisy
from kdbench.testsets.on_device import noise_of, orders_of
from kdbench.testsets.quilting import Recipe
from kdbench.testsets.scramble import scrambled
from kdbench.testsets.shape import silhouettes
from kdbench.testsets.spec import load_spec
from kdbench.testsets.vgg import style_of, texture_of


def keywords(function: Callable[..., Any]) -> tuple[set[str], set[str]]:
    """The names of a function's keyword-only parameters: without a default, and with one."""
    named = [one for one in signature(function).parameters.values() if one.kind is Parameter.KEYWORD_ONLY]
    needed = {one.name for one in named if one.default is Parameter.empty}
    return needed, {one.name for one in named} - needed


def as_fields(kind: type) -> tuple[set[str], set[str]]:
    needed = {one.name for one in fields(kind) if one.default is MISSING}
    return needed, {one.name for one in fields(kind)} - needed


@pytest.mark.parametrize(
    ("keys", "taken"),
    [
        (parameters.SUPERPIXELS, as_fields(Slic)),
        (parameters.QUILTING, as_fields(Recipe)),
        (parameters.TILES, keywords(scrambled)),
        (parameters.TILE_TABLE, keywords(orders_of)),
        (parameters.PATCH, keywords(noisy)),
        (parameters.PATCH_TABLE, keywords(noise_of)),
        (parameters.SILHOUETTE, keywords(silhouettes)),
        (parameters.FCN_SILHOUETTE, keywords(Workshop._silhouettes)),
        (parameters.FCN_CUT_OUT, keywords(Workshop._cut_outs)),
    ],
)
def test_the_keys_are_those_that_the_recipe_takes(keys: Keys, taken: tuple[set[str], set[str]]) -> None:
    assert (set(keys.needed) - {"rendering"}, set(keys.further)) == taken


class Reading(dict[str, Any]):
    """Parameters that note which of them were asked for."""

    def __init__(self, given: dict[str, Any]) -> None:
        super().__init__(given)
        self.read: set[str] = set()

    def __getitem__(self, key: str) -> Any:
        self.read.add(key)
        return super().__getitem__(key)


@pytest.mark.parametrize(("name", "recipe"), [("texture", texture_of), ("stylized", style_of)])
def test_what_vgg_needs_is_needed(name: str, recipe: Callable[[Any], object]) -> None:
    (one,) = (one for one in load_spec().track("cifar10-224").test_sets if one.name == name)
    reading = Reading(dict(one.parameters))
    recipe(reading)
    rendering = str(one.parameters["rendering"])
    assert reading.read <= set(parameters.BY_NETWORKS[rendering].needed) == set(one.parameters)


def test_whole_numbers_are_numbers_and_not_the_other_way_round() -> None:
    assert not complaint("locality", {"segments": 64, "compactness": 10}, generated=False, resized=False)
    said = complaint("locality", {"segments": 64.5}, generated=False, resized=False)
    assert said == "key segments has the value 64.5, which is not a whole number"


def test_only_resized_images_have_tables_to_pin() -> None:
    pinned: dict[str, Value] = {"grid": 2, "table_sha256": "0" * 64}
    assert not complaint("scramble", pinned, generated=False, resized=True)
    assert "table_sha256" in complaint("scramble", pinned, generated=False, resized=False)


def test_what_the_generator_draws_has_no_parameters() -> None:
    said = complaint("texture", {"block": 8}, generated=True, resized=False)
    assert said == "unknown key block; allowed there: none"
