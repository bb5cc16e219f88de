"""Checks that need a GPU, printed one line at a time: `python benchmark/timing/gpu_checks.py --minutes 8`.

Networks have the real sizes and random weights, images are noise: the cost depends on neither. The checks with targets
come first. Each check runs in a process of its own; one that fails, dies or misses its target is a line with MISS, and
so is one for which no time was left. The exit code is 1 if there is such a line.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import torch

from benchmark.timing.budget import Check, rows_of_process, within_budget
from benchmark.timing.device_rows import compile_rows, evaluation_rows, gpu_test_rows, pixel_rows
from benchmark.timing.loops import LoopEffort
from benchmark.timing.paper_rows import paper_rows
from benchmark.timing.picture_rows import Effort, mask_rows, style_rows, texture_rows
from benchmark.timing.rows import CheckRow, guarded, matrix_peak
from benchmark.timing.run_rows import board_rows, run_rows
from benchmark.timing.side_by_side import Crowd, crowd_row
from benchmark.timing.small_rows import PLAIN, small_rows
from benchmark.timing.training_rows import Bench, training_rows
from kdbench.leaderboard.published import PAPER_TRACK
from kdbench.methods.files import list_submissions
from kdbench.spec import Direction
from kdbench.testsets.fcn import Segmenter, new_fcn
from kdbench.testsets.picture_networks import PictureNetworks
from kdbench.testsets.spec import load_spec
from kdbench.testsets.vgg import new_vgg

GPU = torch.device("cuda")
TERA = 1e12
TESTS = Path(__file__).parents[2] / "tests" / "test_gpu.py"
WAYS: tuple[Direction, ...] = ("cnn-to-vit", "vit-to-cnn")
SMALL_TRACK = "cifar10-32"
RUN_ARGUMENTS = ("--track", "synthetic", "--methods", "lm", "--directions", "cnn-to-vit", "--limit-test", "300")
RUN_SECONDS = 90.0
LOADERS = 8  # processes of the plain loop's DataLoader, as in RepDistiller
SMALL_EFFORT = LoopEffort(steps=30, rounds=6, workers=LOADERS, images=50_000)
RUNS_AT_ONCE, CROWD_SECONDS = 4, 8.0
PAPER_STEPS, METHOD_STEPS, PAPER_IMAGES = 40, 8, 1024


def small_check(direction: Direction) -> Iterator[CheckRow]:
    """Name the device, and measure the forms of a step on small images beside the plain loop."""
    yield CheckRow("device", f"{torch.cuda.get_device_name()}, PyTorch {torch.__version__}")
    yield from small_rows(load_spec().track(SMALL_TRACK), direction, GPU, SMALL_EFFORT)


def paper_check(direction: Direction) -> Iterator[CheckRow]:
    """Measure the paper's track in the fastest form of its steps."""
    bench = _paper_bench(PAPER_STEPS, load_spec().track(PAPER_TRACK).data.num_train)
    yield CheckRow("bfloat16 matrix peak", f"{bench.peak / TERA:.0f} TFLOP/s")
    yield from paper_rows(bench, direction)


def crowd_check(direction: Direction, facts: Mapping[str, float]) -> Iterator[CheckRow]:
    """Measure several trainings at once."""
    track = load_spec().track(SMALL_TRACK)
    crowd = Crowd(track, direction, "cuda", SMALL_EFFORT.images, "compiled", RUNS_AT_ONCE, CROWD_SECONDS)
    return crowd_row(crowd, facts.get(f"{direction} {PLAIN}"), facts.get(f"{direction} fastest"))


def methods_check() -> Iterator[CheckRow]:
    """Measure an eager step of each method, part by part."""
    return training_rows(_paper_bench(METHOD_STEPS, PAPER_IMAGES), list_submissions())


def _paper_bench(steps: int, images: int) -> Bench:
    return Bench(load_spec().track(PAPER_TRACK), GPU, matrix_peak(GPU), steps, images)


def device_check() -> Iterator[CheckRow]:
    """Compare the device with the CPU, and measure evaluation and compilation."""
    track = load_spec().track(PAPER_TRACK)
    yield from guarded("pixels", lambda: pixel_rows(track, GPU))
    yield from guarded("evaluation", lambda: evaluation_rows(track, GPU))
    yield from guarded("--compile", lambda: compile_rows(track, GPU))


def pictures_check() -> Iterator[CheckRow]:
    """Measure and repeat the making of pictures by networks."""
    track = load_spec().track(PAPER_TRACK)
    networks = PictureNetworks(
        GPU, lambda place: Segmenter(new_fcn()).to(place).eval(), lambda place: new_vgg().to(place).eval()
    )
    for check, rows in (
        ("object masks", mask_rows),
        ("texture synthesis", texture_rows),
        ("style transfer", style_rows),
    ):
        yield from guarded(check, partial(rows, track, networks, Effort()))


def all_checks(facts: Mapping[str, float]) -> dict[Check, Callable[[], Iterator[CheckRow]]]:
    """Return all checks, those with targets first, and what does each.

    Args:
        facts: of earlier rows.
    """
    first, second = WAYS
    return {
        Check(f"32 px {first}", 110): partial(small_check, first),
        Check("kdbench run", 100): partial(run_rows, RUN_ARGUMENTS, "cuda", RUN_SECONDS),
        Check(f"224 px {first}", 100): partial(paper_check, first),
        Check("tests marked gpu", 100): partial(gpu_test_rows, TESTS),
        Check(f"32 px {second}", 110): partial(small_check, second),
        Check(f"224 px {second}", 100): partial(paper_check, second),
        Check(f"at once {first}", 75): partial(crowd_check, first, facts),
        Check("boards", 30, least=10): partial(board_rows, facts),
        Check("methods", 120): methods_check,
        Check(f"at once {second}", 75): partial(crowd_check, second, facts),
        Check("device", 120): device_check,
        Check("pictures", 120): pictures_check,
    }


def checked_rows(names: list[str], minutes: float) -> Iterator[CheckRow]:
    """Do checks within some minutes, each in a process that knows the facts of the earlier ones."""
    facts: dict[str, float] = {}

    def start(check: Check, most: float) -> Iterator[CheckRow]:
        command = [sys.executable, __file__, "--check", check.name, "--facts", json.dumps(facts)]
        for row in rows_of_process(check.name, command, most):
            facts.update(row.facts)
            yield row

    checks = [check for check in all_checks({}) if not names or check.name in names]
    return within_budget(checks, 60 * minutes, start)


def print_check(name: str, facts: Mapping[str, float]) -> None:
    """Do one check in this process and print its rows as JSON."""
    (rows,) = (rows for check, rows in all_checks(facts).items() if check.name == name)
    for row in guarded(name, rows):
        print(row.as_json(), flush=True)


def main() -> int:
    names = [check.name for check in all_checks({})]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=8.0, help="for all checks together")
    parser.add_argument("--only", nargs="+", default=[], choices=names, metavar="NAME", help=f"one of: {names}")
    parser.add_argument("--check", choices=names, help=argparse.SUPPRESS)
    parser.add_argument("--facts", type=json.loads, default={}, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        print("gpu_checks: there is no CUDA device here, so nothing was checked", file=sys.stderr)
        return 2
    if arguments.check:
        print_check(arguments.check, arguments.facts)
        return 0
    bad = 0
    for row in checked_rows(arguments.only, arguments.minutes):
        print(row, flush=True)
        bad += row.good is False
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
