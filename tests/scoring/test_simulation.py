"""What the simulation study found, as claims about its committed table, which is the one that the script makes."""

import csv
from collections.abc import Callable, Iterator
from types import ModuleType

import pytest

from kdbench.resources import shipped
from kdbench.testsets.spec import load_spec
from tests.scoring.studies import study_module

SCORING = load_spec().scoring
REPETITIONS = 2000


@pytest.fixture(scope="module")
def simulation() -> ModuleType:
    return study_module("simulation")


def committed(table: str, quantity: str) -> Iterator[tuple[str, float]]:
    """Cases and values of one column of a table."""
    with shipped("benchmark", "v1", "validity", "simulation.csv").open() as file:
        for row in csv.DictReader(file):
            if (row["table"], row["quantity"]) == (table, quantity) and row["value"]:
                yield row["case"], float(row["value"])


def test_the_committed_table_has_every_case() -> None:
    cases = dict(committed("coverage", "coverage"))
    assert len(cases) == 27
    assert {case.split(", ")[0] for case in cases} == {"number tau", "number TI", "number G"}


def test_intervals_hold_the_truth_as_often_as_they_say_or_a_little_more() -> None:
    """Three seeds, which are never ranked, may be wider than they say."""
    for case, share in committed("coverage", "coverage"):
        assert 0.93 <= share <= (0.99 if case.endswith("seeds 3") else 0.98), case


def test_the_multi_bootstrap_is_too_narrow_with_three_seeds() -> None:
    narrow = [share for case, share in committed("coverage", "multi-bootstrap") if case.endswith("seeds 3")]
    assert sum(narrow) / len(narrow) < 0.93


def test_equal_methods_are_told_apart_in_one_board_of_twenty_at_most() -> None:
    assert all(share <= 0.06 for _, share in committed("ranks", "equals told apart"))


def test_without_the_image_error_ranks_would_tell_equals_apart_far_too_often() -> None:
    assert max(share for _, share in committed("ranks", "the same, image error left out")) > 0.2


def test_a_method_without_transfer_gets_the_badge_in_one_board_of_twenty_at_most() -> None:
    assert all(share <= 0.06 for _, share in committed("ranks", "wrong badge"))


@pytest.mark.parametrize(("name", "seeds"), [("TI", 5), ("G", 3)])
def test_the_script_makes_the_committed_numbers(simulation: ModuleType, name: str, seeds: int) -> None:
    null_bias: Callable[..., dict[str, float]] = simulation.null_bias
    mean = null_bias(name, seeds, 20 * REPETITIONS)["mean"]
    assert dict(committed("null", "mean"))[f"number {name}, seeds {seeds}"] == pytest.approx(mean, abs=6e-4)


def test_a_case_is_the_same_on_every_run_and_does_not_depend_on_others(simulation: ModuleType) -> None:
    first = simulation.coverage("tau", 0.3, 3, 20, SCORING)
    simulation.ranks((0.2, 0.4), 5, 2, SCORING)
    assert simulation.coverage("tau", 0.3, 3, 20, SCORING) == first
