"""Try every property with many inputs, and count what it said: `python -m tests.fuzz.many --examples 5000`.

The test suite does the same with few examples. An input that breaks a property is shown, and kept in the
folder of failures. A property that accepts every input or refuses every one tries too little, which is a failure, too.
"""

import argparse
import logging
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

from hypothesis import HealthCheck, given, settings

from tests.fuzz.property import Property
from tests.fuzz.targets import properties

BYTES_PER_INPUT = 4096  # from which an input is drawn
ENOUGH = 200  # inputs of which at least one should be accepted and one refused


def run_many(tried: Property, examples: int, *, seed: int) -> tuple[Counter[str], object, str]:
    """Give inputs to a property until one breaks it.

    Inputs are drawn from random bytes, without Hypothesis's search, which takes longer than most readers do.

    Returns:
        How many inputs were accepted and refused; and, of an input that broke the property, what it is and how it did.
    """
    counts: Counter[str] = Counter()
    last: object = None

    def one_example(given_input: object) -> None:
        nonlocal last
        last = given_input
        counts["accepted" if tried.holds(given_input) else "refused"] += 1

    options = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck))
    test: Any = options(given(tried.inputs)(one_example))
    random = Random(seed)
    while sum(counts.values()) < examples:
        try:
            test.hypothesis.fuzz_one_input(random.randbytes(BYTES_PER_INPUT))
        except Exception as error:
            return counts, last, _how(error)
    return counts, None, ""


def _how(error: Exception) -> str:
    trace = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)]
    return "\n".join(["", *trace[-6:], f"{type(error).__name__}: {str(error)[:400]!r}"])


def _line(name: str, counts: Counter[str], seconds: float) -> str:
    accepted, refused = counts["accepted"], counts["refused"]
    return f"{name}: {accepted + refused} inputs, {accepted} accepted, {refused} refused, {seconds:.0f} s"


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
        for name, tried in properties(Path(root)).items():
            if chosen and name not in chosen:
                continue
            started = time.monotonic()
            counts, broken, how = run_many(tried, given_options.examples, seed=given_options.seed)
            print(_line(name, counts, time.monotonic() - started), flush=True)
            if how:
                given_options.failures.mkdir(parents=True, exist_ok=True)
                content = broken if isinstance(broken, bytes) else repr(broken).encode()
                (given_options.failures / name).write_bytes(content)
                print(f"  FAILED on {broken!r:.300}\n{how}", flush=True)
            elif sum(counts.values()) >= ENOUGH and not (counts["accepted"] and counts["refused"]):
                print("  FAILED: it accepted every input, or refused every one", flush=True)
            else:
                continue
            failed += 1
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
