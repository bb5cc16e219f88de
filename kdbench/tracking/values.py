"""Turns a record into MLflow parameters, tags and metrics. MLflow groups metrics by the part before the slash."""

import json
import math
import re
from collections.abc import Mapping

from kdbench.records import Predictions, Record
from kdbench.scoring.measured import measure
from kdbench.scoring.resampling import Resampler
from kdbench.spec import BIAS_AXES, TestSet, Track

_LONGEST_VALUE = 5000  # characters of a parameter or tag
_GRADIENT_NORM, _WEIGHTED = "gradient_norm_", "_weighted"  # before and after a term's name in a record's curves
_NOT_IN_A_NAME = re.compile(
    r"[^\w\-. :]"
)  # MLflow accepts no other characters, and a slash only between group and name


def run_name(record: Record) -> str:
    """Return the name of a child run for people: method, direction (or family), teacher bias and seed."""
    parts = [record.method, record.direction or record.family, record.teacher_bias, f"seed {record.seed}"]
    return " ".join(part for part in parts if part)


def _text(value: object) -> str:
    return (value if isinstance(value, str) else json.dumps(value))[:_LONGEST_VALUE]


def parameters(record: Record) -> dict[str, str]:
    """Return the settings of a run as MLflow parameters; a setting of the method is called `config.NAME`."""
    named = {
        "method": record.method,
        "role": record.role,
        "track": record.track,
        "family": record.family,
        "direction": record.direction,
        "question": record.question,
        "teacher_bias": record.teacher_bias,
        "dose": record.dose,
        "seed": record.seed,
        "device_class": record.environment.device_class,
        **{f"config.{key}": value for key, value in record.config.items()},
    }
    return {key: _text(value) for key, value in named.items() if value is not None}


def run_tags(record: Record) -> dict[str, str]:
    """Return status, identity, digests and environment as MLflow tags."""
    digests, environment = record.digests, record.environment
    named = {
        "kdbench.run_id": record.run_id,
        "teacher_run_id": record.teacher_run_id,
        "status": record.status,
        "reason": record.reason or None,
        "official": "yes" if record.official else "no",
        "control": "yes" if record.control else "no",
        "compiled": "yes" if record.compiled else "no",
        "execution": record.execution,
        "unofficial": "; ".join(record.unofficial) or None,
        **{f"digest.{name}": value for name, value in digests.model_dump(exclude={"arrays"}).items()},
        **{f"digest.array.{name}": value for name, value in digests.arrays.items()},
        **{f"environment.{name}": value for name, value in environment.model_dump().items()},
    }
    return {key: _text(value) for key, value in named.items() if value is not None}


def final_metrics(record: Record, bias: Mapping[str, float]) -> dict[str, float]:
    """Return the numbers of a whole run: accuracy and bias per test set, likeness to the teacher, seconds, budget.

    Args:
        record: of the run.
        bias: by test set, as `biases` returns it.
    """
    seconds = record.timing.model_dump(exclude={"epochs"})
    return {
        **{f"accuracy/{name}": result.macro_accuracy for name, result in record.test.items()},
        **{f"bias/{name}": value for name, value in bias.items()},
        **{_metric("similarity", name): value for name, value in record.scalars.items()},
        **{f"seconds/{name}": value for name, value in seconds.items() if value is not None},
        **{f"budget/{name}": float(value) for name, value in record.budget.model_dump().items()},
        "peak_memory_bytes": float(record.peak_memory_bytes),
        "parameters": float(record.parameters),
    }


def biases(predictions: Predictions, track: Track) -> dict[str, float]:
    """Return the chance-corrected bias c on each bias set of the spec that has answers, measured as on the boards.

    Returns:
        By test set. A set is left out if the clean accuracy on its images is exactly chance; all sets are left out if
        the clean accuracy on all images is at or below chance.

    Raises:
        RecordError: the origins or classes of a set do not fit the clean set.
    """
    if track.primary_sets("clean")[0].name not in predictions:
        return {}
    sets = [test_set for test_set in track.test_sets if test_set.axis in BIAS_AXES and test_set.name in predictions]
    bias_by_set = {test_set.name: _bias(predictions, track, test_set) for test_set in sets}
    return {name: bias for name, bias in bias_by_set.items() if math.isfinite(bias)}


def _bias(predictions: Predictions, track: Track, test_set: TestSet) -> float:
    """Return c on a set as if it were the only set of its axis; NaN for a network that is not above chance."""
    clean, alone = track.primary_sets("clean")[0], test_set.model_copy(update={"diagnostic": False})
    answers = {test_set.name: predictions[test_set.name] for test_set in (clean, alone)}
    run = measure(answers, track.model_copy(update={"test_sets": (clean, alone)}), Resampler(0))
    above_chance = run.clean[0] > 1 / track.data.num_classes
    return float(run.axes[test_set.axis].bias[0]) if above_chance else math.nan


def curve_metrics(epoch: dict[str, float]) -> dict[str, float]:
    """Return the numbers of one epoch by their name in MLflow.

    A term of the loss has three: its value (`term/NAME`), the value times its weight (`term_weighted/NAME`) and the
    norm of its gradient (`gradient_norm/NAME`); every other number is called `epoch/NAME`.
    """
    terms = {name.removeprefix(_GRADIENT_NORM) for name in epoch if name.startswith(_GRADIENT_NORM)}
    return {_curve_name(name, terms): value for name, value in epoch.items()}


def _curve_name(name: str, terms: set[str]) -> str:
    if name in terms:
        return _metric("term", name)
    if name.removeprefix(_GRADIENT_NORM) in terms:
        return _metric("gradient_norm", name.removeprefix(_GRADIENT_NORM))
    if name.removesuffix(_WEIGHTED) in terms:
        return _metric("term_weighted", name.removesuffix(_WEIGHTED))
    return _metric("epoch", name)


def _metric(group: str, name: str) -> str:
    return f"{group}/{_NOT_IN_A_NAME.sub('_', name)}"
