"""One invocation from what was asked for to the page: plan, run, mirror, score, render."""

import fcntl
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from rich.console import Console

from kdbench.errors import InputError
from kdbench.jobs.executor import LocalExecutor, Setting, can_be_asked_again, existing_record, is_complete
from kdbench.jobs.forecast import Forecast, forecast_of, roughly
from kdbench.jobs.launcher import ForkLauncher, Limits
from kdbench.jobs.progress import RunProgress, TestSetProgress, say_unofficial
from kdbench.plan.checks import check_backbones, check_names
from kdbench.plan.current import write_current
from kdbench.plan.matrix import (
    HARNESS_CODE,
    PlannedRun,
    Request,
    Submission,
    as_plain,
    described,
    expand,
    parse_seeds,
    with_overrides,
)
from kdbench.records import Record
from kdbench.resources import cache_folder
from kdbench.spec import DIRECTIONS, INDEPENDENT, TEACHER, Direction, Track
from kdbench.testsets.gallery import GALLERY, write_gallery
from kdbench.testsets.spec import load_spec

if TYPE_CHECKING:
    from kdbench.data.cifar10 import Cifar10
    from kdbench.testsets.arrays import TestArrays
    from kdbench.testsets.picture_networks import PictureNetworks
    from kdbench.testsets.store import TestSetStore


@dataclass(frozen=True)
class Asked:
    """The arguments of `kdbench run`, before anything is checked."""

    track: str
    methods: Sequence[str] = ()
    directions: Sequence[str] = ()
    seeds: str = "0"
    configs: Sequence[str] = ()
    out: Path = Path("runs")
    data_root: Path | None = None
    limit_train: int | None = None
    limit_test: int | None = None
    epochs: int | None = None
    device: str = "auto"
    workers: int | None = None
    diagnostics: bool | None = None
    controls: bool = False
    retry_failed: bool = False
    spec: Path | None = None
    time_limit: float = 4 * 3600
    memory_limit: float = 16.0
    compile: bool = False
    style: Path | None = None
    yes: bool = False
    weights_dir: Path | None = None
    command: str = "kdbench run"

    @property
    def confirmed(self) -> bool:
        """Whether a processor was asked for by name, and for as long as it takes."""
        return self.device == "cpu" and self.yes

    @property
    def all_sets(self) -> bool:
        """Whether to evaluate on the diagnostic sets; left open, with controls alone: both are there to explain."""
        return self.controls if self.diagnostics is None else self.diagnostics


def plan(asked: Asked) -> tuple[list[PlannedRun], Setting]:
    """Checks what was asked for and expands it; InputError in one sentence if something is wrong. Trains nothing."""
    from kdbench.networks.device import choose_device
    from kdbench.networks.models import check_weights
    from kdbench.networks.weights import unpinned

    spec = load_spec(asked.spec)
    track, reasons = with_overrides(
        spec.track(asked.track),
        epochs=asked.epochs,
        limit_test=asked.limit_test,
        limit_train=asked.limit_train,
        style=asked.style,
    )
    if asked.spec is not None:
        reasons = (*reasons, f"--spec {asked.spec.name}")
    reasons = (*reasons, *unpinned(track))
    device = choose_device(asked.device)
    directions = _directions(asked.directions, track.directions)
    submissions = _submissions(asked.methods, _parse_configs(asked.configs))
    check_names(submissions)
    check_backbones(track)
    if not asked.methods:  # all that there are means all that fit; one that is named and does not is refused
        submissions = [submission for submission in submissions if set(submission.directions) & set(directions)]
    if asked.controls:
        submissions += _controls(asked.track, submissions)
    _check_methods(submissions, directions, track, asked.limit_train or track.data.num_train)
    request = Request(
        track=track,
        submissions=submissions,
        teacher_submission=_teacher_submission(),
        directions=directions,
        seeds=parse_seeds(asked.seeds),
        device=device,
        limit_train=asked.limit_train,
        unofficial=reasons,
        compiled=asked.compile,
    )
    runs = expand(request)
    if track.data.resize is not None and device == "cpu" and not asked.confirmed:
        _refuse_cpu(asked, runs)
    check_weights(track, asked.weights_dir)
    return runs, Setting(
        results=asked.out.resolve(),
        cache=cache_folder(),
        data_root=asked.data_root.resolve() if asked.data_root else None,
        limit_test=asked.limit_test,
        diagnostics=asked.all_sets,
        weights_dir=asked.weights_dir.resolve() if asked.weights_dir else None,
        command=asked.command,
    )


def _refuse_cpu(asked: Asked, runs: Sequence[PlannedRun]) -> NoReturn:
    """Says what runs that want a GPU would take without one."""
    from kdbench.jobs.expected import expected_on_cpu

    workers = asked.workers or default_workers("cpu")
    expected = expected_on_cpu(runs, diagnostics=asked.all_sets)
    raise InputError(
        f"track {asked.track!r} needs a GPU: its {len(runs)} runs would take this processor about "
        f"{roughly(expected.runs / workers)}, {workers} at a time, and building its test sets up to "
        f"{roughly(expected.test_sets)}; to do it all the same, give --device cpu --yes"
    )


