"""Makes the checks of a method file, in a process that may run the file's code."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from kdbench.api import Batch, Method
from kdbench.checks.bench import Bench, noise, odd_track, small_track
from kdbench.checks.report import CLAIMS, CheckName, CheckReport, Finding, shortened
from kdbench.checks.witness import place_of_attribute, place_of_loss, watched
from kdbench.errors import SubmissionError, describe_error
from kdbench.methods.files import read_source
from kdbench.methods.inquiries import Trial
from kdbench.methods.loading import load_submission, parse_config
from kdbench.methods.places import line_in_class, place_of_error
from kdbench.methods.preflight import backbone_shapes, check_method
from kdbench.spec import FAMILIES, Direction, Track
from kdbench.training.failures import BudgetExceeded, Diverged, RuleBroken
from kdbench.training.outcome import TrainingOutcome
from kdbench.training.setup import set_up

UNKNOWN = "no_such_setting"
WATCHED: tuple[CheckName, ...] = ("training", "budget", "gradient", "modules", "student", "teacher")
LARGEST_DIFFERENCE = 1e-3  # of a gradient that is computed in two parts, as a share of its largest element


class Examination:
    """The checks of one method file.

    Args:
        file: the file, which is imported and run.
        shown: its path in messages.
        track: whose networks it is checked with.
        folder: where to train.
        keep: receives the report whenever it has grown, since the method may end the process.
    """

    def __init__(
        self, file: Path, shown: Path, track: Track, folder: Path, keep: Callable[[CheckReport], None]
    ) -> None:
        self._file, self._shown, self._track, self._folder, self._keep = file, shown, track, folder, keep
        self._findings: dict[CheckName, Finding] = {}
        self._made: dict[CheckName, set[str]] = {}  # in which directions a check was made, by its name

    def make(self) -> CheckReport:
        """Make all checks, and return the report."""
        with self._judging("contract"):
            method = load_submission(self._file, shown=self._shown)
        if "contract" not in self._findings:
            self._conclude("contract")
            with self._judging("config"):
                config = method.Config()
                self._check_config(method, config)
            self._conclude("config")
            directions = _distinct(method)
            for direction in directions:
                self._check_direction(method, config, direction)
            self._conclude(*CLAIMS, directions=directions)
        return self._report()

    def _check_config(self, method: type[Method], config: Any) -> None:
        line = line_in_class(read_source(self._file), method.__name__, "Config")
        place = f"{self._file.name}:{line}: " if line else ""
        values = json.loads(json.dumps(asdict(config)))
        if (again := parse_config(method, values)) != config:
            raise SubmissionError(f"{place}the config {config} became {again} on its way through JSON")
        try:
            parse_config(method, {UNKNOWN: 1})
        except SubmissionError:
            return
        raise SubmissionError(f"{place}the config took the unknown setting {UNKNOWN!r}")

    def _check_direction(self, method: type[Method], config: Any, direction: Direction) -> None:
        track = small_track(self._track)
        bench = Bench(track, method, config, direction, self._folder, noise(track))
        if not self._check_training(bench):
            return
        self._check_repeats(bench)
        with self._judging("finite", bench):
            _require_ok(bench.on_grey_images().trained("grey"))
        with self._judging("batches", bench):
            _take_small_batch(bench)
            _require_parts_to_agree(bench)
        self._check_sizes(bench)

    def _check_training(self, bench: Bench) -> bool:
        """Train once under watch; return whether that went well enough for further checks."""
        try:
            seen = watched(bench)
        except Exception as error:
            self._fail(_check_of(error), error, bench)
            return False
        for check in WATCHED:
            self._made.setdefault(check, set()).add(bench.direction)
        if seen.unreached:
            names = _listed(seen.unreached)
            self._note("gradient", f"{place_of_loss(bench)}no gradient reached the student's {names}", bench.direction)
        elif not seen.student_moved:
            self._note("student", f"{place_of_loss(bench)}some of the student's weights did not move", bench.direction)
        if seen.unreached_of_method:
            place = place_of_attribute(bench, seen.unreached_of_method[0], self._file)
            names = _listed([f"self.{name}" for name in seen.unreached_of_method])
            self._note("modules", f"{place}no gradient reached {names}", bench.direction)
        if seen.teacher_moved:
            self._note("teacher", f"{place_of_loss(bench)}the teacher's weights or buffers changed", bench.direction)
        return True

    def _check_repeats(self, bench: Bench) -> None:
        with self._judging("repeat", bench):
            unbroken, resumed = bench.trained("unbroken"), bench.resumed("resumed")
            _require_ok(unbroken)
            if difference := _difference(unbroken, resumed, epochs=1):
                raise SubmissionError(f"in two runs of one seed, {difference}")
            with self._judging("resume", bench):
                _require_ok(resumed)
                if difference := _difference(unbroken, resumed, epochs=len(unbroken.curves)):
                    raise SubmissionError(f"after an interruption, {difference}")
                if resumed.weights != unbroken.weights:
                    raise SubmissionError("after an interruption, the student's weights differed")

    def _check_sizes(self, bench: Bench) -> None:
        track = odd_track(self._track)
        trial = Trial(track, (bench.direction,), {family: backbone_shapes(track, family) for family in FAMILIES})
        try:
            check_method(bench.method, bench.config, trial, bench.direction)
        except SubmissionError as error:
            self._findings.setdefault("sizes", Finding(check="sizes", outcome="skipped", seen=shortened(str(error))))
            return
        except Exception as error:
            self._fail("sizes", error, bench)
            return
        odd = Bench(track, bench.method, bench.config, bench.direction, self._folder / "odd", noise(track))
        with self._judging("sizes", bench):
            _require_ok(odd.trained("odd"))

    @contextmanager
    def _judging(self, check: CheckName, bench: Bench | None = None) -> Iterator[None]:
        """Turn whatever the block raises into a failure of a check, in the direction of a bench if there is one."""
        try:
            yield
        except Exception as error:
            self._fail(check, error, bench)
        except SystemExit:
            self._note(check, "the file ended the process with `exit`", bench.direction if bench else "")
        self._made.setdefault(check, set()).add(bench.direction if bench else "")

    def _fail(self, check: CheckName, error: Exception, bench: Bench | None) -> None:
        """Note that a check failed, at the line of the error or else at the method's loss."""
        is_own = isinstance(error, SubmissionError | BudgetExceeded | RuleBroken | Diverged)
        place = "" if is_own else place_of_error(error.__traceback__, str(self._file))
        failure = Finding.failure(check, place + (str(error) if is_own else describe_error(error)))
        at = failure.place or (place_of_loss(bench).removesuffix(": ") if bench else "")
        self._note(check, f"{at}: {failure.seen}" if at else failure.seen, bench.direction if bench else "")

    def _note(self, check: CheckName, sentence: str, direction: str) -> None:
        """Note the first failure of a check; the sentence may begin with its place."""
        if not self._has_failed(check):
            self._findings[check] = Finding.failure(check, sentence, direction)
        self._keep(self._report())

    def _conclude(self, *checks: CheckName, directions: Sequence[str] = ("",)) -> None:
        """Note which checks found nothing, and which were not made in each direction because another one failed."""
        for check in checks:
            if check not in self._findings:
                is_made = self._made.get(check, set()) >= set(directions)
                skipped = Finding(check=check, outcome="skipped", seen="an earlier check failed")
                self._findings[check] = Finding(check=check) if is_made else skipped
        self._keep(self._report())

    def _has_failed(self, check: CheckName) -> bool:
        return check in self._findings and self._findings[check].outcome == "failed"

    def _report(self) -> CheckReport:
        return CheckReport(findings=tuple(self._findings[check] for check in CLAIMS if check in self._findings))


