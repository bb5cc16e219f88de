"""Records mirrored into MLflow: an experiment a track, a parent run an invocation, a child run a record.

The records on disk stay the truth. Mirroring twice is the same as once, and no failure of MLflow reaches a record. One
store may hold several results folders: each has runs of its own, known by its path.
"""

import hashlib
import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

from kdbench.errors import InputError, KdbenchError, RecordError
from kdbench.records import LOG, PREDICTIONS, RESULT, WEIGHTS, Record, find_records, read_predictions, read_record
from kdbench.spec import Spec
from kdbench.testsets.spec import load_spec
from kdbench.tracking.values import biases, curve_metrics, final_metrics, parameters, run_name, run_tags

DATABASE, ARTIFACTS = "mlflow.db", "mlflow-artifacts"
KIND, FOLDER, RECORD, DIGEST = "kdbench.kind", "kdbench.folder", "kdbench.record", "kdbench.record_sha256"
VALUES, VALUES_VERSION = "kdbench.values", "2"  # of what MLflow gets of a record; mirrored anew when it is another
METRICS_A_CALL, PARAMS_A_CALL = 1000, 100  # MLflow refuses more
PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}  # seconds
PRIVACY = {"MLFLOW_DISABLE_TELEMETRY": "true"}
HOST, SERVER_LOG, START_SECONDS = "127.0.0.1", "mlflow-server.log", 120


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
class _Entry:
    """A record as MLflow gets it."""

    name: str
    folder: Path
    record: Record
    digest: str


@dataclass
class _Tally:
    added: int = 0
    replaced: int = 0
    unchanged: int = 0
    damaged: list[str] = field(default_factory=list)  # a sentence for each record that cannot be read
    failures: list[str] = field(default_factory=list)  # of MLflow


def tracking_uri_of(results: Path, tracking_uri: str | None = None) -> str:
    """Where a results folder is mirrored to: as given, else `MLFLOW_TRACKING_URI`, else a sqlite file in the folder."""
    return tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{results.resolve() / DATABASE}"


def mirror(
    results: Path, tracking_uri: str | None = None, *, invocation: str = "", spec: Spec | None = None
) -> Mirrored:
    """Mirrors every record below `results` that MLflow does not hold yet.

    Args:
        results: folder of records.
        tracking_uri: an MLflow store; see `tracking_uri_of`.
        invocation: name of the parent run, usually the command line; the time of day without one.
        spec: the spec the records were made under, for biases; the shipped one by default.

    Returns:
        Counts. A failure is a sentence in `warning`, never an exception: the records can be mirrored later.
    """
    uri = tracking_uri_of(results, tracking_uri)
    tally = _Tally()
    try:
        with _quiet_mlflow():
            writer = _Writer(uri, results, invocation or time.strftime("%Y-%m-%d %H:%M:%S"), spec or load_spec())
            writer.write(_entries(results, tally), tally)
    except KdbenchError:
        raise
    except Exception as error:  # MLflow and what lies below it raise dozens of types
        tally.failures.append(f"MLflow at {uri} failed ({_first_line(error)})")
    return Mirrored(uri, tally.added, tally.replaced, tally.unchanged, _warning(tally, results))


def _warning(tally: _Tally, results: Path) -> str:
    problems = tally.damaged + tally.failures
    if not problems:
        return ""
    more = f" and {len(problems) - 1} more problems" if len(problems) > 1 else ""
    then = "then mirror again" if tally.damaged else "no record is lost: mirror later"
    return f"{problems[0]}{more}; {then} with `kdbench track --out {results}`"


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _entries(results: Path, tally: _Tally) -> list[_Entry]:
    """The readable records; the others become problems."""
    entries = []
    for folder in find_records(results):
        try:
            record = read_record(folder)
        except RecordError as error:
            tally.damaged.append(str(error))
            continue
        digest = hashlib.sha256((folder / RESULT).read_bytes()).hexdigest()
        entries.append(_Entry(f"{record.track}/{folder.name}", folder, record, digest))
    return entries