def run(asked: Asked, console: Console) -> list[Record]:
    """Does all runs that have no record yet. Returns every record of the plan, old and new."""
    runs, setting = plan(asked)
    with sole_user(setting.results):
        records = _completed(asked, runs, setting, console)
        write_current(setting.results, load_spec(asked.spec))
    return records


def _completed(asked: Asked, runs: Sequence[PlannedRun], setting: Setting, console: Console) -> list[Record]:
    done = {run.run_id: record for run in runs if (record := _kept(setting, run, asked.retry_failed))}
    missing = [run for run in runs if run.run_id not in done]
    workers = asked.workers or default_workers(runs[0].device)
    ended = [(run, done[run.run_id]) for run in runs if run.run_id in done]
    forecast = forecast_of(missing, setting, workers, ended)
    counts = f"{described(runs)}, {len(done)} done already, {len(missing)} to run{_asked_again(missing, setting)}"
    console.print(f"{asked.track}: {counts}{_told(forecast)}.", highlight=False)
    console.print(f"Device: {runs[0].device}.", highlight=False)
    known = [reason for run in runs for reason in run.unofficial]
    say_unofficial(known, console)
    if missing or not (setting.results / asked.track / GALLERY).exists():
        _, arrays = open_test_sets(
            runs[0].track,
            data_root=setting.data_root,
            limit_test=asked.limit_test,
            workers=asked.workers,
            console=console,
            diagnostics=setting.diagnostics,
            networks=make_networks(runs[0].device, confirmed=asked.confirmed, weights_dir=asked.weights_dir),
        )
        write_gallery(setting.results, runs[0].track, arrays)
    if missing:
        done |= {record.run_id: record for record in _executed(asked, missing, setting, forecast, console)}
    records = [done[run.run_id] for run in runs]
    say_unofficial((one for record in records for one in record.unofficial if one not in known), console)
    return records


def _executed(
    asked: Asked, missing: Sequence[PlannedRun], setting: Setting, forecast: Forecast, console: Console
) -> list[Record]:
    launcher = ForkLauncher(Limits(asked.time_limit, int(asked.memory_limit * 2**30)))
    with RunProgress(console, forecast) as progress:
        executor = LocalExecutor(launcher, forecast.workers, _gpus(missing[0].device))
        return executor.execute(missing, setting, progress)


def _told(forecast: Forecast) -> str:
    left = forecast.left()
    if not forecast.runs or left is None:
        return ""
    return f": about {roughly(left)}, {forecast.workers} at a time, judging by {forecast.judged_by}"


@contextmanager
def sole_user(folder: Path) -> Iterator[None]:
    """Makes a results folder and holds it: two commands in one would train the same runs over each other.

    Raises:
        InputError: the folder cannot be written, or another process holds it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("a")
    except OSError as error:
        raise InputError(
            f"results folder {folder} cannot be written: {error.strerror}; choose another one with --out"
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(
                f"another kdbench run is writing to {folder}; wait for its end, or choose another folder with --out"
            ) from error
        yield


def _kept(setting: Setting, planned: PlannedRun, retry_failed: bool) -> Record | None:
    """The record of a run that is done; None for one that has to be run, or evaluated once more."""
    record = existing_record(setting, planned)
    if record is None or (retry_failed and record.status != "ok"):
        return None
    return record if is_complete(setting, planned, record) else None


def _asked_again(missing: Sequence[PlannedRun], setting: Setting) -> str:
    """How many runs are trained already, and only to be asked about further test sets."""
    again = sum(can_be_asked_again(run, setting) for run in missing)
    return f" ({again} of them trained before, to be evaluated once more)" if again else ""


def default_workers(device: str) -> int:
    """Jobs at a time: one a core that this process may use, or one a GPU."""
    if device == "cuda":
        return max(1, len(_gpus(device)))
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _gpus(device: str) -> tuple[str, ...]:
    """The GPUs to spread runs over."""
    from kdbench.jobs.devices import visible_gpus

    return visible_gpus() if device == "cuda" else ()


def make_networks(device: str, *, confirmed: bool, weights_dir: Path | None) -> "PictureNetworks | None":
    """What test sets are made with that networks make: on a GPU, or on a processor that was asked for by name."""
    import torch

    from kdbench.testsets.fcn import load_segmenter
    from kdbench.testsets.picture_networks import PictureNetworks
    from kdbench.testsets.vgg import load_vgg

    if device != "cuda" and not confirmed:
        return None
    return PictureNetworks(
        torch.device(device),
        make_segmenter=partial(load_segmenter, weights_dir=weights_dir),
        make_vgg=partial(load_vgg, weights_dir=weights_dir),
    )


def source_of(track: Track, data_root: Path | None) -> "Cifar10 | None":
    """What a track's images are made from, downloaded unless it is in `data_root` or the cache; None if generated."""
    from kdbench.data.cifar10 import read_cifar10

    return read_cifar10(data_root, cache_folder()) if track.data.source == "cifar10" else None


