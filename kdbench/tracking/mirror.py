"""Mirrors a results folder into MLflow: an experiment per track, a run per record and per alpha or tau of a row.

The records on disk stay authoritative: a failure of MLflow does not affect them, and mirroring twice has the same
effect as mirroring once. A store may hold several results folders; each has its own runs, identified by its path.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kdbench.errors import KdbenchError, WriteError
from kdbench.records.current import read_current
from kdbench.scoring.board import score
from kdbench.scoring.scores import Scores
from kdbench.spec import Spec
from kdbench.testsets.spec import load_spec
from kdbench.tracking.moving import artifacts_of, relocate
from kdbench.tracking.progress import Progress, first_line
from kdbench.tracking.reach import why_unreachable
from kdbench.tracking.record_entries import entries_of_records
from kdbench.tracking.score_entries import entries_of_scores
from kdbench.tracking.store import own_store_of, quiet_mlflow, tracking_uri_of
from kdbench.tracking.writer import Writer

PATIENCE = 20.0  # seconds
_MOMENT = 1.0  # seconds in which a store that has just failed must answer, or it is said not to


@dataclass(frozen=True)
class Mirrored:
    """The result of a call of `mirror`.

    Attributes:
        uri: the MLflow store.
        added, replaced, unchanged: numbers of records. One is replaced if it was run again or mirrored only partly.
        scores: number of runs of alpha or tau that were written.
        warning: one sentence on what was not mirrored and what to do; empty if there is nothing of the kind.
    """

    uri: str
    added: int = 0
    replaced: int = 0
    unchanged: int = 0
    scores: int = 0
    warning: str = ""


def mirror(
    results: Path,
    tracking_uri: str | None = None,
    *,
    spec: Spec | None = None,
    scores: Scores | None = None,
    patience: float = PATIENCE,
    report: Callable[[int, int], None] | None = None,
) -> Mirrored:
    """Mirror every record below `results`, and every alpha and tau, that MLflow does not have yet.

    Args:
        results: folder of records.
        tracking_uri: an MLflow store; see `tracking_uri_of`.
        spec: of the records; the shipped spec by default.
        scores: of the records; computed if they are not given.
        patience: seconds in which the store must answer first.
        report: is told how many runs are done, and how many there are, whenever the first number rises.

    Returns:
        The numbers of records. A failure is reported in `warning` and not raised, since all can be mirrored later.

    Raises:
        WriteError: the store would lie in the results folder, which cannot be written.
    """
    uri = tracking_uri_of(results, tracking_uri)
    progress = Progress(report)
    if reason := why_unreachable(uri, patience):
        progress.failures.append(f"MLflow at {uri} {reason}")
    else:
        try:
            _write(results, uri, spec or load_spec(), scores, progress)
        except KdbenchError:
            raise
        except Exception as error:  # MLflow and the libraries below it raise errors of many types
            reason = why_unreachable(uri, _MOMENT) or f"failed ({first_line(error)})"
            progress.failures.append(f"MLflow at {uri} {reason}")
    return Mirrored(uri, **progress.records, scores=progress.scores, warning=progress.warning(results))


def _write(results: Path, uri: str, spec: Spec, scores: Scores | None, progress: Progress) -> None:
    entries = entries_of_records(results, spec, progress.unreadable)
    entries += entries_of_scores(scores or score(results, spec, current=read_current(results)), time.time())
    progress.total = len(entries)
    is_own = uri == own_store_of(results)
    if is_own:
        _check_writable(results)
        relocate(results)
    with quiet_mlflow():
        from mlflow import MlflowClient

        # The store in the results folder may be moved together with it.
        folder = "." if is_own else str(results.resolve())
        client = MlflowClient(tracking_uri=uri)
        Writer(client, folder, lambda track: artifacts_of(results, track) if is_own else None, progress).write(entries)


def _check_writable(results: Path) -> None:
    if not os.access(results, os.W_OK):
        raise WriteError(
            f"{results} cannot be written, and MLflow's store would lie in it; "
            "set MLFLOW_TRACKING_URI to a store elsewhere, such as sqlite:///mlflow.db"
        )