def _distinct(method: type[Method]) -> list[Direction]:
    """Return the directions of a method; without a teacher, one for each family of the student."""
    if method.uses_teacher:
        return list(method.directions)
    return list({direction.rsplit("-", 1)[-1]: direction for direction in method.directions}.values())


def _check_of(error: Exception) -> CheckName:
    """Return the check that an error of a watched training fails."""
    if isinstance(error, BudgetExceeded | RuleBroken) and "the teacher's" in str(error):
        return "teacher"
    if isinstance(error, BudgetExceeded):
        return "budget"
    return "finite" if isinstance(error, Diverged) else "training"


def _require_ok(outcome: TrainingOutcome) -> None:
    """Raise SubmissionError, with the reason, if a training failed."""
    if outcome.status != "ok":
        raise SubmissionError(outcome.reason)


def _difference(first: TrainingOutcome, second: TrainingOutcome, epochs: int) -> str:
    """Return which recorded number differs in the first epochs of two trainings, in words; empty if none does."""
    for numbers, again in zip(first.curves[:epochs], second.curves[:epochs], strict=False):
        for name, value in numbers.items():
            if name != "seconds" and again.get(name) != value:
                return f"{name} was {value!r} and {again.get(name)!r}"
    return ""


def _take_small_batch(bench: Bench) -> None:
    """Run a step on three images."""
    setup = set_up(bench.assignment("small"), bench.data)
    setup.metered.prepare()
    setup.metered.train_on(_first(next(setup.batches.epoch(0)), 3))


def _first(batch: Batch, images: int) -> Batch:
    return Batch(batch.images[:images], batch.labels[:images], batch.index[:images])


def _require_parts_to_agree(bench: Bench) -> None:
    """Compute a step whole and in two parts, for a method that says that this is the same and draws nothing."""
    if not bench.method.per_sample:
        return
    gradients = []
    for parts in (1, 2):
        setup = set_up(bench.assignment(f"parts-{parts}"), bench.data, parts)
        setup.metered.prepare()
        setup.metered.student.eval()  # so that no batch statistics differ
        random = torch.get_rng_state()
        setup.metered.train_on(next(setup.batches.epoch(0)))
        if not torch.equal(random, torch.get_rng_state()):
            return
        gradients.append([p.grad for p in setup.metered.student.parameters() if p.grad is not None])
    for whole, summed in zip(*gradients, strict=True):
        if (whole - summed).abs().max() > LARGEST_DIFFERENCE * max(float(whole.abs().max()), 1e-3):
            remark = "`per_sample` is True, but the gradient of a batch differs from that of its parts"
            raise SubmissionError(remark)


def _listed(names: "tuple[str, ...] | list[str]") -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
