"""The gates of the synthetic track that need training, on tables with known answers and on the committed one."""

import numpy as np
import pandas as pd
import pytest

from tests.scoring.studies import study_module

GATES = study_module("gates")
LABELS = np.repeat(np.arange(10), 100)
WRONG = (LABELS + 1) % 10
GOOD = np.where(np.arange(1000) % 100 < 95, LABELS, WRONG)
NETWORKS = ("independent", "shape", "texture", "shape-only", "texture-only")
Answers = dict[tuple[str, str], np.ndarray]


def table(changes: Answers) -> pd.DataFrame:
    """Networks of both families with answers that pass every gate, but for the given (network, set)."""
    passing: Answers = {("shape", "texture"): WRONG, ("texture", "shape"): WRONG} | changes
    rows: list[pd.DataFrame] = [
        GATES.rows_of_network(family, network, 1000, name, passing.get((network, name), GOOD), LABELS)
        for family in ("cnn", "vit")
        for network in NETWORKS
        for name in ("clean", "shape", "texture")
    ]
    return pd.concat(rows)


def right(share: float) -> np.ndarray:
    """Answers of which a share is right in every class, and the others are spread and wrong."""
    return np.where(np.arange(1000) % 100 < 100 * share, LABELS, WRONG)


def only(classes: int) -> np.ndarray:
    """Right answers on the first classes, and answers that are spread and wrong on the others."""
    return np.where(classes > LABELS, LABELS, WRONG)


MAGNET = np.where(LABELS < 3, 0, WRONG)  # of the first class


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, ""),
        ({("shape-only", "shape"): right(0.89)}, "V1, shape"),
        ({("texture-only", "texture"): right(0.89)}, "V1, texture"),
        ({("independent", "shape"): right(0.84)}, "V2"),
        ({("independent", "clean"): right(1.0)}, "V4, clean accuracy of the independents"),
        ({("texture", "clean"): right(0.82)}, "V4, clean accuracy of a planted teacher"),
        ({("shape", "texture"): right(0.65), ("texture", "shape"): right(0.65)}, "V4, distance"),
        ({("shape", "texture"): MAGNET}, "a shape teacher on `texture`"),
        ({("texture", "shape"): MAGNET}, "a texture teacher on `shape`"),
        ({("independent", "shape"): only(7), ("independent", "texture"): only(8)}, "classes of `shape`"),
        ({("independent", "shape"): only(8), ("independent", "texture"): only(7)}, "classes of `texture`"),
    ],
    ids=lambda value: value.replace(" ", "-") or "none" if isinstance(value, str) else "",
)
def test_a_gate_is_missed_for_its_reason_alone(changes: Answers, words: str) -> None:
    missed = [gate.gate for gate in GATES.gates(table(changes)) if not gate.passed]
    assert len(missed) == (1 if words else 0)
    assert all(words in gate for gate in missed)


def test_a_gate_at_its_limit_is_passed() -> None:
    changes = {("shape-only", "shape"): right(0.90), ("texture", "clean"): right(0.83)}
    assert all(gate.passed for gate in GATES.gates(table(changes)))


def test_one_family_is_enough_to_miss_a_gate() -> None:
    rows = table({})
    better = table({("shape-only", "shape"): right(0.5)})
    mixed = pd.concat([rows[rows.family == "cnn"], better[better.family == "vit"]])
    missed = [gate for gate in GATES.gates(mixed) if not gate.passed]
    assert [gate.measured for gate in missed] == ["cnn 0.950; vit 0.500"]


def test_the_committed_table_has_every_network_class_and_set() -> None:
    rows = pd.read_csv(GATES.TABLE)
    assert set(rows.seed) >= {1000, 1001, 1002}
    for seed, group in rows.groupby("seed"):
        kinds = set(NETWORKS) if seed == rows.seed.min() else {"independent", "shape", "texture"}
        assert set(group.network) == kinds
        assert len(group) == 2 * len(kinds) * 3 * 10


def test_the_committed_page_follows_from_the_committed_table() -> None:
    assert GATES.as_text(pd.read_csv(GATES.TABLE)) == GATES.PAGE.read_text()


def test_the_committed_table_passes_every_gate() -> None:
    assert [gate.gate for gate in GATES.gates(pd.read_csv(GATES.TABLE)) if not gate.passed] == []
