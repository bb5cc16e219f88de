"""Random numbers that depend on names and positions alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdbench.randomness import below, derangements, digest_of_name, permutations, seed_of, words


def test_the_words_of_a_stream_are_pinned() -> None:
    """A change of these numbers changes every data set."""
    drawn = words("pinned", 1, first=2, count=1, per_item=4)[0]
    assert [hex(word) for word in drawn] == [
        "0x6d49eb7661450f3c",
        "0xfe15090e7e129e1b",
        "0x182ebc0eeeb23209",
        "0xc466703d4b37afc8",
    ]


@given(first=st.integers(0, 1000), count=st.integers(1, 50), per_item=st.sampled_from([4, 8, 28]))
def test_an_item_gets_the_same_words_whatever_is_drawn_with_it(first: int, count: int, per_item: int) -> None:
    together = words("stream", 7, first=first, count=count, per_item=per_item)
    alone = [words("stream", 7, first=first + k, count=1, per_item=per_item)[0] for k in range(count)]
    np.testing.assert_array_equal(together, np.stack(alone))


@pytest.mark.parametrize(
    ("first", "second"),
    [(("a", 1), ("a", "1")), (("ab", "c"), ("a", "bc")), (("a",), ("a", "")), (("a", 1, 2), ("a", 12))],
)
def test_distinct_names_are_distinct_streams(first: tuple[str | int, ...], second: tuple[str | int, ...]) -> None:
    assert digest_of_name(*first) != digest_of_name(*second)
    assert seed_of(*first) != seed_of(*second)
    assert (words(*first, first=0, count=4, per_item=4) != words(*second, first=0, count=4, per_item=4)).any()


def test_neighbouring_items_share_no_words() -> None:
    drawn = words("stream", first=0, count=1000, per_item=28)
    assert len(np.unique(drawn)) == drawn.size


def test_an_item_must_own_whole_counters() -> None:
    with pytest.raises(ValueError, match="multiple of 4"):
        words("stream", first=0, count=1, per_item=6)


@given(bound=st.integers(1, 1000))
def test_integers_stay_below_their_bound_and_reach_both_ends(bound: int) -> None:
    edges = np.array([0, 2**64 - 1], dtype=np.uint64)
    assert below(edges, bound).tolist() == [0, bound - 1]


def test_integers_are_uniform() -> None:
    drawn = below(words("uniform", first=0, count=25_000, per_item=4), 10)
    counts = np.bincount(drawn.ravel(), minlength=10)
    assert np.abs(counts - 10_000).max() < 5 * np.sqrt(10_000 * 0.9)  # five standard deviations


def test_each_row_of_permutations_holds_every_position_once() -> None:
    drawn = permutations(words("rows", first=0, count=200, per_item=16))
    assert (np.sort(drawn, axis=1) == np.arange(16)).all()


@given(size=st.sampled_from([4, 16, 64]), first=st.integers(0, 10**6))
def test_a_derangement_is_a_permutation_that_moves_every_position(size: int, first: int) -> None:
    drawn = derangements(words("rows", first=first, count=20, per_item=size))
    assert (np.sort(drawn, axis=1) == np.arange(size)).all()
    assert (drawn != np.arange(size)).all()


def test_derangements_of_four_positions_are_the_six_cycles_equally_often() -> None:
    drawn = derangements(words("cycles", first=0, count=6000, per_item=4))
    _, counts = np.unique(drawn, axis=0, return_counts=True)
    assert len(counts) == 6
    assert np.abs(counts - 1000).max() < 5 * np.sqrt(1000 * 5 / 6)


def test_seeds_fit_torch_and_depend_on_the_name_alone() -> None:
    assert seed_of("init", "synthetic", 3) == seed_of("init", "synthetic", 3)
    assert 0 <= seed_of("init", "synthetic", 3) < 2**63
