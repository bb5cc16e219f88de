"""Mirrors records into MLflow: an experiment per track, a parent run per invocation, a child run per record.

The records on disk stay authoritative: a failure of MLflow does not affect them, and mirroring twice has the same
effect as mirroring once. A store may hold several results folders; each has its own runs, identified by its path.
"""

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kdbench.errors import KdbenchError, RecordError
from kdbench.records import LOG, PREDICTIONS, RESULT, WEIGHTS, Record, find_records, read_predictions, read_record
from kdbench.spec import Spec
from kdbench.testsets.spec import load_spec
from kdbench.tracking.store import ARTIFACTS, own_store_of, quiet_mlflow, tracking_uri_of
from kdbench.tracking.values import biases, curve_metrics, final_metrics, parameters, run_name, run_tags

KIND, FOLDER, RECORD, DIGEST = "kdbench.kind", "kdbench.folder", "kdbench.record", "kdbench.record_sha256"
VALUES, VALUES_VERSION = (
    "kdbench.values",
    "2",
)  # version of the mirrored values; records of another version are mirrored again
METRICS_PER_CALL, PARAMETERS_PER_CALL = 900, 100  # MLflow accepts 1000 in all, and 100 parameters


@dataclass(frozen=True)
class Mirrored:
    """The result of a call of `mirror`.

    Attributes:
        uri: the MLflow store.
        added, replaced, unchanged: numbers of records. One is replaced if it was run again or mirrored only partly.
        warning: one sentence on the records that were not mirrored and what to do; empty if there are none.
    """

    uri: str
    added: int = 0
    replaced: int = 0
    unchanged: int = 0
    warning: str = ""


@dataclass(frozen=True)
class _RecordToMirror:
    """A record with its folder.

    Attributes:
        name: `TRACK/FOLDER`, which identifies it in MLflow.
        folder: of the record.
        digest: SHA-256 of `result.json`.
    """

    name: str
    folder: Path
    record: Record
    digest: str


@dataclass
class _Progress:
    """The state of a call of `mirror`.

    Attributes:
        report: is told how many records are done, and how many there are.
        total, done: numbers of records that can be read, and that are dealt with.
        added, replaced, unchanged: numbers of records.
        damaged: a sentence for each record that cannot be read.
        failures: a sentence for each failure of MLflow.
    """

    report: Callable[[int, int], None] | None
    total: int = 0
    done: int = 0
    added: int = 0
    replaced: int = 0
    unchanged: int = 0
    damaged: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def advance(self, records: int) -> None:
        """Count records that are dealt with, and report them."""
        self.done += records
        if self.report is not None:
            self.report(self.done, self.total)

    def warning(self, results: Path) -> str:
        """Return one sentence on the records that were not mirrored and what to do; empty if there are none."""
        problems = self.damaged + self.failures
        if not problems:
            return ""
        more = f" and {len(problems) - 1} more problems" if len(problems) > 1 else ""
        advice = "then mirror again" if self.damaged else "no record is lost: mirror later"
        return f"{problems[0]}{more}; {advice} with `kdbench track {results}`"


