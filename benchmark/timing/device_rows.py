"""Checks that a device computes what the CPU computes, and measures evaluation and compilation on it."""

import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmark.timing.rows import CheckRow, seconds
from kdbench.data.pixels import resized
from kdbench.evaluation.answers import BATCH as EVALUATION_BATCH
from kdbench.evaluation.answers import logits_of
from kdbench.networks.backbone import Backbone
from kdbench.networks.compiling import compile_network
from kdbench.networks.placement import memory_format
from kdbench.networks.precision import autocast
from kdbench.spec import FAMILIES, Precision, Track
from kdbench.testsets.kinds.noise_patch import noise_table
from kdbench.testsets.kinds.tiles import tile_table
from kdbench.timing.timed_training import untrained_network

SAME_LOSS = 0.02  # relative difference that rounding in bfloat16 may make
SAME_PIXELS = 0.01  # grey levels that resizing on another device may differ by


def gpu_test_rows(tests: Path) -> Iterator[CheckRow]:
    """Check that the tests marked `gpu` pass, including those for a device with too little memory."""
    command = [sys.executable, "-m", "pytest", "-q", "--tb=no", "-m", "gpu", "-p", "no:cacheprovider", str(tests)]
    completed = subprocess.run(command, cwd=tests.parents[1], capture_output=True, text=True, check=False)
    lines = [line for line in completed.stdout.splitlines() if line.startswith("FAILED") or " in " in line]
    yield CheckRow("tests marked gpu", "; ".join(lines) or completed.stderr.strip()[-200:], completed.returncode == 0)


def pixel_rows(track: Track, device: torch.device) -> Iterator[CheckRow]:
    """Check that networks see the same images on the device as on the CPU."""
    size = track.data.stored_size
    stored = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (64, 3, size, size), np.uint8)).float()
    on_cpu, on_device = resized(stored, track.data), resized(stored.to(device), track.data).cpu()
    largest = (on_cpu - on_device).abs().max().item()
    yield CheckRow(
        "resizing, compared with the CPU", f"largest difference {largest:.5f} grey levels", largest < SAME_PIXELS
    )
    if track.data.resize is None:  # other tracks keep their manipulated images
        return
    ids, sets = np.arange(64), {test_set.name: test_set.parameters for test_set in track.test_sets}
    for name, manipulation in (
        ("scramble-7", tile_table(ids, track.data.image_size, **sets["scramble-7"])),  # type: ignore[arg-type]
        ("noise", noise_table(ids, track.data.image_size, **sets["noise"])),  # type: ignore[arg-type]
    ):
        on_device = manipulation.apply(on_cpu.to(device), slice(0, 64)).cpu()
        equal = torch.equal(manipulation.apply(on_cpu, slice(0, 64)), on_device)
        yield CheckRow(f"{name}, compared with the CPU", "equal" if equal else "not equal", equal)


def evaluation_rows(track: Track, device: torch.device, images: int = 8 * EVALUATION_BATCH) -> Iterator[CheckRow]:
    """Measure the number of images per second that a network evaluates."""
    size, precision = track.data.stored_size, track.training.precision_on(device.type)
    pixels = np.random.default_rng(0).integers(0, 256, (images, size, size, 3), np.uint8)
    for family in FAMILIES:
        network = untrained_network(track, family, device).eval()
        taken = seconds(partial(logits_of, network, pixels, track.data, device, precision=precision), 2, device)
        yield CheckRow(f"evaluation of a {family}", f"{images / taken:.0f} images/s")


def compile_rows(track: Track, device: torch.device, rounds: int = 20, backend: str = "inductor") -> Iterator[CheckRow]:
    """Measure the speed-up by torch.compile, and check that it changes only the rounding."""
    size, precision = track.data.image_size, track.training.precision_on(device.type)
    for family in FAMILIES:
        images = torch.randn(track.training.batch_size, 3, size, size, device=device)
        network = untrained_network(track, family, device).train()
        step = partial(_step, network, images.contiguous(memory_format=memory_format(family)), precision)
        plain, loss = seconds(step, rounds, device), step().item()
        compile_network(network, backend)
        compiled, compiled_loss = seconds(step, rounds, device), step().item()
        yield CheckRow(
            f"--compile of a {family}",
            f"{1000 * plain:.1f} ms per step without it, {1000 * compiled:.1f} ms with; "
            f"losses {loss:.5f} and {compiled_loss:.5f}",
            abs(compiled_loss - loss) <= SAME_LOSS * abs(loss),
        )


def _step(network: Backbone, images: Tensor, precision: Precision) -> Tensor:
    """Return the loss of a step on images (B, 3, H, H) without updating the weights."""
    network.zero_grad(set_to_none=True)
    with autocast(precision, images.device):
        logits = network(images).logits
    loss: Tensor = logits.float().square().mean()
    loss.backward()  # type: ignore[no-untyped-call]
    return loss.detach()
