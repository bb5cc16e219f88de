"""What a record keeps of the answers of a network, against scikit-learn and scipy."""

import numpy as np
import pytest
from scipy.special import softmax
from scipy.stats import entropy
from sklearn.metrics import brier_score_loss, log_loss

from kdbench.evaluation.answers import answers
from kdbench.testsets.arrays import TestArrays

CLASSES = 5


@pytest.fixture
def arrays() -> TestArrays:
    count, random = 200, np.random.default_rng(0)
    target = random.integers(0, CLASSES, count).astype(np.int16)
    images = np.zeros((count, 4, 4, 3), np.uint8)
    return TestArrays(images=images, targets=target, textures=target, index=np.arange(count, dtype=np.int32))


@pytest.fixture
def logits() -> np.ndarray:
    return np.random.default_rng(1).normal(0, 2, (200, CLASSES)).astype(np.float32)


def test_nll_and_brier_average_to_the_scores_of_scikit_learn(arrays: TestArrays, logits: np.ndarray) -> None:
    kept, probabilities = answers(arrays, logits, None), softmax(logits.astype(np.float64), axis=1)
    classes = list(range(CLASSES))
    brier = brier_score_loss(arrays.targets, probabilities, labels=classes, scale_by_half=False)
    assert kept.nll.mean() == pytest.approx(log_loss(arrays.targets, probabilities, labels=classes), abs=1e-6)
    assert kept.brier.mean() == pytest.approx(brier, abs=1e-6)


def test_labels_and_confidence_are_those_of_the_largest_probability(arrays: TestArrays, logits: np.ndarray) -> None:
    kept, probabilities = answers(arrays, logits, None), softmax(logits.astype(np.float64), axis=1)
    assert (kept.label == probabilities.argmax(axis=1)).all()
    np.testing.assert_allclose(kept.confidence, probabilities.max(axis=1), atol=1e-6)
    assert np.isnan(kept.kl).all()


def test_divergence_is_the_relative_entropy_of_scipy(arrays: TestArrays, logits: np.ndarray) -> None:
    teacher = np.random.default_rng(2).normal(0, 2, logits.shape).astype(np.float32)
    expected = entropy(softmax(teacher, axis=1), softmax(logits, axis=1), axis=1)
    np.testing.assert_allclose(answers(arrays, logits, teacher).kl, expected, atol=1e-5)
