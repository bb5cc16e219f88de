"""What MLflow holds of a results folder, and answers to mirror."""

from pathlib import Path
from typing import Any

from mlflow import MlflowClient

from kdbench.records import SetPredictions
from kdbench.tracking.store import tracking_uri_of
from tests.examples import answered


def share_right(share: float) -> SetPredictions:
    """Return answers on 200 images, the same share right of every class."""
    return answered([row < 200 * share for row in range(200)])


def runs_of(results: Path, kind: str, track: str = "synthetic") -> list[Any]:
    """Return the runs of a track that MLflow holds, of the kind "record" or "score"."""
    client = MlflowClient(tracking_uri=tracking_uri_of(results))
    experiment = client.get_experiment_by_name(track)
    if experiment is None:
        return []
    return list(client.search_runs([experiment.experiment_id], f"tags.`kdbench.kind` = '{kind}'"))


def artifacts_of(results: Path, run: Any) -> set[str]:
    """Return the names of a run's artifacts."""
    client = MlflowClient(tracking_uri=tracking_uri_of(results))
    return {file.path for file in client.list_artifacts(run.info.run_id)}
