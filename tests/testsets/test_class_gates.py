"""The gates per class and family of the single-cue sets, on tables with known answers and on the committed one."""

import numpy as np
import pandas as pd
import pytest

from tests.scoring.studies import study_module

GATES = study_module("class_gates")
LABELS = np.repeat(np.arange(10), 10)
RIGHT = LABELS


def table(changes: dict[tuple[str, str], np.ndarray]) -> pd.DataFrame:
    """Networks of both families that answer all images right, but for the given (network, set)."""
    rows: list[pd.DataFrame] = [
        GATES.rows_of_network(family, network, 1000, name, changes.get((network, name), RIGHT), LABELS)
        for family in ("cnn", "vit")
        for network in ("independent", "shape", "texture")
        for name in ("shape", "texture")
    ]
    return pd.concat(rows)


def only(classes: int) -> np.ndarray:
    """Right answers on the first classes, and answers that are spread and wrong on the others."""
    return np.where(classes > LABELS, LABELS, (LABELS + 1) % 10)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, ()),
        ({("shape", "texture"): np.where(LABELS < 3, 0, LABELS)}, ("shape, seed 1000, on texture", "draws 0.30")),
        ({("texture", "shape"): np.where(LABELS < 3, 0, LABELS)}, ("texture, seed 1000, on shape", "draws 0.30")),
        ({("texture", "texture"): np.where(LABELS < 3, 0, LABELS)}, ()),
        ({("independent", "shape"): only(7), ("independent", "texture"): only(8)}, ("on shape: 7 classes",)),
        ({("independent", "shape"): only(8)}, ("0.20 apart (V2)",)),
    ],
    ids=["all right", "shape teacher", "texture teacher", "own cue", "blind classes", "imbalance"],
)
def test_a_gate_fails_in_both_families_with_its_reason(
    changes: dict[tuple[str, str], np.ndarray], words: tuple[str, ...]
) -> None:
    sentences = list(GATES.failures(table(changes)))
    assert len(sentences) == (2 if words else 0)
    for sentence, family in zip(sentences, ("cnn", "vit"), strict=False):
        assert sentence.startswith(family)
        assert all(word in sentence for word in words)


@pytest.mark.skipif(not GATES.TABLE.exists(), reason="the table is made once, after the last change of the look")
def test_the_committed_table_passes_every_gate() -> None:
    assert list(GATES.failures(pd.read_csv(GATES.TABLE))) == []
