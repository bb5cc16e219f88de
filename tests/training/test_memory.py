"""A batch that does not fit is split where that changes nothing, and refused with a number elsewhere."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional as F

from kdbench.api import Batch, Losses, Method, Output
from kdbench.data.training_sets import TrainingSet
from kdbench.networks.device import forget_peak_memory
from kdbench.networks.models import new_backbone
from kdbench.records import WEIGHTS
from kdbench.spec import Family, Track
from kdbench.training import loop
from kdbench.training.assignment import Assignment
from kdbench.training.failures import TooLittleMemory
from kdbench.training.loop import train
from kdbench.training.memory import GIB, MicroBatchPlan, plan_micro_batches, step_memory
from kdbench.training.metered import MeteredRun
from kdbench.training.teacher import Supervised

Make = Callable[..., Assignment]


class PerSample(Supervised):
    name, per_sample = "per-sample", True


class OfTheWholeBatch(Supervised):
    """The loss of an image depends on the others of its batch."""

    name = "whole-batch"

    def loss(self, batch: Batch, student: Output, teacher: Output | None) -> Losses:
        return F.cross_entropy(student.logits - student.logits.mean(dim=0), batch.labels)


def peak(images: int) -> int:
    """A step takes 2 GiB, and a quarter more for each image."""
    return 2 * GIB + images * GIB // 4


def student(track: Track, family: Family) -> torch.nn.Module:
    return new_backbone(track, family, seed=0, pretrained=False)


@pytest.mark.parametrize(("free", "parts"), [(40, 2), (20, 2), (14, 4), (8, 8), (2.6, 128)])
def test_a_batch_is_split_into_as_few_parts_as_fit(track: Track, free: float, parts: int) -> None:
    split = plan_micro_batches(PerSample, student(track, "vit"), 128, peak, int(free * GIB))
    assert split == MicroBatchPlan(parts, 34 * GIB)
    assert peak(128 // parts) <= 0.9 * free * GIB


@pytest.mark.parametrize(
    ("method", "family", "free", "why"),
    [
        (PerSample, "cnn", 20, "statistics of the whole batch"),
        (OfTheWholeBatch, "vit", 20, "loss of whole-batch depends on the whole batch"),
        (PerSample, "vit", 1, "not even a single image fits"),
    ],
)
def test_what_may_not_be_split_is_refused_with_the_memory_it_needs(
    track: Track, method: type[Method], family: Family, free: int, why: str
) -> None:
    with pytest.raises(TooLittleMemory, match=rf"128 images needs about 34.0 GiB, .* {free}.0 free.*{why}.*device"):
        plan_micro_batches(method, student(track, family), 128, peak, free * GIB)


SHORTAGES = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1.00 GiB"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
]


def make_short_of_memory(monkeypatch: pytest.MonkeyPatch, shortage: RuntimeError) -> None:
    """A device on which no more than four images fit a step; how it says so."""
    forward = MeteredRun.student_forward

    def limited(self: Any, images: torch.Tensor) -> Output:
        if len(images) > 4:
            raise shortage
        return forward(self, images)

    monkeypatch.setattr(MeteredRun, "student_forward", limited)
    monkeypatch.setattr(loop, "step_memory", lambda assignment, data, images: images * GIB)
    monkeypatch.setattr(loop, "free_memory", lambda device: 5 * GIB)


def of_vit(assignment: Assignment) -> Assignment:
    """The assignment for a ViT, which has no batch statistics."""
    return replace(assignment, family="vit")


def test_a_split_batch_trains_the_same_student(make: Make, data: TrainingSet, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = of_vit(make(PerSample, place="whole"))
    assert train(whole, data, lambda *_: None).status == "ok"
    make_short_of_memory(monkeypatch, SHORTAGES[0])
    split = of_vit(make(PerSample, place="split"))
    outcome = train(split, data, lambda *_: None)
    assert outcome.status == "ok"
    assert [curve["micro_batches"] for curve in outcome.curves] == [4.0, 4.0]
    assert outcome.budget.steps == 8
    assert outcome.budget.student_backward_images == outcome.budget.examples == 128
    whole_weights, split_weights = (load_file(place.folder / WEIGHTS) for place in (whole, split))
    for name, expected in whole_weights.items():
        torch.testing.assert_close(split_weights[name], expected, atol=2e-4, rtol=1e-3, msg=name)


@pytest.mark.parametrize("shortage", SHORTAGES, ids=["allocator", "cublas", "cudnn-8", "cudnn-9"])
def test_a_run_that_may_not_be_split_ends_with_the_memory_it_needs(
    make: Make, data: TrainingSet, monkeypatch: pytest.MonkeyPatch, shortage: RuntimeError
) -> None:
    make_short_of_memory(monkeypatch, shortage)
    outcome = train(make(PerSample), data, lambda *_: None)
    assert outcome.status == "oom"
    assert "needs about 16.0 GiB" in outcome.reason
    assert "statistics of the whole batch" in outcome.reason


def test_whole_batches_are_not_noted_as_split(make: Make, data: TrainingSet) -> None:
    outcome = train(make(PerSample), data, lambda *_: None)
    assert all("micro_batches" not in curve for curve in outcome.curves)


def test_a_step_on_fewer_images_is_measured_and_leaves_no_trace(make: Make, data: TrainingSet) -> None:
    assignment = make(PerSample)
    assert step_memory(assignment, data, 8) > 0
    assert list(assignment.folder.iterdir()) == []


def test_forgetting_the_peak_of_a_gpu_starts_no_cuda() -> None:
    before = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    forget_peak_memory(torch.device("cuda"))
    assert torch.cuda.is_initialized() == before  # type: ignore[no-untyped-call]
