"""The MLflow store of a results folder."""

import logging
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, unquote

DATABASE, ARTIFACTS = "mlflow.db", "mlflow-artifacts"
PRIVACY = {"MLFLOW_DISABLE_TELEMETRY": "true"}
_NO_LINE_PER_RUN = {"MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true"}  # a server's client prints two lines per run
_PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}  # seconds
_THIS_MACHINE = ("localhost", "127.0.0.1", "127.0.0.0/8", "::1")  # libraries differ in what they understand
_SQLITE = "sqlite:///"
_SPECIAL = re.compile(r"\?|%(?=[0-9A-Fa-f]{2})")  # characters that SQLAlchemy (2.1) does not treat as part of a path


def tracking_uri_of(results: Path, tracking_uri: str | None = None) -> str:
    """Return the MLflow store: `tracking_uri`, or else `MLFLOW_TRACKING_URI`, or else a file in the results folder."""
    return tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or own_store_of(results)


def own_store_of(results: Path) -> str:
    """Return the address of the sqlite database in a results folder."""
    return _SQLITE + _SPECIAL.sub(lambda character: quote(character[0]), str(results.resolve() / DATABASE))


def database_file(uri: str) -> Path | None:
    """Return the file of an sqlite store; None for any other store."""
    return Path(unquote(uri.removeprefix(_SQLITE))) if uri.startswith(_SQLITE) else None


def without_proxies_here(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that keep a proxy of this environment away from this machine's own addresses."""
    spared = [environment[name] for name in ("no_proxy", "NO_PROXY") if environment.get(name)]
    return dict.fromkeys(("no_proxy", "NO_PROXY"), ",".join([*spared[:1], *_THIS_MACHINE]))


@contextmanager
def quiet_mlflow() -> Iterator[None]:
    """Switch off the log lines, prints, telemetry and long retries of MLflow that the user has not set.

    A server on this machine is asked without a proxy.
    """
    for key, value in (_PATIENCE | PRIVACY | _NO_LINE_PER_RUN).items():
        os.environ.setdefault(key, value)
    proxies = {name: os.environ.get(name) for name in ("no_proxy", "NO_PROXY")}
    os.environ.update(without_proxies_here(os.environ))
    loggers = [logging.getLogger(name) for name in ("mlflow", "alembic", "urllib3")]
    levels = [logger.level for logger in loggers]
    import mlflow.store.db.utils  # noqa: F401  (configures the loggers, so it comes before they are silenced)

    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        for name, before in proxies.items():
            os.environ.pop(name) if before is None else os.environ.update({name: before})
