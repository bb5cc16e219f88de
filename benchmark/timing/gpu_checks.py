"""Everything that only a GPU can show, in one table: `python benchmark/timing/gpu_checks.py`.

Networks have the real sizes and random weights, images are noise: the cost depends on neither. A training step is the
harness's own, teacher forward, loss, update and metering included; its rate is that of `--steps` steps after warming
up, with the device waited for at the end. Seconds an epoch are of the track's training images, without evaluation.
"""

import argparse
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch.utils.flop_counter import FlopCounterMode

from benchmark.timing.test_training_step import training_step
from kdbench.backbones import Backbone, compile_parts
from kdbench.data.pixels import resized
from kdbench.evaluation import BATCH as EVALUATION_BATCH
from kdbench.evaluation import logits_of
from kdbench.method_files import list_submissions
from kdbench.resources import shipped
from kdbench.spec import Direction, Family, Track, load_spec
from kdbench.submissions import load_submission
from kdbench.testsets.fcn import Segmenter, new_fcn
from kdbench.testsets.network_sets import BATCH as OPTIMISED_AT_ONCE
from kdbench.testsets.network_sets import Networks
from kdbench.testsets.on_device import manipulated, noise_of, orders_of
from kdbench.testsets.vgg import Adam, VggFeatures, new_vgg, repeatable, texture_of
from kdbench.training.networks import new_backbone

GPU, CPU = torch.device("cuda"), torch.device("cpu")
GIB, TERA = 2**30, 1e12
PAPER_TABLES: dict[Direction, str] = {"cnn-to-vit": "table-2.toml", "vit-to-cnn": "table-4.toml"}
PAPER_NAMES = {"Logit Matching": "lm"}  # where the paper's is not the submission's in capitals
MATRIX = 8192  # rows and columns of the matrices whose product is the device's peak
FAMILIES: tuple[Family, ...] = ("cnn", "vit")


@dataclass(frozen=True)
class Row:
    """One line of the table; `good` is None where there is nothing to pass."""

    check: str
    result: str
    good: bool | None = None


def seconds(work: Callable[[], object], rounds: int) -> float:
    """Seconds of one round of some work on the GPU, after two to warm up."""
    for _ in range(2):
        work()
    torch.cuda.synchronize()
    started = time.perf_counter()
    for _ in range(rounds):
        work()
    torch.cuda.synchronize()
    return (time.perf_counter() - started) / rounds


def matrix_peak() -> float:
    """FLOP/s of a product of big bfloat16 matrices."""
    left, right = (torch.randn(MATRIX, MATRIX, device=GPU, dtype=torch.bfloat16) for _ in range(2))
    return 2 * MATRIX**3 / seconds(lambda: left @ right, 20)


def paper_seconds(direction: Direction) -> dict[str, float]:
    """Seconds an epoch in the paper's table of a direction, by submission."""
    table = tomllib.loads(shipped("leaderboard", "published", PAPER_TABLES[direction]).read_text())
    return {PAPER_NAMES.get(row["method"], row["method"].lower()): float(row["values"][0]) for row in table["rows"]}


def training_rows(track: Track, methods: list[str], steps: int, peak: float) -> Iterator[Row]:
    """A line for each method and direction."""
    for direction in track.directions:
        for name in methods:
            if direction in load_submission(name).directions:
                yield _guarded(f"{name} {direction}", partial(_training, track, direction, name, steps, peak))


def _training(track: Track, direction: Direction, name: str, steps: int, peak: float, theirs: dict[str, float]) -> str:
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    step = training_step(track, direction, name, GPU)
    with FlopCounterMode(display=False) as counter:
        step()
    taken = seconds(step, steps)
    rate = track.training.batch_size / taken
    theirs = paper_seconds(direction)
    paper = f"{theirs[name]:.0f} s in the paper" if name in theirs else "not timed in the paper"
    return (
        f"{rate:7.0f} images/s, {counter.get_total_flops() / taken / peak:4.0%} of the matrix peak, "
        f"{torch.cuda.max_memory_allocated() / GIB:5.1f} GiB, {track.data.num_train / rate:6.1f} s an epoch ({paper})"
    )


def evaluation_rows(track: Track) -> Iterator[Row]:
    """Images a second that a network is asked about."""
    images = np.random.default_rng(0).integers(0, 256, (8 * EVALUATION_BATCH, 32, 32, 3), np.uint8)
    for family in FAMILIES:
        network = _network(track, family).eval()
        taken = seconds(partial(logits_of, network, images, track.data, GPU, bfloat16=True), 2)
        yield Row(f"evaluation of a {family}", f"{len(images) / taken:7.0f} images/s")


def _network(track: Track, family: Family) -> Backbone:
    backbone = new_backbone(track, family, seed=0, pretrained=False)
    memory_format = torch.channels_last if family == "cnn" else torch.contiguous_format
    return backbone.to(GPU, memory_format=memory_format)  # type: ignore[call-overload,no-any-return]


