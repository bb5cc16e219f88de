"""Kill `kdbench run` at random moments, again and again, until it must have lost something if it can.

    python -m tests.jobs.kill_at_random --kills 50 --seed 0 --work /tmp/kills

A small matrix is run once without a break. Then the same command is killed and given again until enough kills have
hit a running command; whenever it ends by itself, its folders are compared with those of the unbroken one, and it
begins anew. Half of the kills come at a time that is drawn from the time that the rest needs, the others when a file
of some kind changes. After each kill no process may survive, and every file must be readable. The same call goes on
where an earlier one stopped.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from kdbench.records import find_records
from tests.jobs.small_matrix import METHOD_THAT_FAILS, SmallMatrix

PATIENCE = 1800  # seconds; nothing is timed here, so that a busy machine only takes longer
POLL_SECONDS = 0.001
SHARE_OF_START = 0.25  # of the time that a matrix takes; each command begins with it
# How often each way to end the command is chosen: a signal to it alone, or to its whole process group.
WAYS = {("SIGKILL", False): 6, ("SIGKILL", True): 2, ("SIGTERM", False): 1, ("SIGINT", False): 1, ("SIGINT", True): 1}
# Files whose changes are moments to kill at, by how much of the matrix is done before the command: nothing, so that the
# test sets are not built; any part; more than half, since these files come last. With how many changes to wait for.
MOMENTS_IN_START = {"cache/*/*/*": 20, "runs/synthetic/gallery.npz": 1}
MOMENTS = {
    "temporary/kdbench-describe-*/*/answer.json": 2,
    "runs/.scratch/*/checkpoint.pt": 6,
    "runs/.scratch/*/training.json": 4,
    "runs/synthetic/*/training.json": 4,
    "runs/synthetic/*/weights.safetensors": 4,
    "runs/synthetic/*/predictions.npz": 4,
    "runs/synthetic/*/result.json": 4,
    "runs/**/.*.????????": 20,
}
MOMENTS_AT_END = {"runs/current.json": 1, "runs/scores.json": 1, "site/.*": 1, "site/index.html": 1}


@dataclass(frozen=True)
class Kill:
    """One attempt to kill the command.

    Attributes:
        way: the signal, and whether the whole process group got it.
        moment: the time in seconds, or the pattern of the files that had changed.
        hit: whether the command was still running; else it had ended by itself.
        phase: what the command was doing.
        problems: what must not be.
    """

    way: str
    moment: str
    hit: bool
    phase: str
    problems: tuple[str, ...] = field(default=())


class Campaign:
    """Kills the command that fills a matrix, and compares what it ends with.

    Args:
        work: folder for all that is written.
        seed: of the moments and the ways to kill.
        options: of the command, beside those that make its runs small.
    """

    def __init__(self, work: Path, seed: int, options: Sequence[str]) -> None:
        self._seed = seed
        self._unbroken, self._broken = (SmallMatrix(work / name, tuple(options)) for name in ("unbroken", "broken"))
        reference = work / "unbroken.json"
        if not reference.exists():
            reference.write_text(json.dumps(self._run_unbroken()))
        self._reference = json.loads(reference.read_text())

    def _run_unbroken(self) -> dict[str, object]:
        self._unbroken.forget()
        started = time.monotonic()
        code = self._unbroken.start(workers=2).wait(PATIENCE)
        seconds = time.monotonic() - started
        contents, runs = self._unbroken.contents(), len(find_records(self._unbroken.results))
        return {"seconds": seconds, "code": code, "contents": contents, "runs": runs}

    def attempt(self, number: int, ended: int) -> Kill:
        """Start the command and kill it.

        Args:
            number: of earlier attempts; it decides how and when.
            ended: how many of them ended by themselves; it decides on the number of workers, which the page tells.
        """
        draw = random.Random(f"{self._seed}/{number}")
        name, to_group = draw.choices(list(WAYS), list(WAYS.values()))[0]
        way = f"{name} to {'group' if to_group else 'command'}"
        process = self._broken.start(workers=1 + ended % 3)
        moment, has_come = self._moment(draw)
        while not has_come() and process.poll() is None:
            time.sleep(POLL_SECONDS)
        if process.poll() is None:
            _send(process, signal.Signals[name], to_group=to_group)
        code = process.wait(PATIENCE)
        if code in (0, 1):
            return Kill(way, moment, False, "it had ended", tuple(self._problems_at_end(code)))
        return Kill(way, moment, True, self._broken.phase(self._reference["runs"]), tuple(self._problems_after_kill()))

    def finish(self, ended: int) -> list[str]:
        """Give the command without killing it; return what must not be."""
        return list(self._problems_at_end(self._broken.start(workers=1 + ended % 3).wait(PATIENCE)))

    def _moment(self, draw: random.Random) -> tuple[str, Callable[[], bool]]:
        """Return a moment in words, and what tells when it has come."""
        missing = 1 - len(find_records(self._broken.results)) / self._reference["runs"]
        if draw.random() < 0.5:
            rest = self._reference["seconds"] * (SHARE_OF_START + (1 - SHARE_OF_START) * missing)
            seconds = draw.uniform(0, rest)
            end = time.monotonic() + seconds
            return f"{seconds:.2f} s", lambda: time.monotonic() >= end
        moments = MOMENTS | (MOMENTS_IN_START if missing == 1 else MOMENTS_AT_END if missing < 0.5 else {})
        pattern = draw.choice(list(moments))
        wanted = draw.randint(1, moments[pattern])
        changes = _changes(self._broken.folder, pattern)
        return f"change {wanted} of {pattern}", lambda: next(changes) >= wanted

    def _problems_after_kill(self) -> Iterator[str]:
        if survivors := self._broken.survivors():
            yield f"processes {survivors} live on"
        yield from self._broken.damaged()
        output = self._broken.output.read_text(errors="replace")
        if "Traceback" in output:
            yield f"the command printed {output[-1000:]!r}"

    def _problems_at_end(self, code: int) -> Iterator[str]:
        """Yield what differs from the unbroken matrix, and begin anew if nothing does."""
        problems = list(self._problems_after_kill())
        if code != self._reference["code"]:
            problems.append(f"exit code {code}: {self._broken.output.read_text(errors='replace')[-1000:]!r}")
        else:
            problems += _differences(self._reference["contents"], self._broken.contents())
        yield from problems
        if problems:
            self._broken.folder.rename(self._broken.folder.with_name(f"problem-{time.time_ns()}"))
        self._broken.forget()


def _send(process: "subprocess.Popen[bytes]", number: signal.Signals, *, to_group: bool) -> None:
    if to_group:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)


def _changes(folder: Path, pattern: str) -> Iterator[int]:
    """Yield, again and again, how many files of a pattern have come or changed so far."""
    before, count = _states(folder, pattern), 0
    while True:
        now = _states(folder, pattern)
        count += len(now - before)
        before = now
        yield count


def _states(folder: Path, pattern: str) -> set[tuple[str, int, int]]:
    states = set()
    for path in folder.glob(pattern):
        try:
            status = path.stat()
        except OSError:
            continue
        states.add((str(path), status.st_ino, status.st_mtime_ns))
    return states


def _differences(expected: dict[str, str], actual: dict[str, str]) -> Iterator[str]:
    for name in sorted(expected.keys() | actual.keys()):
        if name not in actual:
            yield f"{name} is missing"
        elif name not in expected:
            yield f"{name} is left"
        elif actual[name] != expected[name]:
            yield f"{name} differs"


def main() -> int:
    """Kill until enough kills have hit; return 1 if anything was found that must not be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50, help="kills that hit a running command")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--controls", action=argparse.BooleanOptionalAction, default=True, help="with controls, which take most time"
    )
    parser.add_argument("--work", type=Path, required=True, help="folder for all that is written")
    given = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell lets what runs in the background ignore it
    work = given.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    (work / "stops.py").write_text(METHOD_THAT_FAILS)
    controls = ("--controls", "basic", "--no-diagnostics") if given.controls else ()
    campaign = Campaign(work, given.seed, ("--methods", f"lm,{work / 'stops.py'}", *controls))
    kills = list(_kept(work / "kills.jsonl"))
    while sum(kill.hit for kill in kills) < given.kills:
        started = time.monotonic()
        kills.append(kill := campaign.attempt(len(kills), sum(not kill.hit for kill in kills)))
        with (work / "kills.jsonl").open("a") as file:
            file.write(json.dumps(asdict(kill)) + "\n")
        print(
            f"{sum(kill.hit for kill in kills)}/{given.kills} after {time.monotonic() - started:.0f} s: {kill.way}, "
            f"{kill.moment}: {kill.phase}",
            *kill.problems,
            sep="\n  PROBLEM ",
            flush=True,
        )
    return _report(kills, campaign.finish(sum(not kill.hit for kill in kills)))


def _kept(file: Path) -> Iterator[Kill]:
    """Yield the attempts of an earlier call."""
    for line in file.read_text().splitlines() if file.exists() else []:
        fields = json.loads(line)
        yield Kill(**fields | {"problems": tuple(fields["problems"])})


def _report(kills: Sequence[Kill], problems_at_end: Sequence[str]) -> int:
    """Print how many kills hit each phase; return the exit code."""
    hits = Counter(kill.phase for kill in kills if kill.hit)
    bad = Counter(kill.phase for kill in kills if kill.problems)
    for phase, count in hits.most_common():
        print(f"{phase}: {count} kills, {bad[phase]} with problems")
    print(f"matrices that ended by themselves: {sum(not kill.hit for kill in kills) + 1}")
    print(*problems_at_end, sep="\n")
    return int(bool(problems_at_end) or any(kill.problems for kill in kills))


if __name__ == "__main__":
    sys.exit(main())
