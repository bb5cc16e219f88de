"""The networks of boards beside a profile."""

from pathlib import Path

import pytest

from kdbench.errors import InputError
from kdbench.profiling.neighbours import board_networks, distance
from kdbench.records import find_records, read_record
from kdbench.scoring.board import score
from kdbench.scoring.estimates import Undefined
from kdbench.spec import BIAS_AXES
from kdbench.testsets.spec import load_spec
from tests.record_factory import write_matrix

SPEC = load_spec()


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    write_matrix(folder, directions=("cnn-to-vit",), spread=0)
    return folder


def arrays_of(results: Path) -> dict[str, str]:
    return read_record(find_records(results)[0]).digests.arrays


def test_the_nearest_network_comes_first_and_each_stands_once(results: Path) -> None:
    rows = score(results, SPEC).boards[0].rows
    teacher = next(row for row in rows if row.kind == "teacher").arms[0]
    assert teacher.profile
    networks = board_networks(results, SPEC, arrays_of(results), teacher.profile)
    assert networks[0].profile == teacher.profile
    assert networks[0].distance == 0
    distances = [network.distance for network in networks]
    assert distances == sorted(distances, key=lambda away: away or 0)
    names = [network.name for network in networks]
    assert len(set(names)) == len(names)
    assert "vit independent" in names
    assert "lm, shape (cnn-to-vit)" in names


def test_networks_on_other_test_sets_are_left_out(results: Path) -> None:
    profile = score(results, SPEC).boards[0].rows[0].arms[0].profile
    assert profile
    assert board_networks(results, SPEC, {**arrays_of(results), "clean": "0" * 64}, profile) == ()


def test_a_folder_without_records_is_refused(results: Path, tmp_path: Path) -> None:
    profile = score(results, SPEC).boards[0].rows[0].arms[0].profile
    assert profile
    with pytest.raises(InputError, match="no records"):
        board_networks(tmp_path, SPEC, {}, profile)


def test_axes_without_a_number_do_not_count_for_the_distance(results: Path) -> None:
    first, second = (score(results, SPEC).boards[0].rows[number].arms[0].profile for number in (0, 1))
    assert first
    assert second
    undefined = Undefined(reason="too near chance")
    axes = {axis: entry.model_copy(update={"bias": undefined}) for axis, entry in first.axes.items()}
    assert distance(first.model_copy(update={"axes": axes}), second) is None
    one_axis = first.model_copy(update={"axes": axes | {BIAS_AXES[0]: first.axes[BIAS_AXES[0]]}})
    gap = abs(first.axes[BIAS_AXES[0]].bias.value - second.axes[BIAS_AXES[0]].bias.value)  # type: ignore[union-attr]
    assert distance(one_axis, second) == pytest.approx(gap, abs=1e-6)
