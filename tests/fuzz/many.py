"""Give every reader many damaged files, and count what it said: `python -m tests.fuzz.many --examples 5000`.

The test suite does the same with few examples. The first input of a target that breaks the property is shown, and kept
in the folder of failures.
"""

import argparse
import logging
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.strategies import SearchStrategy

from tests.fuzz.property import check
from tests.fuzz.targets import targets


def run_many(
    contents: SearchStrategy[bytes], take: Callable[[bytes], bool], examples: int, *, seed: int
) -> tuple[Counter[str], bytes | None, str]:
    """Give contents to a property until one breaks it.

    Returns:
        How many inputs were read and refused, the smallest input that broke the property, and how.
    """
    counts: Counter[str] = Counter()
    last = b""

    def one_example(content: bytes) -> None:
        nonlocal last
        last = content
        counts["read" if take(content) else "refused"] += 1

    checks = settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        derandomize=False,
        print_blob=False,
        report_multiple_bugs=False,
    )
    from hypothesis import seed as seeded

    try:
        seeded(seed)(checks(given(contents)(one_example)))()
    except Exception as error:
        trace = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)]
        return counts, last, "\n".join(["", *trace[-6:], f"{type(error).__name__}: {str(error)[:400]!r}"])
    return counts, None, ""


def main() -> int:
    """Run the targets that were asked for; return 1 if one of them failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=1000, help="inputs per target")
    parser.add_argument("--targets", default="", help="names separated by commas (default: all)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--failures", type=Path, default=Path("fuzz-failures"))
    given_options = parser.parse_args()
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    failed = 0
    with tempfile.TemporaryDirectory() as root:
        chosen = [name for name in given_options.targets.split(",") if name]
        for name, target in targets(Path(root)).items():
            if chosen and name not in chosen:
                continue
            started = time.monotonic()
            counts, broken, how = run_many(
                target.damaged,
                partial(check, target),
                given_options.examples,
                seed=given_options.seed,
            )
            seconds = time.monotonic() - started
            print(f"{name}: {sum(counts.values())} inputs, {dict(counts)}, {seconds:.0f} s", flush=True)
            if broken is not None:
                failed += 1
                given_options.failures.mkdir(parents=True, exist_ok=True)
                (given_options.failures / name).write_bytes(broken)
                print(f"  FAILED on {broken[:300]!r}\n{how}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
