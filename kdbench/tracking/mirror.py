"""Mirrors records into MLflow: an experiment per track, a parent run per invocation, a child run per record.

The records on disk stay the truth. Mirroring twice is the same as once, and no failure of MLflow reaches a record. One
store may hold several results folders: each has runs of its own, known by its path.
"""

import hashlib
import time
from collections.abc import Mapping, Sequence
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
VALUES, VALUES_VERSION = "kdbench.values", "2"  # of what MLflow gets of a record; mirrored anew when it is another
METRICS_PER_CALL, TEXTS_PER_CALL = 1000, 100  # MLflow refuses more, of tags as of parameters


@dataclass(frozen=True)
class Mirrored:
    """What a call of `mirror` did.

    Attributes:
        uri: the MLflow store.
        added, replaced, unchanged: numbers of records. One is replaced when it was run again or half mirrored.
        warning: one sentence on what could not be mirrored and what to do; empty when all went well.
    """

    uri: str
    added: int = 0
    replaced: int = 0
    unchanged: int = 0
    warning: str = ""


@dataclass(frozen=True)
class _RecordToMirror:
    """A record with where it lies.

    Attributes:
        name: `TRACK/FOLDER`, by which MLflow knows it.
        folder: of the record.
        digest: SHA-256 of `result.json`.
    """

    name: str
    folder: Path
    record: Record
    digest: str


@dataclass
class _Progress:
    """What a call of `mirror` has done so far.

    Attributes:
        added, replaced, unchanged: numbers of records.
        damaged: a sentence for each record that cannot be read.
        failures: of MLflow, a sentence each.
    """

    added: int = 0
    replaced: int = 0
    unchanged: int = 0
    damaged: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def warning(self, results: Path) -> str:
        """Return one sentence on what could not be mirrored and what to do; empty when all went well."""
        problems = self.damaged + self.failures
        if not problems:
            return ""
        more = f" and {len(problems) - 1} more problems" if len(problems) > 1 else ""
        advice = "then mirror again" if self.damaged else "no record is lost: mirror later"
        return f"{problems[0]}{more}; {advice} with `kdbench track --out {results}`"


def mirror(
    results: Path, tracking_uri: str | None = None, *, invocation: str = "", spec: Spec | None = None
) -> Mirrored:
    """Mirror every record below `results` that MLflow does not hold yet.

    Args:
        results: folder of records.
        tracking_uri: an MLflow store; see `tracking_uri_of`.
        invocation: name of the parent run, usually the command line; the time of day without one.
        spec: the spec the records were made under, for biases; the shipped one by default.

    Returns:
        Counts. A failure is a sentence in `warning`, never an exception: the records can be mirrored later.
    """
    uri = tracking_uri_of(results, tracking_uri)
    progress = _Progress()
    try:
        with quiet_mlflow():
            invocation = invocation or time.strftime("%Y-%m-%d %H:%M:%S")
            _Writer(uri, results, invocation, spec or load_spec(), progress).write(_stored_records(results, progress))
    except KdbenchError:
        raise
    except Exception as error:  # MLflow and what lies below it raise dozens of types
        progress.failures.append(f"MLflow at {uri} failed ({_first_line(error)})")
    return Mirrored(uri, progress.added, progress.replaced, progress.unchanged, progress.warning(results))


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _stored_records(results: Path, progress: _Progress) -> list[_RecordToMirror]:
    """Return the readable records; the others become problems."""
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
        self.folder = "." if self.is_own_store else str(results.resolve())  # a store of our own moves with its folder

    def write(self, stored_records: Sequence[_RecordToMirror]) -> None:
        """Mirror records, one track after the other."""
        for track in dict.fromkeys(stored.record.track for stored in stored_records):
            self._write_track(track, [stored for stored in stored_records if stored.record.track == track])

    def _write_track(self, track: str, stored_records: Sequence[_RecordToMirror]) -> None:
        experiment = self._experiment(track)
        parents, children = self._runs(experiment)
        fresh = [stored for stored in stored_records if not _is_mirrored(children.get(stored.name, []), stored)]
        self.progress.unchanged += len(stored_records) - len(fresh)
        interrupted = any(run.info.status == "RUNNING" for run in parents)
        if not fresh and not interrupted:
            return
        parent = self._parent(parents) or self._new_parent(experiment)
        self.client.update_run(parent, status="RUNNING")
        for stored in fresh:
            self._replace(experiment, parent, stored, children.get(stored.name, []))
        self.client.set_terminated(parent)

    def _replace(self, experiment: str, parent: str, stored: _RecordToMirror, stale: Sequence[Any]) -> None:
        """Write the child run of a record in place of stale ones; one whose answers cannot be read is left out."""
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
        """Return the biases of a run that answered test sets of a track of the spec, else none.

        Raises:
            RecordError: its answers cannot be read.
        """
        track = self.spec.tracks.get(stored.record.track)
        if track is None or not stored.record.test:
            return {}
        return biases(read_predictions(stored.folder, stored.record), track)

    def _parent(self, parents: Sequence[Any]) -> str | None:
        """Return the run of an interrupted mirror, else of the same invocation, None if there is neither."""
        unfinished = [str(run.info.run_id) for run in parents if run.info.status == "RUNNING"]
        of_invocation = [str(run.info.run_id) for run in parents if run.info.run_name == self.invocation]
        return next(iter(unfinished + of_invocation), None)

    def _new_parent(self, experiment: str) -> str:
        tags = {KIND: "invocation", FOLDER: self.folder, "mlflow.runName": self.invocation}
        return str(self.client.create_run(experiment, tags=tags).info.run_id)

    def _experiment(self, track: str) -> str:
        """Return the id of the track's experiment, made if need be; our own store keeps artifacts in its folder."""
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
        """Write one child run. It stays RUNNING until all is there, which marks an interrupted one."""
        record = stored.record
        ended = round((stored.folder / RESULT).stat().st_mtime * 1000)
        started = ended - round(1000 * (record.timing.training + record.timing.evaluation))
        tags = {
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
        """Log parameters, tags and metrics in as few calls as MLflow allows."""
        from mlflow.entities import Metric, Param, RunTag

        params = [Param(key, value) for key, value in parameters(record).items()]
        tags = [RunTag(key, value) for key, value in run_tags(record).items()]
        values = [(name, value, 0) for name, value in final_metrics(record, bias).items()]
        for step, epoch in enumerate(record.curves):
            values += [(name, value, step) for name, value in curve_metrics(epoch).items()]
        metrics = [Metric(name, value, timestamp, step) for name, value, step in values]
        for first in range(0, max(len(params), len(tags)), TEXTS_PER_CALL):
            batch = slice(first, first + TEXTS_PER_CALL)
            self.client.log_batch(run, params=params[batch], tags=tags[batch])
        for first in range(0, len(metrics), METRICS_PER_CALL):
            self.client.log_batch(run, metrics=metrics[first : first + METRICS_PER_CALL])


def _is_mirrored(runs: Sequence[Any], stored: _RecordToMirror) -> bool:
    """Return whether the only child run of a record is complete and of the record's present content."""
    if len(runs) != 1 or runs[0].info.status == "RUNNING":
        return False
    tags = runs[0].data.tags
    return bool(tags.get(DIGEST) == stored.digest and tags.get(VALUES) == VALUES_VERSION)