@contextmanager
def _quiet_mlflow() -> Iterator[None]:
    """MLflow without its log lines, telemetry and minutes of retries. What the user set in the environment stands."""
    for key, value in (PATIENCE | PRIVACY).items():
        os.environ.setdefault(key, value)
    loggers = [logging.getLogger(name) for name in ("mlflow", "alembic")]
    levels = [logger.level for logger in loggers]
    import mlflow.store.db.utils  # noqa: F401  (configures the loggers, so it comes before they are silenced)

    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


class _Writer:
    """Writes records into one MLflow store."""

    def __init__(self, uri: str, results: Path, invocation: str, spec: Spec) -> None:
        from mlflow import MlflowClient

        self.client = MlflowClient(tracking_uri=uri)
        self.results = results
        self.invocation = invocation
        self.spec = spec
        self.is_own_store = uri == f"sqlite:///{results.resolve() / DATABASE}"
        self.folder = "." if self.is_own_store else str(results.resolve())  # a store of our own moves with its folder

    def write(self, entries: Sequence[_Entry], tally: _Tally) -> None:
        """Mirrors the entries, a track after the other."""
        for track in dict.fromkeys(entry.record.track for entry in entries):
            self._write_track(track, [entry for entry in entries if entry.record.track == track], tally)

    def _write_track(self, track: str, entries: Sequence[_Entry], tally: _Tally) -> None:
        experiment = self._experiment(track)
        parents, known = self._runs(experiment)
        fresh = [entry for entry in entries if not _is_mirrored(known.get(entry.name, []), entry)]
        tally.unchanged += len(entries) - len(fresh)
        parent, unfinished = self._parent(parents)
        if not fresh and not unfinished:
            return
        if parent is None:
            tags = {KIND: "invocation", FOLDER: self.folder, "mlflow.runName": self.invocation}
            parent = self.client.create_run(experiment, tags=tags).info.run_id
        self.client.update_run(parent, status="RUNNING")
        for entry in fresh:
            try:
                bias = self._biases(entry)
            except RecordError as error:
                tally.damaged.append(f"{entry.folder}: {error}")
                continue
            stale = known.get(entry.name, [])
            for run in stale:
                self.client.delete_run(run.info.run_id)
            self._write_entry(experiment, parent, entry, bias)
            tally.replaced += bool(stale)
            tally.added += not stale
        self.client.set_terminated(parent)

    def _biases(self, entry: _Entry) -> dict[str, float]:
        """Of a run that answered test sets of a track of the spec; RecordError if its answers cannot be read."""
        track = self.spec.tracks.get(entry.record.track)
        return biases(read_predictions(entry.folder, entry.record), track) if track and entry.record.test else {}

    def _parent(self, parents: Sequence[Any]) -> tuple[str | None, bool]:
        """The run of an interrupted mirror, else of the same invocation; and whether it was interrupted."""
        unfinished = [str(run.info.run_id) for run in parents if run.info.status == "RUNNING"]
        same = [str(run.info.run_id) for run in parents if run.info.run_name == self.invocation]
        return next(iter(unfinished + same), None), bool(unfinished)

    def _experiment(self, track: str) -> str:
        """The id of the track's experiment, made if need be. A store of our own keeps artifacts beside its file."""
        found = self.client.get_experiment_by_name(track)
        if found is None:
            beside = (self.results.resolve() / ARTIFACTS / track).as_uri() if self.is_own_store else None
            return str(self.client.create_experiment(track, artifact_location=beside))
        if found.lifecycle_stage == "deleted":
            self.client.restore_experiment(found.experiment_id)
        return str(found.experiment_id)

    def _runs(self, experiment: str) -> tuple[list[Any], dict[str, list[Any]]]:
        """Parent runs of this folder, and its child runs by the name of their record."""
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

    def _write_entry(self, experiment: str, parent: str, entry: _Entry, bias: Mapping[str, float]) -> None:
        """One child run. It stays RUNNING until all is there, by which an interrupted one is known."""
        record = entry.record
        ended = round((entry.folder / RESULT).stat().st_mtime * 1000)
        started = ended - round(1000 * (record.timing.training + record.timing.evaluation))
        tags = {
            KIND: "record",
            FOLDER: self.folder,
            RECORD: entry.name,
            DIGEST: entry.digest,
            VALUES: VALUES_VERSION,
            "mlflow.runName": run_name(record),
        }
        tags["mlflow.parentRunId"] = parent
        run = self.client.create_run(experiment, start_time=started, tags=tags).info.run_id
        self._log_batches(run, record, bias, ended)
        for name in (RESULT, PREDICTIONS, WEIGHTS, LOG):
            if (entry.folder / name).is_file():
                self.client.log_artifact(run, str(entry.folder / name))
        self.client.set_terminated(run, "FINISHED" if record.status == "ok" else "FAILED", end_time=ended)

    def _log_batches(self, run: str, record: Record, bias: Mapping[str, float], timestamp: int) -> None:
        """Parameters, tags and metrics in as few calls as MLflow allows."""
        from mlflow.entities import Metric, Param, RunTag

        params = [Param(key, value) for key, value in parameters(record).items()]
        tags = [RunTag(key, value) for key, value in run_tags(record).items()]
        values = [(name, value, 0) for name, value in final_metrics(record, bias).items()]
        for step, epoch in enumerate(record.curves):
            values += [(name, value, step) for name, value in curve_metrics(epoch).items()]
        metrics = [Metric(name, value, timestamp, step) for name, value, step in values]
        self.client.log_batch(run, params=params[:PARAMS_A_CALL], tags=tags[:PARAMS_A_CALL])
        for first in range(0, len(metrics), METRICS_A_CALL):
            self.client.log_batch(run, metrics=metrics[first : first + METRICS_A_CALL])