def mirror(
    results: Path,
    tracking_uri: str | None = None,
    *,
    invocation: str = "",
    spec: Spec | None = None,
    report: Callable[[int, int], None] | None = None,
) -> Mirrored:
    """Mirror every record below `results` that MLflow does not have yet.

    Args:
        results: folder of records.
        tracking_uri: an MLflow store; see `tracking_uri_of`.
        invocation: name of the parent run, usually the command line; if empty, the present time.
        spec: of the records, for biases; the shipped spec by default.
        report: is told how many records are done, and how many there are, whenever the first number rises.

    Returns:
        The numbers of records. A failure is reported in `warning` and not raised, since the records can be mirrored
        later.
    """
    uri = tracking_uri_of(results, tracking_uri)
    progress = _Progress(report)
    try:
        with quiet_mlflow():
            invocation = invocation or time.strftime("%Y-%m-%d %H:%M:%S")
            _Writer(uri, results, invocation, spec or load_spec(), progress).write(_stored_records(results, progress))
    except KdbenchError:
        raise
    except Exception as error:  # MLflow and the libraries below it raise errors of many types
        progress.failures.append(f"MLflow at {uri} failed ({_first_line(error)})")
    return Mirrored(uri, progress.added, progress.replaced, progress.unchanged, progress.warning(results))


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _stored_records(results: Path, progress: _Progress) -> list[_RecordToMirror]:
    """Return the readable records, and report the others as damaged."""
    stored = []
    for folder in find_records(results):
        try:
            record = read_record(folder)
        except RecordError as error:
            progress.damaged.append(str(error))
            continue
        digest = hashlib.sha256((folder / RESULT).read_bytes()).hexdigest()
        stored.append(_RecordToMirror(f"{record.track}/{folder.name}", folder, record, digest))
    return stored


