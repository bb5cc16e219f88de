"""What holds on a processor holds on a GPU; skipped where there is none."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from kdbench.data.pixels import resized
from kdbench.data.training_sets import TrainingSet, training_set
from kdbench.jobs.devices import visible_gpus
from kdbench.jobs.executor import LocalExecutor
from kdbench.jobs.launcher import ForkLauncher, Limits
from kdbench.methods.loading import load_submission
from kdbench.networks.backbone import ALL_FIELDS, Backbone
from kdbench.networks.compiling import compile_network, obstacle_to_compiling
from kdbench.networks.device import forget_peak_memory, free_memory, peak_memory
from kdbench.networks.models import new_backbone
from kdbench.networks.placement import memory_format, placed, placed_teacher
from kdbench.networks.precision import autocast
from kdbench.spec import Family, Track
from kdbench.testsets.kinds.noise_patch import noise_table
from kdbench.testsets.kinds.tiles import tile_table
from kdbench.testsets.spec import load_spec
from kdbench.training.assignment import Assignment
from kdbench.training.loop import train
from kdbench.training.memory import step_memory
from tests.jobs.pretend_launcher import Silent
from tests.jobs.small_jobs import context_in, small
from tests.planned_runs import expanded

pytestmark = pytest.mark.gpu

PAPER = load_spec().track("cifar10-224")
GPU = torch.device("cuda")
LARGE_BATCH = 1024
LIMITS = Limits(seconds=300, memory_bytes=32 * 2**30)


@pytest.fixture
def track() -> Track:
    whole = load_spec().track("synthetic")
    training = whole.training.model_copy(update={"batch_size": 16, "teacher_epochs": 2, "student_epochs": 2})
    return whole.model_copy(update={"training": training, "data": whole.data.model_copy(update={"num_train": 64})})


@pytest.fixture
def data(track: Track) -> TrainingSet:
    return training_set(track, role="student", bias=None, seed=0, source=None)


def assignment(track: Track, folder: object) -> Assignment:
    method = load_submission("independent")
    return Assignment(
        track=track,
        role="student",
        family="vit",
        bias=None,
        seed=0,
        method_class=method,
        config=method.Config(),
        teacher_family=None,
        teacher_state=None,
        folder=folder,  # type: ignore[arg-type]
        device="cuda",
    )


def test_a_run_trains_in_half_precision_and_tells_its_memory(
    track: Track, data: TrainingSet, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outcome = train(assignment(track, tmp_path_factory.mktemp("run")), data, lambda *_: None)
    assert outcome.status == "ok"
    assert outcome.environment is not None
    assert outcome.environment.device_class == "cuda-bfloat16"
    assert 0 < outcome.peak_memory_bytes < 2**30
    assert len(outcome.timing.epochs) == 2


def test_a_step_on_more_images_takes_more_memory(
    track: Track, data: TrainingSet, tmp_path_factory: pytest.TempPathFactory
) -> None:
    given = assignment(track, tmp_path_factory.mktemp("run"))
    assert step_memory(given, data, 32) > step_memory(given, data, 8) > 0
    assert free_memory(GPU) > peak_memory(GPU)


@pytest.fixture
def leave() -> Iterator[Callable[[int], None]]:
    """Leaves this process so many bytes of the GPU, until the test is over."""
    total = torch.cuda.get_device_properties(GPU).total_memory

    def leave(most: int) -> None:
        forget_peak_memory(GPU)
        torch.cuda.set_per_process_memory_fraction(most / total)

    yield leave
    torch.cuda.set_per_process_memory_fraction(1.0)


@pytest.mark.parametrize(("family", "ending"), [("vit", ("ok", 2.0)), ("cnn", ("oom", None))])
def test_a_batch_that_does_not_fit_is_split_or_refused_with_the_memory_it_needs(
    track: Track,
    leave: Callable[[int], None],
    family: Family,
    ending: tuple[str, float | None],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    big = track.model_copy(
        update={
            "training": track.training.model_copy(update={"batch_size": LARGE_BATCH}),
            "data": track.data.model_copy(update={"num_train": LARGE_BATCH}),
        }
    )
    data = training_set(big, role="student", bias=None, seed=0, source=None)
    given = replace(assignment(big, tmp_path_factory.mktemp("run")), family=family)
    leave(int(0.75 * step_memory(given, data, LARGE_BATCH)))
    outcome = train(given, data, lambda *_: None)
    curve = outcome.curves[0] if outcome.curves else {}
    assert (outcome.status, curve.get("micro_batches")) == ending, outcome.reason
    assert outcome.status == "ok" or "statistics of the whole batch" in outcome.reason


def test_a_compiled_run_ends_near_the_plain_one(
    track: Track, data: TrainingSet, tmp_path_factory: pytest.TempPathFactory
) -> None:
    plain, compiled = (
        train(replace(assignment(track, tmp_path_factory.mktemp("run")), compiled=flag), data, lambda *_: None)
        for flag in (False, True)
    )
    assert compiled.status == "ok"
    assert abs(plain.curves[-1]["loss"] - compiled.curves[-1]["loss"]) < 0.1


def test_pixels_are_those_of_the_processor() -> None:
    stored = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (8, 3, 32, 32), np.uint8)).float()
    here = resized(stored, PAPER.data)
    torch.testing.assert_close(resized(stored.to(GPU), PAPER.data).cpu(), here, atol=0.01, rtol=0)
    for manipulation in (tile_table(np.arange(8), 224, grid=7), noise_table(np.arange(8), 224, size=64)):
        there = manipulation.apply(here.to(GPU), slice(0, 8)).cpu()
        assert torch.equal(there, manipulation.apply(here, slice(0, 8)))


def test_a_gpu_has_room_for_a_run_and_less_of_it_for_a_larger_one(track: Track) -> None:
    launcher, (gpu, *_) = ForkLauncher(LIMITS), visible_gpus()
    room = launcher.measure_room(track, gpu)
    larger = track.model_copy(update={"training": track.training.model_copy(update={"batch_size": LARGE_BATCH})})
    assert 0 < room.free_bytes < torch.cuda.get_device_properties(GPU).total_memory
    assert 0 < room.step_bytes < launcher.measure_room(larger, gpu).step_bytes


def test_runs_overlap_on_a_gpu_and_are_marked(tmp_path_factory: pytest.TempPathFactory) -> None:
    runs = [replace(run, device="cuda") for run in expanded(track=small(), directions=("vit-to-cnn",))]
    context = context_in(tmp_path_factory.mktemp("runs"))
    records = LocalExecutor(ForkLauncher(LIMITS), 2, visible_gpus()[:1]).execute(runs, context, Silent())
    assert [(record.status, record.reason) for record in records] == [("ok", "")] * len(runs)
    assert max(record.timing.beside for record in records) > 0


def test_every_visible_gpu_is_named() -> None:
    assert len(visible_gpus()) == torch.cuda.device_count()


def network_of(track: Track, family: Family) -> Backbone:
    return placed(new_backbone(track, family, seed=0, pretrained=False), GPU)


def images_for(track: Track, family: Family) -> Tensor:
    size = track.data.image_size
    images = torch.randn(16, 3, size, size, generator=torch.Generator().manual_seed(0)).to(GPU)
    return images.contiguous(memory_format=memory_format(family))


@pytest.mark.skipif(obstacle_to_compiling("cuda") is not None, reason="there is no compiler for CUDA")
@pytest.mark.parametrize("family", ["cnn", "vit"])
def test_a_compiled_network_has_the_losses_and_gradients_of_the_plain_one(track: Track, family: Family) -> None:
    results = []
    for compiled in (False, True):
        network = network_of(track, family).train()
        if compiled:
            compile_network(network)
        with autocast("bfloat16", GPU):
            output = network(images_for(track, family), ALL_FIELDS)
        loss = output.logits.float().square().mean() + output.pooled.float().square().mean()
        first = torch.autograd.grad(loss, list(network.parameters()), retain_graph=True)
        loss.backward()
        gradients = torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])
        torch.testing.assert_close(torch.cat([gradient.flatten() for gradient in first]), gradients)
        results.append((loss.item(), gradients))
    (plain, plain_gradients), (fast, fast_gradients) = results
    assert abs(plain - fast) < 0.02 * plain
    assert (plain_gradients - fast_gradients).norm() < 0.1 * plain_gradients.norm()


@pytest.mark.parametrize("family", ["cnn", "vit"])
def test_a_teacher_on_a_gpu_answers_like_the_network_that_it_was_made_of(track: Track, family: Family) -> None:
    images = images_for(track, family)
    with torch.no_grad():
        with autocast("bfloat16", GPU):
            usual = network_of(track, family).eval()(images, ALL_FIELDS)
        untrained = new_backbone(track, family, seed=0, pretrained=False)
        teacher = placed_teacher(untrained, GPU, "bfloat16")
        with autocast("bfloat16", GPU):
            fast = teacher(images, ALL_FIELDS)
    assert {parameter.dtype for parameter in teacher.parameters()} == {torch.bfloat16}
    for name in ("logits", "pooled", "feature_map", "dense_logits"):
        expected, actual = getattr(usual, name), getattr(fast, name)
        assert actual.dtype == expected.dtype
        assert (actual.float() - expected.float()).std() < 0.05 * expected.float().std()
