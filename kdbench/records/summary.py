"""The summary of a network's answers that a record shows beside them."""

import numpy as np

from kdbench.records.schema import Predictions, SetResult


def summarise(predictions: Predictions) -> dict[str, SetResult]:
    """Return the number of images and the macro accuracy of every test set.

    Macro accuracy is the mean, over the classes that have images, of the share of right answers.
    """
    summary = {}
    for name, answers in predictions.items():
        classes, of_image, images = np.unique(answers.target, return_inverse=True, return_counts=True)
        right = np.bincount(of_image, answers.label == answers.target, minlength=len(classes))
        summary[name] = SetResult(images=len(answers.target), macro_accuracy=float(np.mean(right / images)))
    return summary
