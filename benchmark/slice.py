"""Make one slice of a board: take what earlier slices did from a file, go on for some minutes, and write it back.

    python benchmark/slice.py --track cifar10-32 --minutes 8 --pack board.zip -- --data-root cifar10 --seeds 0-4

The script needs an installed kdbench and nothing else of the repository, so it can be copied to a borrowed machine
alone. What stands after `--` goes to `kdbench run`. The exit code is 0 when all runs are done, 3 when runs are left,
and otherwise that of the command that failed. `docs/slices.md` says more.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

RUNS_ARE_LEFT, RUNS_FAILED = 3, 1  # exit codes of `kdbench run`
RECORDS_LEFT_OUT = 1  # exit code of `kdbench results merge`, which has merged the others
LEAST_MINUTES = 0.01


def kdbench(*arguments: str) -> int:
    """Run a command of the installed kdbench, and return its exit code."""
    return subprocess.run([sys.executable, "-m", "kdbench", *arguments], check=False).returncode


def make_slice(track: str, minutes: float, pack: Path, out: Path, more: list[str], *, with_weights: bool) -> int:
    """Merge the pack, run until the minutes are over, and pack again.

    Args:
        track: of the board.
        minutes: after which the runs stop; reading the pack counts, and writing it does not.
        pack: of earlier slices; the first slice makes it.
        out: folder of the records.
        more: further arguments of `kdbench run`.
        with_weights: whether the pack has the weights of students.

    Returns:
        The exit code.
    """
    end = time.monotonic() + 60 * minutes
    spec = arguments_of("--spec", more)
    if pack.exists():
        code = kdbench("results", "merge", str(pack), str(out), *spec)
        if code not in (0, RECORDS_LEFT_OUT):
            return code
    left = max(LEAST_MINUTES, (end - time.monotonic()) / 60)
    code = kdbench("run", "--track", track, "--out", str(out), "--stop-after", f"{left:.3f}", *more)
    if code not in (0, RUNS_FAILED, RUNS_ARE_LEFT):
        return code
    weights = ["--with-weights"] if with_weights else []
    return kdbench("results", "pack", str(pack), str(out), *weights, *spec) or code


def arguments_of(option: str, arguments: list[str]) -> list[str]:
    """Return the part of some arguments that gives an option and its value; nothing if they do not give it."""
    for position, argument in enumerate(arguments):
        if argument == option:
            return arguments[position : position + 2]
        if argument.startswith(f"{option}="):
            return [argument]
    return []


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--track", default="synthetic")
    parser.add_argument("--minutes", type=float, required=True, help="after which no run starts and all others stop")
    parser.add_argument("--pack", type=Path, required=True, help="file that goes from one slice to the next")
    parser.add_argument("--out", type=Path, default=Path("runs"), help="folder of the records")
    parser.add_argument("--with-weights", action="store_true", help="keep the weights of students in the pack, too")
    parser.add_argument("more", nargs="*", metavar="-- ARGUMENTS", help="of `kdbench run`")
    given = parser.parse_args()
    if not given.minutes >= LEAST_MINUTES:
        parser.error(f"--minutes {given.minutes} is not allowed; give a number of at least {LEAST_MINUTES}")
    return make_slice(given.track, given.minutes, given.pack, given.out, given.more, with_weights=given.with_weights)


if __name__ == "__main__":
    sys.exit(main())
