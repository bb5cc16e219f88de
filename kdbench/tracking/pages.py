"""The addresses in the MLflow UI that show the runs of a track with charts."""

import json
from collections.abc import Iterator
from typing import Any, Final
from urllib.error import URLError
from urllib.parse import urlencode, urlsplit
from urllib.request import Request

from kdbench.addresses import opener_for
from kdbench.tracking.writer import KIND, TRACK

_SEARCH: Final = "api/2.0/mlflow/experiments/search"
_NEWEST: Final = ["last_update_time DESC"]
_VIEW: Final = urlencode({"workflowType": "machine_learning", "compareRunsMode": "CHART"})
_SECONDS: Final = 20


def pages_of(server: str) -> Iterator[tuple[str, str]]:
    """Yield each track that an MLflow server has, the latest first, and the address of its runs with charts.

    A server that has no track or does not tell is given by its own address, with an empty name.
    """
    server = server.rstrip("/")
    experiments = [each for each in _experiments(server) if {"key": KIND, "value": TRACK} in each.get("tags", [])]
    for experiment in experiments:
        yield experiment["name"], f"{server}/#/experiments/{experiment['experiment_id']}/runs?{_VIEW}"
    if not experiments:
        yield "", server


def _experiments(server: str) -> list[dict[str, Any]]:
    """Return the experiments of a server as its API describes them; none if it does not answer that."""
    query = json.dumps({"max_results": 1000, "order_by": _NEWEST}).encode()
    request = Request(f"{server}/{_SEARCH}", query, {"Content-Type": "application/json"})
    try:
        with opener_for(urlsplit(server).hostname).open(request, timeout=_SECONDS) as answer:
            return list(json.load(answer).get("experiments", []))
    except (URLError, OSError, ValueError):
        return []