def pixel_rows(track: Track) -> Iterator[Row]:
    """Whether the GPU sees the images that the processor sees."""
    stored = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (64, 3, 32, 32), np.uint8)).float()
    here, there = resized(stored, track.data), resized(stored.to(GPU), track.data).cpu()
    largest = (here - there).abs().max().item()
    yield Row("resizing, against the processor", f"largest difference {largest:.5f} grey levels", largest < 0.01)
    ids, size, sets = np.arange(64), track.data.image_size, {one.name: one.parameters for one in track.test_sets}
    for name, manipulation in (
        ("scramble-7", orders_of(ids, size, **sets["scramble-7"])),  # type: ignore[arg-type]
        ("noise", noise_of(ids, size, **sets["noise"])),  # type: ignore[arg-type]
    ):
        on_gpu = manipulated(here.to(GPU), manipulation, slice(0, 64)).cpu()
        same = torch.equal(manipulated(here, manipulation, slice(0, 64)), on_gpu)
        yield Row(f"{name}, against the processor", "equal" if same else "not equal", same)


def compile_rows(track: Track) -> Iterator[Row]:
    """What torch.compile gains, and that it changes rounding alone."""
    images = torch.randn(track.training.batch_size, 3, track.data.image_size, track.data.image_size, device=GPU)
    for family in FAMILIES:
        network = _network(track, family).train()

        def step(network: Backbone = network) -> None:
            with torch.autocast("cuda", torch.bfloat16):
                logits = network(images).logits
            logits.float().square().mean().backward()

        plain = seconds(step, 20)
        compile_parts(network)
        compiled = seconds(step, 20)
        yield Row(f"--compile of a {family}", f"{1000 * plain:.1f} ms a step without, {1000 * compiled:.1f} ms with")


def test_set_rows(track: Track) -> Iterator[Row]:
    """What building the test sets that networks make would take."""
    size, images = track.data.image_size, 10000
    networks = Networks(GPU, lambda device: Segmenter(new_fcn()).to(device).eval(), lambda device: new_vgg().to(device))
    stored = np.random.default_rng(0).integers(0, 256, (64, 32, 32, 3), np.uint8)
    taken = seconds(lambda: networks.segment(stored, track.data), 2) / len(stored)
    yield Row("object masks", f"{1 / taken:7.0f} images/s, {images * taken / 60:.1f} min for {images}")
    texture = texture_of({one.name: one.parameters for one in track.test_sets}["texture"])
    short = type(texture)(texture.layers, Adam(10, texture.adam.learning_rate))
    vgg = VggFeatures(networks.vgg, "average").to(GPU).requires_grad_(False)
    sources = torch.rand(OPTIMISED_AT_ONCE, 3, size, size, device=GPU) * 255
    weight = torch.ones(OPTIMISED_AT_ONCE, size, size, device=GPU)
    with repeatable():
        taken = seconds(lambda: short.synthesised(vgg, sources, weight, sources), 2)
        first, second = (short.synthesised(vgg, sources, weight, sources.flip(0)) for _ in range(2))
    total = taken / 10 * texture.adam.steps / OPTIMISED_AT_ONCE * images
    yield Row("texture synthesis", f"{total / 60:.0f} min for {images} images of {texture.adam.steps} steps")
    same = torch.equal(first, second)
    yield Row("texture synthesis, once more", "the same bytes" if same else "other bytes", same)


test_set_rows.__test__ = False  # type: ignore[attr-defined]


def _guarded(check: str, work: Callable[[], str]) -> Row:
    """A line that says what went wrong instead of ending the script."""
    try:
        return Row(check, work())
    except (RuntimeError, ValueError) as error:
        return Row(check, f"{type(error).__name__}: {str(error).splitlines()[0]}", good=False)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--track", default="cifar10-224")
    parser.add_argument("--methods", default="", help="names, with commas (default: all submissions)")
    parser.add_argument("--steps", type=int, default=200, help="training steps that are timed")
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        print("gpu_checks: there is no CUDA device here, so nothing was checked", file=sys.stderr)
        return 2
    track, peak = load_spec().track(arguments.track), matrix_peak()
    methods = arguments.methods.split(",") if arguments.methods else list_submissions()
    table = Table("check", "result", "", title=f"{torch.cuda.get_device_name()}, torch {torch.__version__}")
    bad = 0
    for row in (
        Row("bfloat16 matrix peak", f"{peak / TERA:.0f} TFLOP/s"),
        *pixel_rows(track),
        *training_rows(track, methods, arguments.steps, peak),
        *evaluation_rows(track),
        *compile_rows(track),
        *test_set_rows(track),
    ):
        table.add_row(row.check, row.result, {None: "", True: "good", False: "BAD"}[row.good])
        bad += row.good is False
    Console(width=160).print(table)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
