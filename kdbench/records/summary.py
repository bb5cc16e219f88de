"""The summary of a network's answers that a record shows beside them."""

import numpy as np

from kdbench.records.schema import Predictions, SetResult


def summarise(predictions: Predictions) -> dict[str, SetResult]:
    """Return the number of images and the macro accuracy of every test set.

    Macro accuracy is the mean, over the classes that have images, of the share of right answers.
    """
    summary = {}
    for name, answers in predictions.items():
        images = np.bincount(answers.target)
        right = np.bincount(answers.target, answers.label == answers.target)
        present = images > 0
        summary[name] = SetResult(
            images=len(answers.target), macro_accuracy=float(np.mean(right[present] / images[present]))
        )
    return summary
