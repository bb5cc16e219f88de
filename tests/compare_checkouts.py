"""Compare, byte for byte, what two checkouts of kdbench make: the proof that a clean-up changed nothing.

    python tests/compare_checkouts.py OLD NEW --work /tmp/compare

Each checkout builds all synthetic test sets, trains a small matrix with every method and control, and scores and
renders the official records, through the command line alone. The work folder keeps what was made, so that a second
call with the same folder compares without making it again.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

SMALL_MATRIX = ("--limit-train", "300", "--limit-test", "60", "--epochs", "1", "--controls", "basic", "--no-mlflow")
# What is measured of a run is never the same twice.
MEASURED = {"environment", "timing", "finished", "seconds", "peak_memory_bytes"}
MEASURED |= {"epoch_seconds", "evaluation_seconds", "training_seconds", "relative_time"}
MEASURED |= {"record", "log.txt"}  # digests of what holds the above


def main() -> None:
    """Make what is missing, compare, and end with status 1 if anything differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "checkouts", nargs=2, type=Path, metavar="CHECKOUT", help="folder of the old checkout, then of the new one"
    )
    parser.add_argument("--work", type=Path, required=True, help="folder to write the outputs of both checkouts into")
    parser.add_argument(
        "--cifar10", type=Path, help="folder of CIFAR-10; with it, the test sets of cifar10-32 are compared too"
    )
    arguments = parser.parse_args()
    old, new = (arguments.work.resolve() / name for name in ("old", "new"))
    for checkout, folder in zip(arguments.checkouts, (old, new), strict=True):
        make(checkout.resolve(), folder, arguments.cifar10)
    differences = sorted(compare(fingerprints(old), fingerprints(new)))
    print("\n".join(differences) or "no difference")
    sys.exit(1 if differences else 0)


def make(checkout: Path, folder: Path, cifar10: Path | None) -> None:
    """Run the commands of a checkout that have not been run into `folder` yet."""
    results, official = folder / "results", checkout / "leaderboard" / "results"
    commands = {
        "build": ("data", "build", "--track", "synthetic", "--diagnostics"),
        "run": ("run", *SMALL_MATRIX, "--out", str(folder / "runs"), "--site", str(folder / "small-site")),
    }
    if (official / "scores.json").exists():
        shutil.copytree(official, results, dirs_exist_ok=True)
        commands["leaderboard"] = ("leaderboard", str(results), "--site", str(folder / "site"))
    if cifar10 is not None:
        limited = ("--data-root", str(cifar10.resolve()), "--limit-test", "200", "--diagnostics")
        commands["cifar10"] = ("data", "build", "--track", "cifar10-32", *limited)
    environment = os.environ | {"PYTHONPATH": str(checkout), "KDBENCH_CACHE": str(folder / "cache")}
    for name, arguments in commands.items():
        done = folder / f"{name}.done"
        if not done.exists():
            print(f"{folder.name}: kdbench {' '.join(arguments)}", flush=True)
            command = [sys.executable, "-m", "kdbench", *arguments]
            subprocess.run(command, cwd=checkout, env=environment, check=True, stdout=subprocess.DEVNULL)
            done.touch()


def fingerprints(folder: Path) -> dict[str, str]:
    """Return a digest of everything that must stay the same, by its path below `folder`."""
    return dict(_fingerprints(folder))


def _fingerprints(folder: Path) -> Iterator[tuple[str, str]]:
    files = ["results/scores.json", "site/index.html"]
    patterns = ("cache/*/*/*.npy", "runs/*/*/*.npz", "runs/*/*/*.safetensors", "runs/*/gallery.npz")
    files += [str(path.relative_to(folder)) for pattern in patterns for path in sorted(folder.glob(pattern))]
    for name in files:
        yield name, _digest_of_file(folder / name)
    for path in (folder / "runs" / "scores.json", *sorted(folder.glob("runs/*/*/result.json"))):
        text = json.dumps(_without_measurements(json.loads(path.read_text())), sort_keys=True)
        yield str(path.relative_to(folder)), hashlib.sha256(text.encode()).hexdigest()


def _without_measurements(value: object) -> object:
    if isinstance(value, dict):
        return {key: _without_measurements(inner) for key, inner in value.items() if key not in MEASURED}
    if isinstance(value, list):
        return [_without_measurements(inner) for inner in value]
    return value


def _digest_of_file(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "missing"


def compare(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[str]:
    """Yield a line for each file that only one side has or that differs."""
    print(f"{len(old)} files of the old checkout, {len(new)} of the new")
    for name in old.keys() | new.keys():
        if old.get(name) != new.get(name):
            what = "only old" if name not in new else "only new" if name not in old else "differs"
            yield f"{what}: {name}"


if __name__ == "__main__":
    main()
