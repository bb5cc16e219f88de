"""What MLflow gets of a record: parameters, tags, and metrics whose names it groups by what stands before the slash."""

import json
import math
import re
from collections.abc import Mapping

from kdbench.records import Predictions, Record
from kdbench.scoring.measured import measure
from kdbench.scoring.resampling import Resampler
from kdbench.spec import BIAS_AXES, TestSet, Track

LONGEST_VALUE = 5000  # characters of a parameter or tag
GRADIENT_NORM, WEIGHTED = "gradient_norm_", "_weighted"  # how a record's curves name what belongs to a term of the loss
NOT_IN_A_NAME = re.compile(r"[^\w\-. :]")  # MLflow takes no other characters, and a slash only between group and name


def run_name(record: Record) -> str:
    """A child run's name for people: method, direction (or family), teacher bias and seed."""
    parts = [record.method, record.direction or record.family, record.teacher_bias, f"seed {record.seed}"]
    return " ".join(part for part in parts if part)


def _text(value: object) -> str:
    return (value if isinstance(value, str) else json.dumps(value))[:LONGEST_VALUE]


def parameters(record: Record) -> dict[str, str]:
    """What was asked for, as MLflow parameters; an entry of the method's config reads `config.NAME`."""
    named = {
        "method": record.method,
        "role": record.role,
        "track": record.track,
        "family": record.family,
        "direction": record.direction,
        "teacher_bias": record.teacher_bias,
        "seed": record.seed,
        "device_class": record.environment.device_class,
        **{f"config.{key}": value for key, value in record.config.items()},
    }
    return {key: _text(value) for key, value in named.items() if value is not None}


def run_tags(record: Record) -> dict[str, str]:
    """Status, identity, digests and environment, as MLflow tags."""
    digests, environment = record.digests, record.environment
    named = {
        "kdbench.run_id": record.run_id,
        "teacher_run_id": record.teacher_run_id,
        "status": record.status,
        "reason": record.reason or None,
        "official": "yes" if record.official else "no",
        "control": "yes" if record.control else "no",
        "compiled": "yes" if record.compiled else "no",
        "unofficial": "; ".join(record.unofficial) or None,
        **{f"digest.{name}": value for name, value in digests.model_dump(exclude={"arrays"}).items()},
        **{f"digest.array.{name}": value for name, value in digests.arrays.items()},
        **{f"environment.{name}": value for name, value in environment.model_dump().items()},
    }
    return {key: _text(value) for key, value in named.items() if value is not None}


def final_metrics(record: Record, bias: Mapping[str, float]) -> dict[str, float]:
    """Numbers of the whole run: accuracy and bias a set (see `biases`), likeness to the teacher, seconds, budget."""
    return {
        **{f"accuracy/{name}": result.macro_accuracy for name, result in record.test.items()},
        **{f"bias/{name}": value for name, value in bias.items()},
        **{_metric("similarity", name): value for name, value in record.scalars.items()},
        **{f"seconds/{name}": value for name, value in record.timing.model_dump(exclude={"epochs"}).items()},
        **{f"budget/{name}": float(value) for name, value in record.budget.model_dump().items()},
        "peak_memory_bytes": float(record.peak_memory_bytes),
        "parameters": float(record.parameters),
    }


def biases(predictions: Predictions, track: Track) -> dict[str, float]:
    """Chance-corrected bias c of each bias set of the spec that was answered, as the boards measure it of an axis.

    Returns:
        By set; a set whose images' clean accuracy is exactly chance has none, and no set if it is at or below chance
        on all images.

    Raises:
        RecordError: a set's origins or classes do not fit the clean set.
    """
    if track.primary_sets("clean")[0].name not in predictions:
        return {}
    sets = [one for one in track.test_sets if one.axis in BIAS_AXES and one.name in predictions]
    found = {one.name: _bias(predictions, track, one) for one in sets}
    return {name: value for name, value in found.items() if math.isfinite(value)}


def _bias(predictions: Predictions, track: Track, test_set: TestSet) -> float:
    """c of one set: that of an axis which it makes alone; NaN for a network that is not above chance."""
    clean, alone = track.primary_sets("clean")[0], test_set.model_copy(update={"diagnostic": False})
    answers = {one.name: predictions[one.name] for one in (clean, alone)}
    run = measure(answers, track.model_copy(update={"test_sets": (clean, alone)}), Resampler(0))
    above_chance = run.clean[0] > 1 / track.data.num_classes
    return float(run.axes[test_set.axis].bias[0]) if above_chance else math.nan


def curve_metrics(epoch: dict[str, float]) -> dict[str, float]:
    """The numbers of one epoch, in four groups: each term of the loss as it is (`term/NAME`), by its weight
    (`term_weighted/NAME`) and by its gradient (`gradient_norm/NAME`); all else is `epoch/NAME`."""
    terms = {name.removeprefix(GRADIENT_NORM) for name in epoch if name.startswith(GRADIENT_NORM)}
    return {_curve_name(name, terms): value for name, value in epoch.items()}


def _curve_name(name: str, terms: set[str]) -> str:
    if name in terms:
        return _metric("term", name)
    if name.removeprefix(GRADIENT_NORM) in terms:
        return _metric("gradient_norm", name.removeprefix(GRADIENT_NORM))
    if name.removesuffix(WEIGHTED) in terms:
        return _metric("term_weighted", name.removesuffix(WEIGHTED))
    return _metric("epoch", name)


def _metric(group: str, name: str) -> str:
    return f"{group}/{NOT_IN_A_NAME.sub('_', name)}"
