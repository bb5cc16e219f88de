"""Writes runs into one MLflow store."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from kdbench.errors import KdbenchError
from kdbench.tracking.entries import Content, Entry
from kdbench.tracking.progress import Progress

KIND, FOLDER, NAME, DIGEST, TITLE = (
    "kdbench.kind",
    "kdbench.folder",
    "kdbench.name",
    "kdbench.digest",
    "kdbench.title",
)
VALUES, VALUES_VERSION = (
    "kdbench.values",
    "3",
)  # version of the mirrored values; runs of another version are written again
TRACK: Final = "track"  # kind of an experiment
OPENS_ON_RUNS: Final = ("mlflow.experimentKind", "custom_model_development")  # MLflow opens it on its runs, not traces
METRICS_PER_CALL, PARAMETERS_PER_CALL = 900, 100  # MLflow accepts 1000 in all, and 100 parameters


class Writer:
    """Makes the runs of one results folder in an MLflow store those that it should have.

    Args:
        client: of MLflow.
        folder: identifies the results folder in the store.
        artifacts: returns where the artifacts of a track belong; None where the server decides.
        progress: of the call.
    """

    def __init__(self, client: Any, folder: str, artifacts: Callable[[str], str | None], progress: Progress) -> None:
        self.client = client
        self.folder = folder
        self.artifacts = artifacts
        self.progress = progress

    def write(self, entries: Sequence[Entry]) -> None:
        """Write the runs that are new or have changed, one track after the other."""
        for track in dict.fromkeys(entry.track for entry in entries):
            self._write_track(track, [entry for entry in entries if entry.track == track])

    def _write_track(self, track: str, entries: Sequence[Entry]) -> None:
        experiment = self._experiment(track)
        runs = self._runs(experiment)
        for entry in entries:
            known = runs.pop(entry.name, [])
            if _is_current(known, entry):
                self._rename(known[0], entry)
                self.progress.count(entry, "unchanged")
            else:
                self._try_to_replace(experiment, entry, known)
        self._delete([run for left in runs.values() for run in left if run.data.tags.get(KIND) != "record"])

    def _try_to_replace(self, experiment: str, entry: Entry, outdated: Sequence[Any]) -> None:
        """Replace the outdated runs of an entry; one that cannot be written does not keep the others out."""
        try:
            self._replace(experiment, entry, outdated)
        except KdbenchError as error:
            self.progress.damaged(entry, str(error))
        except Exception as error:  # MLflow and the libraries below it raise errors of many types
            self._check_writable(experiment)
            self.progress.refused(entry, error)
        else:
            self.progress.count(entry, "replaced" if outdated else "added")

    def _replace(self, experiment: str, entry: Entry, outdated: Sequence[Any]) -> None:
        """Write a run. Its status is RUNNING until it is complete, so that an interrupted one is recognised."""
        content = entry.content()
        self._delete(outdated)
        tags = {
            **content.tags,
            KIND: entry.kind,
            FOLDER: self.folder,
            NAME: entry.name,
            DIGEST: entry.digest,
            VALUES: VALUES_VERSION,
            TITLE: entry.title,
        }
        ended = round(1000 * content.ended)
        started = ended - round(1000 * content.seconds)
        run = self.client.create_run(experiment, start_time=started, tags=tags, run_name=entry.title).info.run_id
        try:
            self._fill(run, content, ended)
        except Exception:
            self._check_writable(experiment)
            self.client.delete_run(run)
            raise
        self.client.set_terminated(run, "FAILED" if content.failed else "FINISHED", end_time=ended)

    def _fill(self, run: str, content: Content, timestamp: int) -> None:
        """Log parameters and metrics in as few calls as MLflow allows (one, as a rule), then the artifacts."""
        from mlflow.entities import Metric, Param

        params = [Param(name, value) for name, value in content.params.items()]
        metrics = [Metric(name, value, timestamp, step) for name, value, step in content.metrics]
        while params or metrics:
            self.client.log_batch(run, metrics[:METRICS_PER_CALL], params[:PARAMETERS_PER_CALL])
            params, metrics = params[PARAMETERS_PER_CALL:], metrics[METRICS_PER_CALL:]
        for path in content.artifacts:
            self.client.log_artifact(run, str(path))

    def _rename(self, run: Any, entry: Entry) -> None:
        """Name a run anew where other runs have come that it must be told apart from; people's own names stay."""
        if run.data.tags.get(TITLE) != entry.title:
            self.client.update_run(run.info.run_id, name=entry.title)
            self.client.set_tag(run.info.run_id, TITLE, entry.title)

    def _delete(self, runs: Sequence[Any]) -> None:
        for run in runs:
            self.client.delete_run(run.info.run_id)

    def _experiment(self, track: str) -> str:
        """Return the id of the track's experiment, which is made if necessary."""
        experiment = self.client.get_experiment_by_name(track)
        if experiment is None:
            tags = dict([OPENS_ON_RUNS, (KIND, TRACK)])
            return str(self.client.create_experiment(track, artifact_location=self.artifacts(track), tags=tags))
        if experiment.lifecycle_stage == "deleted":
            self.client.restore_experiment(experiment.experiment_id)
        if KIND not in experiment.tags:
            self._check_writable(experiment.experiment_id)
            self.client.set_experiment_tag(experiment.experiment_id, *OPENS_ON_RUNS)
        return str(experiment.experiment_id)

    def _check_writable(self, experiment: str) -> None:
        """Raise whatever MLflow raises where it takes nothing at all."""
        self.client.set_experiment_tag(experiment, KIND, TRACK)

    def _runs(self, experiment: str) -> dict[str, list[Any]]:
        """Return the runs of this results folder by the name of their entry; empty for those of older versions."""
        runs: dict[str, list[Any]] = {}
        token = None
        while True:
            page = self.client.search_runs([experiment], max_results=1000, page_token=token)
            for run in (run for run in page if run.data.tags.get(FOLDER) == self.folder):
                runs.setdefault(run.data.tags.get(NAME, ""), []).append(run)
            token = page.token
            if not token:
                return runs


def _is_current(runs: Sequence[Any], entry: Entry) -> bool:
    """Return whether an entry has exactly one run, which is complete and up to date."""
    if len(runs) != 1 or runs[0].info.status == "RUNNING":
        return False
    tags = runs[0].data.tags
    return bool(tags.get(DIGEST) == entry.digest and tags.get(VALUES) == VALUES_VERSION)
