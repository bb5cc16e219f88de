"""Turns a record into MLflow parameters, tags and metrics. MLflow groups metrics by the part before the slash."""

import hashlib
import json
import re
from collections.abc import Mapping

import numpy as np

from kdbench.plan.overrides import with_overrides
from kdbench.records import Predictions, Record
from kdbench.scoring.measured import MeasuredRun, measure
from kdbench.scoring.profiles import near_chance
from kdbench.scoring.resampling import Resampler
from kdbench.spec import BIAS_AXES, Scoring, TestSet, Track

LONGEST_VALUE = 5000  # characters of a parameter or tag
_LONGEST_NAME = 200  # characters; MLflow accepts 250 of a whole key
_GRADIENT_NORM, _WEIGHTED = "gradient_norm_", "_weighted"  # before and after a term's name in a record's curves
_NOT_IN_A_NAME = re.compile(
    r"[^\w\-. :]"
)  # MLflow accepts no other characters, and a slash only between group and name


def key(group: str, name: str) -> str:
    """Return `group/name` as MLflow accepts it."""
    return f"{group}/{clean_name(name)}"


def clean_name(name: str) -> str:
    """Return a name as MLflow accepts it after a group.

    A name that has to be changed for that ends in a part of its digest, so that two names never become one.
    """
    clean = _NOT_IN_A_NAME.sub("_", name)[:_LONGEST_NAME].strip(" .")
    if clean and clean == name:
        return name
    return f"{clean}_{hashlib.sha256(name.encode(errors='replace')).hexdigest()[:6]}"


def text(value: object) -> str:
    """Return a value as MLflow accepts it for a parameter or a tag: as JSON unless it is a text, and not too long."""
    whole = value if isinstance(value, str) else json.dumps(value)
    return whole.encode(errors="replace").decode()[:LONGEST_VALUE]


def parameters(record: Record, track: Track | None) -> dict[str, str]:
    """Return the settings of a run as MLflow parameters; a setting of the method is called `config.NAME`.

    Args:
        record: of the run.
        track: of the spec, for epochs, batch size and learning rate; None for a track that the spec does not have.
    """
    named = {
        "method": record.method,
        "role": record.role,
        "track": record.track,
        "family": record.family,
        "networks": record.pair.words if record.pair else None,
        "direction": record.direction,
        "question": record.question,
        "teacher_bias": record.teacher_bias,
        "dose": record.dose,
        "seed": record.seed,
        "device_class": record.environment.device_class,
        **_recipe(record, track),
        **{f"config.{clean_name(name)}": value for name, value in record.config.items()},
    }
    return {name: text(value) for name, value in named.items() if value is not None}


def _recipe(record: Record, track: Track | None) -> dict[str, int | float]:
    """Return epochs, batch size and learning rate; only the epochs that ended where the record is not of the spec."""
    trained = _as_trained(record, track) if track else None
    if trained is None:
        return {"epochs": len(record.curves)} if record.curves else {}
    training, terms = trained.training, record.control_terms
    factor = terms.epochs_factor if terms else 1.0
    students = max(1, round(factor * training.student_epochs))
    return {
        "epochs": training.teacher_epochs if record.role == "teacher" else students,
        "batch_size": training.batch_size,
        "learning_rate": trained.networks[record.family].learning_rate,
    }


def _as_trained(record: Record, track: Track) -> Track | None:
    """Return the track with the options of a run; None if its record was made from another one."""
    for epochs in (None, len(record.curves) or None):
        trained, _ = with_overrides(track.with_pair(record.pair), epochs=epochs, limit_train=record.limit_train)
        if trained.training_digest == record.digests.training:
            return trained
    return None


def run_tags(record: Record) -> dict[str, str]:
    """Return status, identity, digests and environment of a run as MLflow tags."""
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
        **{f"digest.array.{clean_name(name)}": value for name, value in digests.arrays.items()},
        **{f"environment.{name}": value for name, value in environment.model_dump().items()},
    }
    return {name: text(value) for name, value in named.items() if value is not None}


def final_metrics(record: Record, bias: Mapping[str, float]) -> dict[str, float]:
    """Return the numbers of a whole run: accuracy and bias per test set, likeness to the teacher, seconds, budget.

    Args:
        record: of the run.
        bias: by test set, as `biases` returns it.
    """
    seconds = record.timing.model_dump(exclude={"epochs"})
    return {
        **{key("accuracy", name): result.macro_accuracy for name, result in record.test.items()},
        **{key("bias", name): value for name, value in bias.items()},
        **{key("similarity", name): value for name, value in record.scalars.items()},
        **{f"seconds/{name}": value for name, value in seconds.items() if value is not None},
        **{f"budget/{name}": float(value) for name, value in record.budget.model_dump().items()},
        "peak_memory_bytes": float(record.peak_memory_bytes),
        "parameters": float(record.parameters),
    }


def biases(
    predictions: Predictions, track: Track, scoring: Scoring, resampler: Resampler
) -> tuple[dict[str, float], str]:
    """Return the chance-corrected bias c on each bias set of the spec that has answers, measured as on the boards.

    Returns:
        By test set, and the reason why some or all sets are left out, in words. They are left out where a page of this
        run alone would call c undefined.

    Raises:
        RecordError: the origins or classes of a set do not fit the clean set.
    """
    clean = track.primary_sets("clean")[0]
    if clean.name not in predictions:
        return {}, f"there are no answers on {clean.name}"
    sets = [test_set for test_set in track.test_sets if test_set.axis in BIAS_AXES and test_set.name in predictions]
    measured = {test_set.name: _alone(predictions, track, clean, test_set, resampler) for test_set in sets}
    whole = next(iter(measured.values()), None)
    low = near_chance({0: whole}, track.data.num_classes, scoring) if whole else None
    if low:
        return {}, low.reason.replace(" of seed 0", "")
    bias_by_set = {test_set.name: measured[test_set.name].axes[test_set.axis].bias for test_set in sets}
    defined = {name: float(bias[0]) for name, bias in bias_by_set.items() if np.isfinite(bias).all()}
    lacking = sorted(bias_by_set.keys() - defined.keys())
    return defined, f"clean accuracy is 0 in some resamples of {', '.join(lacking)}" if lacking else ""


def _alone(
    predictions: Predictions, track: Track, clean: TestSet, test_set: TestSet, resampler: Resampler
) -> MeasuredRun:
    """Measure a run on one set as if it were the only set of its axis."""
    alone = test_set.model_copy(update={"diagnostic": False})
    answers = {each.name: predictions[each.name] for each in (clean, alone)}
    return measure(answers, track.model_copy(update={"test_sets": (clean, alone)}), resampler)


def curve_metrics(epoch: dict[str, float]) -> dict[str, float]:
    """Return the numbers of one epoch by their name in MLflow.

    A term of the loss has three: its value (`term/NAME`), the value times its weight (`term_weighted/NAME`) and the
    norm of its gradient (`gradient_norm/NAME`); every other number is called `epoch/NAME`.
    """
    terms = {name.removeprefix(_GRADIENT_NORM) for name in epoch if name.startswith(_GRADIENT_NORM)}
    return {_curve_name(name, terms): value for name, value in epoch.items()}


def _curve_name(name: str, terms: set[str]) -> str:
    if name in terms:
        return key("term", name)
    if name.removeprefix(_GRADIENT_NORM) in terms:
        return key("gradient_norm", name.removeprefix(_GRADIENT_NORM))
    if name.removesuffix(_WEIGHTED) in terms:
        return key("term_weighted", name.removesuffix(_WEIGHTED))
    return key("epoch", name)