def _is_mirrored(runs: Sequence[Any], entry: _Entry) -> bool:
    """True if the one child run of this record is complete and of the record's present content."""
    if len(runs) != 1 or runs[0].info.status == "RUNNING":
        return False
    tags = runs[0].data.tags
    return bool(tags.get(DIGEST) == entry.digest and tags.get(VALUES) == VALUES_VERSION)


def serve(results: Path, port: int, tracking_uri: str | None = None, say: Callable[[str], None] = print) -> int:
    """Runs MLflow's server on a results folder until it is stopped.

    Args:
        results: folder of records.
        port: TCP port on this machine.
        tracking_uri: an MLflow store; see `tracking_uri_of`.
        say: receives the address once the server answers.

    Returns:
        The server's exit status.

    Raises:
        InputError: nothing was mirrored yet, or the port is taken.
    """
    uri = tracking_uri_of(results, tracking_uri)
    if uri.startswith(("http://", "https://")):
        say(f"the runs are mirrored to an MLflow server already: {uri}")
        return 0
    if uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).is_file():
        raise InputError(
            f"nothing in {results} is mirrored yet; `kdbench run --out {results}` or `kdbench track` does it"
        )
    if _is_taken(port):
        raise InputError(f"port {port} is in use; choose another with --port")
    results.mkdir(parents=True, exist_ok=True)
    with (results / SERVER_LOG).open("ab") as log:
        server = subprocess.Popen(_server_command(uri, port), stdout=log, stderr=log, env=os.environ | PRIVACY)
        return _watch(server, f"http://{HOST}:{port}", results / SERVER_LOG, say)


def _server_command(uri: str, port: int) -> list[str]:
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", uri]
    return [*command, "--workers", "1", "--host", HOST, "--port", str(port)]


def _is_taken(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def _watch(server: subprocess.Popen[bytes], address: str, log: Path, say: Callable[[str], None]) -> int:
    """Says the address when the server answers, then waits for its end; Ctrl-C ends it."""
    try:
        if _answers(server, address):
            say(f"MLflow UI: {address} (Ctrl-C ends it)")
        return server.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        server.terminate()
        if server.wait() > 0:
            say(f"the MLflow server ended with an error; its log is {log}")


def _answers(server: subprocess.Popen[bytes], address: str) -> bool:
    """True when the server answers; False when it has ended or START_SECONDS have passed."""
    deadline = time.monotonic() + START_SECONDS
    while server.poll() is None and time.monotonic() < deadline:
        try:
            with urlopen(f"{address}/health", timeout=2):
                return True
        except (URLError, OSError):
            time.sleep(0.3)
    return False
