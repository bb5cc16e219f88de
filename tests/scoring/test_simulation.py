"""What the simulation study found, as claims about its committed table, which is the one that the script makes."""

import csv
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
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


def parts(case: str) -> dict[str, str]:
    """Return the parts of the name of a case: its number, truth, seeds and effect of backbones."""
    words = ("number", "truth", "seeds", "backbone sd", "question", "method")
    return {name: part.removeprefix(f"{name} ") for part in case.split(", ") for name in words if part.startswith(name)}


def test_the_committed_table_has_every_case(simulation: ModuleType) -> None:
    for table, cases in simulation.cases(REPETITIONS, SCORING).items():
        quantities = {"coverage": "coverage", "pairs": "coverage, ten seeds", "null": "mean uncorrected"}
        quantities |= {"ranks": "equals told apart", "words": "wrong: transfers", "proportional": "not proportional"}
        assert len(dict(committed(table, quantities[table]))) == len(cases)


def test_intervals_of_five_seeds_hold_the_truth_as_often_as_they_say() -> None:
    """Whatever backbones do: each of the five seeds starts from a pair of its own."""
    shares = {case: share for case, share in committed("coverage", "coverage") if parts(case)["seeds"] == "5"}
    assert {parts(case)["backbone sd"] for case in shares} == {"0", "0.01", "0.03"}
    assert {parts(case)["number"] for case in shares} == {"alpha", "tau", "TI", "G"}
    assert all(0.93 <= share <= 0.98 for share in shares.values())


def test_intervals_of_three_seeds_which_are_never_ranked_may_be_wider_than_they_say() -> None:
    shares = [share for case, share in committed("coverage", "coverage") if parts(case)["seeds"] == "3"]
    assert all(0.93 <= share <= 0.99 for share in shares)


def test_ten_seeds_of_five_pairs_are_too_sure_and_their_means_are_not() -> None:
    seeds, means = (dict(committed("pairs", f"coverage, {name}")) for name in ("ten seeds", "means of five pairs"))
    much = [case for case in seeds if parts(case)["backbone sd"] == "0.03"]
    assert len(much) == 2
    assert all(seeds[case] < 0.91 for case in much)
    assert all(0.94 <= share <= 0.98 for share in means.values())


def test_the_multi_bootstrap_is_too_narrow_with_three_seeds() -> None:
    narrow = [share for case, share in committed("coverage", "multi-bootstrap") if parts(case)["seeds"] == "3"]
    assert sum(narrow) / len(narrow) < 0.93


def test_equal_methods_are_told_apart_in_one_board_of_twenty_at_most_with_five_seeds() -> None:
    shares = [share for case, share in committed("ranks", "equals told apart") if parts(case)["seeds"] == "5"]
    assert len(shares) == 4
    assert all(share <= 0.05 for share in shares)


def test_without_the_image_error_ranks_would_tell_equals_apart_far_too_often() -> None:
    assert max(share for _, share in committed("ranks", "the same, image error left out")) > 0.2


@pytest.mark.parametrize("word", ["transfers", "a trace", "none larger", "overshoot or moved away"])
def test_a_word_is_wrong_in_one_board_of_twenty_at_most(word: str) -> None:
    shares = dict(committed("words", f"wrong: {word}"))
    assert len(shares) == 12
    assert all(share <= 0.055 for share in shares.values())
    assert all(share <= 0.025 for case, share in shares.items() if parts(case)["seeds"] == "5")


def test_a_proportional_row_is_rarely_labelled_and_a_probe_of_one_bit_nearly_always() -> None:
    for case, share in committed("proportional", "not proportional"):
        assert share >= 0.94 if parts(case)["method"] == "one bit" else share <= 0.05


@pytest.mark.parametrize(("name", "seeds"), [("TI", 5), ("G", 3)])
def test_the_script_makes_the_committed_numbers(simulation: ModuleType, name: str, seeds: int) -> None:
    null_bias: Callable[..., dict[str, float]] = simulation.null_bias
    mean = null_bias(name, seeds, repetitions=20 * REPETITIONS)["mean"]
    assert dict(committed("null", "mean"))[f"number {name}, seeds {seeds}"] == pytest.approx(mean, abs=6e-4)


def test_a_case_is_the_same_on_every_run_and_does_not_depend_on_others(simulation: ModuleType) -> None:
    few = {"repetitions": 20, "scoring": SCORING}
    first = simulation.coverage("tau", 0.3, 3, 0.01, **few)
    simulation.words("planted", 5, 0.01, repetitions=2, scoring=SCORING)
    assert simulation.coverage("tau", 0.3, 3, 0.01, **few) == first


def test_finished_cases_are_kept_and_the_tables_are_made_of_all_of_them(
    simulation: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []

    def case(number: int) -> dict[str, int]:
        calls.append(number)
        return {"number": number}

    monkeypatch.setattr(simulation, "cases", lambda *_: {"coverage": [partial(case, number) for number in range(3)]})
    assert simulation.simulate(2, SCORING, tmp_path, seconds=-1) is None
    assert calls == []
    assert simulation.simulate(2, SCORING, tmp_path, seconds=60) == {"coverage": [{"number": k} for k in range(3)]}
    simulation.simulate(2, SCORING, tmp_path, seconds=-1)
    assert calls == [0, 1, 2]


def test_the_one_bit_probe_is_found_out_and_a_proportional_row_is_not(simulation: ModuleType) -> None:
    few = {"repetitions": 30, "scoring": SCORING}
    cases = {method: simulation.proportional(method, 5, 0.01, **few) for method in ("0.4", "one bit")}
    assert cases["one bit"]["not proportional"] == 1
    assert cases["one bit"]["residual spread"] > 4 * cases["one bit"]["seed spread"]
    assert cases["0.4"]["not proportional"] <= 0.1


@pytest.mark.parametrize("question", ["planted", "architecture"])
def test_intervals_cover_backbones_that_are_crossed_with_seeds(simulation: ModuleType, question: str) -> None:
    name = {"planted": "tau", "architecture": "alpha"}[question]
    case = simulation.coverage(name, 0.2, 5, 0.03, repetitions=200, scoring=SCORING)
    assert 0.9 <= case["coverage"] <= 0.99
    assert abs(case["bias"]) < 0.02
