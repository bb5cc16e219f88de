"""Seeds and configs are read from text, or one sentence says how to write them."""

import pytest

from kdbench.errors import InputError
from kdbench.plan.options import RunOptions, TestSetOptions, parse_seeds


@pytest.mark.parametrize(("text", "seeds"), [("0", (0,)), ("0,3", (0, 3)), ("2-4", (2, 3, 4)), ("0-1,1", (0, 1))])
def test_seeds_are_read(text: str, seeds: tuple[int, ...]) -> None:
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "a", "3-1", "1,,2", "-1", "5-", "0,4-2", "0-1-2"])
def test_seeds_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="not a list of seeds"):
        parse_seeds(text)


@pytest.mark.parametrize("text", ["0-1000", "0-499,500-1000", f"0-{10**30}"])
def test_more_than_a_thousand_seeds_are_refused(text: str) -> None:
    assert len(parse_seeds("0-999")) == 1000
    with pytest.raises(InputError, match="more than 1,000 seeds"):
        parse_seeds(text)


def test_a_seed_that_no_record_can_hold_is_refused() -> None:
    assert parse_seeds(str(2**63 - 1)) == (2**63 - 1,)
    with pytest.raises(InputError, match=f"a seed over {2**63 - 1}"):
        parse_seeds(str(2**63))


def test_controls_bring_the_diagnostic_sets_unless_these_are_declined() -> None:
    assert RunOptions("synthetic", controls="basic").with_diagnostics
    assert not RunOptions("synthetic", controls="basic", diagnostics=False).with_diagnostics
    assert not RunOptions("synthetic").with_diagnostics


@pytest.mark.parametrize(
    ("device", "yes", "confirmed"), [("cpu", True, True), ("cpu", False, False), ("auto", True, False)]
)
def test_the_cpu_is_confirmed_by_name_only(device: str, yes: bool, confirmed: bool) -> None:
    assert TestSetOptions("cifar10-224", device=device, yes=yes).cpu_confirmed == confirmed
