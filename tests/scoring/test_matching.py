"""The independent student as it was when it had another's clean accuracy."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from scipy.special import ndtr, ndtri

from kdbench.records import Predictions, Snapshot, read_predictions, read_record, write_record, write_snapshots
from kdbench.records.summary import summarise
from kdbench.scoring.estimates import Undefined
from kdbench.scoring.matching import at_accuracy
from kdbench.scoring.measured import MeasuredAxis, MeasuredRun
from kdbench.spec import BIAS_AXES
from tests.record_factory import record_of, write_matrix
from tests.scoring.boards import SPEC, board_of, estimated, rows_of

CONTROL = "accuracy-matched"
at_accuracy_of = partial(at_accuracy, num_classes=10, scoring=SPEC.scoring)


def a_network(clean: float, bias: float) -> MeasuredRun:
    """A network with one bias on every axis, the same in every resample."""
    axis = MeasuredAxis(accuracy=np.zeros(4), bias=np.full(4, bias), ratio=np.zeros(4), images=100)
    return MeasuredRun(np.full(4, clean), 100, dict.fromkeys(BIAS_AXES, axis), None, None, 0, {}, {})


SNAPSHOTS = [a_network(0.2, 9.0), a_network(0.5, 0.1), a_network(0.8, 0.4), a_network(0.9, 0.6)]


def on_a_line(clean: float) -> MeasuredRun:
    """A network whose accuracies lie on a straight line over its clean accuracy, both on the probit scale."""
    accuracy = ndtr(0.5 * ndtri(clean) - 0.3)
    return a_network(clean, (accuracy - 0.1) / (clean - 0.1))


def test_between_two_snapshots_a_network_stays_on_its_line_on_the_probit_scale() -> None:
    network = at_accuracy_of([on_a_line(0.6), on_a_line(0.9)], 0.8)
    assert isinstance(network, MeasuredRun)
    assert network.clean == pytest.approx(0.8)
    assert network.axes["noise"].bias == pytest.approx(on_a_line(0.8).axes["noise"].bias)


@pytest.mark.parametrize(("clean", "bias"), [(0.5, 0.1), (0.8, 0.4), (0.9, 0.6)])
def test_at_a_snapshot_the_profile_is_the_snapshot_s(clean: float, bias: float) -> None:
    network = at_accuracy_of(SNAPSHOTS, clean)
    assert isinstance(network, MeasuredRun)
    assert network.axes["shape"].bias == pytest.approx(bias)


@pytest.mark.parametrize("clean", [0.3, 0.95])
def test_outside_of_the_competent_snapshots_there_is_none(clean: float) -> None:
    """The first snapshot is at .20, too near chance for a bias of its own."""
    network = at_accuracy_of(SNAPSHOTS, clean)
    assert network == Undefined(
        reason=f"no snapshot of the independent student matches the clean accuracy {clean:.3f}; "
        "they reach from 0.500 to 0.900"
    )
    assert isinstance(at_accuracy_of([], 0.5), Undefined)


def worsened(share: float, predictions: Predictions) -> dict[str, np.ndarray]:
    """Labels of a younger network: the last `share` of the images wrong, on every set."""
    return {
        name: np.where(
            np.arange(len(answers.label)) >= (1 - share) * len(answers.label), (answers.target + 1) % 10, answers.label
        ).astype(np.int16)
        for name, answers in predictions.items()
    }


def test_the_gap_is_also_measured_against_independent_of_the_same_accuracy(tmp_path: Path) -> None:
    write = partial(write_matrix, track="cifar10-32", directions=("cnn-to-vit",), seeds=range(3), images=500)
    folders = write(tmp_path, controls=(CONTROL,), clean={CONTROL: 0.85, "lm": 0.8}, spread=0.004)
    for folder in record_of(folders, method=CONTROL):
        predictions = read_predictions(folder)
        snapshots = [worsened(share, predictions) for share in (0.4, 0.2, 0.0)]
        write_snapshots(folder, {name: np.stack([answers[name] for answers in snapshots]) for name in predictions})
        at_steps = [{n: replace(predictions[n], label=labels[n]) for n in labels} for labels in snapshots]
        steps = tuple(Snapshot(step=10 * k, test=summarise(at_step)) for k, at_step in enumerate(at_steps, start=1))
        write_record(folder, read_record(folder).model_copy(update={"snapshots": steps}), predictions)
    movement = rows_of(board_of(tmp_path))["lm"].arms[0].movement
    assert movement is not None
    assert movement.gap_closed_matched is not None
    matched, plain = estimated(movement.gap_closed_matched), estimated(movement.gap_closed)
    assert matched.seeds == 3
    assert matched.value != plain.value


def test_without_that_control_there_is_no_such_number(tmp_path: Path) -> None:
    write_matrix(tmp_path, track="cifar10-32", directions=("cnn-to-vit",), seeds=range(3))
    movement = rows_of(board_of(tmp_path))["lm"].arms[0].movement
    assert movement is not None
    assert movement.gap_closed_matched is None