def open_test_sets(
    track: Track,
    *,
    data_root: Path | None,
    limit_test: int | None,
    workers: int | None,
    console: Console,
    diagnostics: bool = False,
    networks: "PictureNetworks | None" = None,
) -> "tuple[Cifar10 | None, dict[str, TestArrays]]":
    """The source of a track's images and its test sets, built now unless they are in the cache, with a progress bar."""
    from kdbench.testsets.build import build_test_sets
    from kdbench.testsets.store import TestSetStore

    source = source_of(track, data_root)
    if networks is None:
        _refuse_building(TestSetStore.of(track, cache_folder(), source=source, limit=limit_test), diagnostics)
    with TestSetProgress(console) as progress:
        arrays = build_test_sets(
            track,
            cache_folder(),
            source=source,
            limit=limit_test,
            workers=workers or default_workers("cpu"),
            diagnostics=diagnostics,
            progress=progress.advanced,
            networks=networks,
        )
    if networks is not None:
        networks.release()  # runs need the room
    return source, arrays


def _refuse_building(store: "TestSetStore", diagnostics: bool) -> None:
    """Says what test sets would take that want a GPU and are not built; nothing if there are none."""
    from kdbench.jobs.expected import expected_building

    unmade = store.missing_from_networks(diagnostics=diagnostics)
    if unmade:
        seconds = expected_building(unmade, store.track)
        raise InputError(
            f"test sets {', '.join(one.name for one in unmade)} of track {store.track.name!r} are not built, and "
            f"networks make them: on a GPU, or in about {roughly(seconds)} on this processor with --device cpu --yes; "
            "or import them with `kdbench data import`"
        )


def _directions(wanted: Sequence[str], allowed: Sequence[Direction]) -> list[Direction]:
    unknown = sorted(set(wanted) - set(allowed))
    if unknown:
        raise InputError(f"unknown direction {unknown[0]!r}; this track has: {', '.join(allowed)}")
    return [direction for direction in allowed if not wanted or direction in wanted]


def _parse_configs(texts: Sequence[str]) -> dict[str, dict[str, str]]:
    """{"lm": {"temperature": "2"}} from ["lm.temperature=2"]."""
    configs: dict[str, dict[str, str]] = {}
    for text in texts:
        target, equals, value = text.partition("=")
        method, dot, key = target.rpartition(".")
        if not (equals and dot and method and key):
            raise InputError(f"--config {text!r} is not METHOD.KEY=VALUE, for example lm.temperature=2")
        configs.setdefault(method, {})[key] = value
    return configs


def _submissions(names: Sequence[str], configs: Mapping[str, Mapping[str, Any]]) -> list[Submission]:
    from kdbench.methods.files import code_digest, list_submissions, submission_path
    from kdbench.methods.loading import load_submission, parse_config

    wanted = list(dict.fromkeys([INDEPENDENT, *(names or list_submissions())]))
    submissions = []
    for name in wanted:
        method, path = load_submission(name), submission_path(name)
        submissions.append(
            Submission(
                name=method.name,
                path=path,
                code=code_digest(path),
                config=as_plain(parse_config(method, configs.get(method.name, {}))),
                uses_teacher=method.uses_teacher,
                directions=tuple(method.directions),
            )
        )
    unknown = sorted(set(configs) - {submission.name for submission in submissions})
    if unknown:
        raise InputError(
            f"--config names the method {unknown[0]!r}, which is not run; "
            f"running: {', '.join(s.name for s in submissions)}"
        )
    return submissions


def _controls(track_name: str, submissions: Sequence[Submission]) -> list[Submission]:
    """The track's control arms; InputError if one of the methods has the name of a control."""
    from kdbench.plan.controls import control_submissions

    controls = control_submissions(track_name)
    taken = {control.name for control in controls} & {submission.name for submission in submissions}
    if taken:
        raise InputError(f"method {taken.pop()!r} has the name of a control arm; rename it, or run without --controls")
    return controls


def _check_methods(
    submissions: Sequence[Submission], directions: Sequence[Direction], track: Track, num_train: int
) -> None:
    from kdbench.methods.loading import load_submission
    from kdbench.methods.preflight import check_method

    for submission in submissions:
        assert submission.path is not None
        method = load_submission(submission.path)
        for direction in set(directions) & set(submission.directions):
            check_method(method, submission.config, track, direction, num_train)


def _teacher_submission() -> Submission:
    return Submission(TEACHER, None, HARNESS_CODE[TEACHER], {}, uses_teacher=False, directions=DIRECTIONS)
