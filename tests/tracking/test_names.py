"""Names of runs in MLflow."""

from typing import Any

import pytest

from kdbench.tracking.names import distinct_names, features_of
from tests.examples import DIGESTS, a_record


def names(*changes: dict[str, Any]) -> list[str]:
    """Return the names of records that differ from one another in these fields."""
    return distinct_names([features_of(a_record(**each)) for each in changes])


def test_a_run_alone_is_called_by_its_method() -> None:
    assert names({}, {"method": "crd", "seed": 7}) == ["lm", "crd"]


def test_runs_are_named_by_what_differs_and_by_nothing_else() -> None:
    assert names({"seed": 0}, {"seed": 1}) == ["lm, seed 0", "lm, seed 1"]
    warm, cold = ({"config": {"temperature": value, "distill_weight": 0.9}} for value in (4.0, 1.0))
    assert names(warm, cold) == ["lm, temperature 4.0", "lm, temperature 1.0"]
    shape, texture = {"teacher_bias": "shape"}, {"teacher_bias": "texture"}
    assert names(shape, texture) == ["lm, shape teacher", "lm, texture teacher"]


def test_what_follows_from_the_direction_is_not_in_the_name() -> None:
    to_vit = {"config": {"temperature": 4.0}}
    to_cnn = {"config": {"temperature": 2.0}, "direction": "vit-to-cnn", "family": "cnn"}
    assert names(to_vit, to_cnn) == ["lm, CNN to ViT", "lm, ViT to CNN"]


def test_teachers_are_named_by_family_and_bias() -> None:
    teacher: dict[str, Any] = {
        "role": "teacher",
        "method": "teacher",
        "direction": None,
        "teacher_run_id": None,
        "config": {},
    }
    shape, texture = teacher | {"teacher_bias": "shape"}, teacher | {"teacher_bias": "texture"}
    assert names(shape, texture, shape | {"family": "cnn"}) == [
        "ViT teacher, shape",
        "ViT teacher, texture",
        "CNN teacher",
    ]


def test_a_setting_that_one_run_lacks_tells_them_apart() -> None:
    assert names({"config": {}}, {"config": {"beta": 1}}) == ["lm", "lm, beta 1"]


@pytest.mark.parametrize(
    ("change", "ending"),
    [
        ({"digests": DIGESTS.model_copy(update={"code": "d" * 64})}, "code dddddddd"),
        ({"digests": DIGESTS.model_copy(update={"testsets": "d" * 64})}, "test sets dddddddd"),
        ({"unofficial": ("--epochs 1",)}, "--epochs 1"),
        ({"compiled": True}, "compiled"),
        ({"run_id": "other"}, "run other"),
    ],
)
def test_runs_that_differ_in_nothing_else_are_told_apart(change: dict[str, Any], ending: str) -> None:
    first, second = names({}, change)
    assert second == f"lm, {ending}"
    assert first != second
