"""Checks that need a GPU, printed one line at a time: `python benchmark/timing/gpu_checks.py`.

Networks have the real sizes and random weights, images are noise: the cost depends on neither. A line that is BAD is
one whose check failed, died or missed its target.
"""

import argparse
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmark.timing.picture_rows import Effort, mask_rows, style_rows, texture_rows
from benchmark.timing.rows import CheckRow, guarded, matrix_peak, seconds
from benchmark.timing.training_rows import Bench, training_rows
from kdbench.data.pixels import resized
from kdbench.evaluation.answers import BATCH as EVALUATION_BATCH
from kdbench.evaluation.answers import logits_of
from kdbench.methods.files import list_submissions
from kdbench.networks.backbone import Backbone, compile_parts
from kdbench.networks.placement import memory_format
from kdbench.networks.precision import autocast
from kdbench.spec import FAMILIES, Precision, Track
from kdbench.testsets.fcn import Segmenter, new_fcn
from kdbench.testsets.kinds.noise_patch import noise_table
from kdbench.testsets.kinds.tiles import tile_table
from kdbench.testsets.picture_networks import PictureNetworks
from kdbench.testsets.spec import load_spec
from kdbench.testsets.vgg import new_vgg
from kdbench.timing.timed_training import untrained_network

GPU = torch.device("cuda")
TERA = 1e12
TESTS = Path(__file__).parents[2] / "tests" / "test_gpu.py"
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
        compile_parts(network, backend)
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


def all_rows(bench: Bench, methods: list[str]) -> Iterator[CheckRow]:
    """Run all checks, starting with the quick and informative ones."""
    track, device = bench.track, bench.device
    networks = PictureNetworks(
        device, lambda place: Segmenter(new_fcn()).to(place).eval(), lambda place: new_vgg().to(place).eval()
    )
    yield CheckRow("bfloat16 matrix peak", f"{bench.peak / TERA:.0f} TFLOP/s")
    yield from guarded("tests marked gpu", lambda: gpu_test_rows(TESTS))
    yield from guarded("pixels", lambda: pixel_rows(track, device))
    yield from training_rows(bench, methods)
    yield from guarded("evaluation", lambda: evaluation_rows(track, device))
    yield from guarded("--compile", lambda: compile_rows(track, device))
    for check, rows in (
        ("object masks", mask_rows),
        ("texture synthesis", texture_rows),
        ("style transfer", style_rows),
    ):
        yield from guarded(check, partial(rows, track, networks, Effort()))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--track", default="cifar10-224")
    parser.add_argument(
        "--methods", default="", help="names of methods, separated by commas (default: all submissions)"
    )
    parser.add_argument("--steps", type=int, default=200, help="number of training steps to time")
    parser.add_argument(
        "--images",
        type=int,
        help="number of training images, all of which `prepare` may use (default: as in the track)",
    )
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        print("gpu_checks: there is no CUDA device here, so nothing was checked", file=sys.stderr)
        return 2
    track = load_spec().track(arguments.track)
    images = arguments.images or track.data.num_train
    bench = Bench(track, GPU, matrix_peak(GPU), arguments.steps, images)
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}", flush=True)
    bad = 0
    for row in all_rows(bench, arguments.methods.split(",") if arguments.methods else list_submissions()):
        print(row, flush=True)
        bad += row.good is False
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
