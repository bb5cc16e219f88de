"""How many runs a GPU or the CPU gets at a time: as many as memory and cores allow, and no more than fit."""

from types import SimpleNamespace

import psutil
import pytest
import torch

from kdbench.errors import InputError
from kdbench.jobs import measured_room
from kdbench.jobs.gpu_room import CONTEXT_BYTES, CPU_BYTES, GIB, MOST_RUNS, GpuRoom, runs_on_cpu, runs_per_gpu
from kdbench.jobs.measured_room import measure_room
from kdbench.spec import Family, Track
from kdbench.testsets.spec import load_spec

LARGE, SMALL = GpuRoom(78 * GIB, GIB // 2), GpuRoom(16 * GIB, GIB // 2)
NARROW = GpuRoom(16 * GIB, 12 * GIB)


@pytest.mark.parametrize(
    ("rooms", "cores", "runs"),
    [
        ([LARGE], 16, MOST_RUNS),
        ([LARGE], 2, 2),
        ([LARGE, LARGE], 4, 2),
        ([SMALL], 16, 3),
        ([LARGE, SMALL], 16, 3),
        ([NARROW], 16, 1),  # which then may split its batches
        ([LARGE, LARGE], 1, 1),
    ],
)
def test_the_default_is_what_memory_and_cores_allow(rooms: list[GpuRoom], cores: int, runs: int) -> None:
    assert runs_per_gpu(rooms, cores, None) == runs


def test_a_user_gets_as_many_runs_as_fit_whatever_the_cores() -> None:
    assert runs_per_gpu([LARGE], 1, LARGE.runs) == LARGE.runs == 15
    assert runs_per_gpu([NARROW], 1, 1) == 1


def test_more_runs_than_fit_are_refused_in_one_sentence() -> None:
    sentence = r"--workers 40 means 40 runs at a time on each GPU, .* 180 GiB .* 16 GiB are free; give --workers 3 or"
    with pytest.raises(InputError, match=sentence):
        runs_per_gpu([LARGE, SMALL], 16, 40)
    with pytest.raises(InputError, match="give --workers 1 or fewer"):
        runs_per_gpu([NARROW], 16, 2)


def test_a_place_has_room_for_a_training_an_evaluation_and_a_preparation() -> None:
    assert GpuRoom(0, 5).place_bytes == 3 * (CONTEXT_BYTES + 5)
    assert GpuRoom(0, 5).runs == 0


def test_the_cpu_gets_one_run_per_core_and_never_more_than_memory_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=10 * CPU_BYTES))
    assert runs_on_cpu(4, None) == 4
    assert runs_on_cpu(4, 10) == 10
    assert runs_on_cpu(16, None) == 16
    with pytest.raises(
        InputError, match=r"--workers 1000 means 1000 runs at a time, .* 250 GiB .* --workers 10 or fewer"
    ):
        runs_on_cpu(4, 1000)


def test_a_measurement_covers_a_step_of_each_family_and_the_training_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for the allocator of CUDA; the networks work on the CPU."""
    track = load_spec().track("synthetic")
    few = track.model_copy(update={"training": track.training.model_copy(update={"batch_size": 4})})
    stepped: list[str] = []
    after_a_step = measured_room._after_a_step

    def noted(track: Track, family: Family, device: torch.device) -> object:
        stepped.append(family)
        return after_a_step(track, family, device)

    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (7 * GIB, 8 * GIB))
    monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda device: 100 * len(stepped))
    monkeypatch.setattr(measured_room, "_after_a_step", noted)
    room = measure_room(few, torch.device("cpu"))
    assert stepped == ["cnn", "vit"]
    assert room == GpuRoom(7 * GIB, 200 + track.data.num_train * 3 * 32 * 32)