class _Writer:
    """Writes records into one MLflow store."""

    def __init__(self, uri: str, results: Path, invocation: str, spec: Spec, progress: _Progress) -> None:
        from mlflow import MlflowClient

        self.client = MlflowClient(tracking_uri=uri)
        self.results = results
        self.invocation = invocation
        self.spec = spec
        self.progress = progress
        self.is_own_store = uri == own_store_of(results)
        self.folder = (
            "." if self.is_own_store else str(results.resolve())
        )  # the store in the results folder may be moved together with it

    def write(self, stored_records: Sequence[_RecordToMirror]) -> None:
        """Mirror records, one track after the other."""
        self.progress.total = len(stored_records)
        for track in dict.fromkeys(stored.record.track for stored in stored_records):
            self._write_track(track, [stored for stored in stored_records if stored.record.track == track])

    def _write_track(self, track: str, stored_records: Sequence[_RecordToMirror]) -> None:
        experiment = self._experiment(track)
        parents, children = self._runs(experiment)
        fresh = [stored for stored in stored_records if not _is_mirrored(children.get(stored.name, []), stored)]
        self.progress.unchanged += len(stored_records) - len(fresh)
        self.progress.advance(len(stored_records) - len(fresh))
        interrupted = any(run.info.status == "RUNNING" for run in parents)
        if not fresh and not interrupted:
            return
        parent = self._parent(parents) or self._new_parent(experiment)
        self.client.update_run(parent, status="RUNNING")
        for stored in fresh:
            self._replace(experiment, parent, stored, children.get(stored.name, []))
            self.progress.advance(1)
        self.client.set_terminated(parent)

    def _replace(self, experiment: str, parent: str, stored: _RecordToMirror, stale: Sequence[Any]) -> None:
        """Replace the outdated child runs of a record; a record whose answers cannot be read is left out."""
        try:
            bias = self._biases(stored)
        except RecordError as error:
            self.progress.damaged.append(f"{stored.folder}: {error}")
            return
        for run in stale:
            self.client.delete_run(run.info.run_id)
        self._write_child(experiment, parent, stored, bias)
        self.progress.replaced += bool(stale)
        self.progress.added += not stale

    def _biases(self, stored: _RecordToMirror) -> dict[str, float]:
        """Return the biases of a run; empty if it has no answers or if the spec does not have its track.

        Raises:
            RecordError: its answers cannot be read.
        """
        track = self.spec.tracks.get(stored.record.track)
        if track is None or not stored.record.test:
            return {}
        return biases(read_predictions(stored.folder, stored.record), track)

    def _parent(self, parents: Sequence[Any]) -> str | None:
        """Return the parent run of an interrupted call, or else that of the same invocation; None without either."""
        unfinished = [str(run.info.run_id) for run in parents if run.info.status == "RUNNING"]
        of_invocation = [str(run.info.run_id) for run in parents if run.info.run_name == self.invocation]
        return next(iter(unfinished + of_invocation), None)

    def _new_parent(self, experiment: str) -> str:
        tags = {KIND: "invocation", FOLDER: self.folder, "mlflow.runName": self.invocation}
        return str(self.client.create_run(experiment, tags=tags).info.run_id)

    def _experiment(self, track: str) -> str:
        """Return the id of the track's experiment, which is made if necessary.

        The store in the results folder keeps its artifacts there.
        """
        experiment = self.client.get_experiment_by_name(track)
        if experiment is None:
            artifacts = (self.results.resolve() / ARTIFACTS / track).as_uri() if self.is_own_store else None
            return str(self.client.create_experiment(track, artifact_location=artifacts))
        if experiment.lifecycle_stage == "deleted":
            self.client.restore_experiment(experiment.experiment_id)
        return str(experiment.experiment_id)

    def _runs(self, experiment: str) -> tuple[list[Any], dict[str, list[Any]]]:
        """Return the parent runs of this folder, and its child runs by the name of their record."""
        parents: list[Any] = []
        children: dict[str, list[Any]] = {}
        token = None
        while True:
            page = self.client.search_runs([experiment], max_results=1000, page_token=token)
            for run in (run for run in page if run.data.tags.get(FOLDER) == self.folder):
                if run.data.tags.get(KIND) == "invocation":
                    parents.append(run)
                elif RECORD in run.data.tags:
                    children.setdefault(run.data.tags[RECORD], []).append(run)
            token = page.token
            if not token:
                return parents, children

    def _write_child(self, experiment: str, parent: str, stored: _RecordToMirror, bias: Mapping[str, float]) -> None:
        """Write one child run. Its status is RUNNING until it is complete, so that an interrupted one is recognised."""
        record = stored.record
        ended = round((stored.folder / RESULT).stat().st_mtime * 1000)
        started = ended - round(1000 * (record.timing.training + record.timing.evaluation))
        tags = {
            **run_tags(record),
            KIND: "record",
            FOLDER: self.folder,
            RECORD: stored.name,
            DIGEST: stored.digest,
            VALUES: VALUES_VERSION,
            "mlflow.runName": run_name(record),
            "mlflow.parentRunId": parent,
        }
        run = self.client.create_run(experiment, start_time=started, tags=tags).info.run_id
        self._log_batches(run, record, bias, ended)
        for name in (RESULT, PREDICTIONS, WEIGHTS, LOG):
            if (stored.folder / name).is_file():
                self.client.log_artifact(run, str(stored.folder / name))
        self.client.set_terminated(run, "FINISHED" if record.status == "ok" else "FAILED", end_time=ended)

    def _log_batches(self, run: str, record: Record, bias: Mapping[str, float], timestamp: int) -> None:
        """Log parameters and metrics in as few calls as MLflow allows: one, but for unusually many of them."""
        from mlflow.entities import Metric, Param

        params = [Param(key, value) for key, value in parameters(record).items()]
        values = [(name, value, 0) for name, value in final_metrics(record, bias).items()]
        for step, epoch in enumerate(record.curves):
            values += [(name, value, step) for name, value in curve_metrics(epoch).items()]
        metrics = [Metric(name, value, timestamp, step) for name, value, step in values]
        while params or metrics:
            self.client.log_batch(run, metrics[:METRICS_PER_CALL], params[:PARAMETERS_PER_CALL])
            params, metrics = params[PARAMETERS_PER_CALL:], metrics[METRICS_PER_CALL:]


def _is_mirrored(runs: Sequence[Any], stored: _RecordToMirror) -> bool:
    """Return whether a record has exactly one child run, which is complete and up to date."""
    if len(runs) != 1 or runs[0].info.status == "RUNNING":
        return False
    tags = runs[0].data.tags
    return bool(tags.get(DIGEST) == stored.digest and tags.get(VALUES) == VALUES_VERSION)
