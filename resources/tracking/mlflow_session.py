"""A connection to MLflow.

Here: MLflow's client, imported at first use, and the platform's experiment.
Not here: runs (mlflow_runs.py), the registry (mlflow_registry.py).
"""

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from resources.process_lock import alone
from resources.settings import UsageError
from resources.tracking import Kind

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXPERIMENT = "lakeloom"
"""Name of the experiment where `MLFLOW_EXPERIMENT_NAME` gives no other."""
DATABASE = "sqlite:///"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_ENVIRONMENT = {
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",  # some 15 seconds; MLflow's own 7 are four minutes
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",  # for one that accepts and does not answer; else 120
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}


@contextmanager
def connected(uri: str, artifact_root: str | None) -> Iterator["Session"]:
    """A session; with a database file, one process at a time: MLflow's own migrations race.

    Args:
        uri: A database file or a server.
        artifact_root: Where models and plots go beside a database. A server has its own place.
    """
    if uri.startswith(DATABASE):
        database = Path(uri.removeprefix(DATABASE))
        with alone(database.with_name(f"{database.name}.lock")):
            yield Session(_client(uri), artifact_root)
    else:
        yield Session(_client(uri), None)


def migrate(uri: str) -> None:
    """Bring a database file to the schema of the MLflow that is installed."""
    from mlflow.store.db.utils import _upgrade_db
    from sqlalchemy import create_engine

    database = Path(uri.removeprefix(DATABASE))
    logging.getLogger("alembic").setLevel(logging.WARNING)
    engine = create_engine(uri)
    try:
        with alone(database.with_name(f"{database.name}.lock")):
            _upgrade_db(engine)
    finally:
        engine.dispose()


def _client(uri: str) -> "MlflowClient":
    """MLflow's client, without telemetry and without the log lines of its migrations."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def experiment_name() -> str:
    """Experiment of this deployment; MLflow's own variable keeps several on a server apart.

    Raises:
        UsageError: models cannot be called so.
    """
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"MLFLOW_EXPERIMENT_NAME={name!r} begins the models' names too: use letters, digits, "
            "'-', '_' and '.' only"
        )
    return name


def model_name(kind: Kind) -> str:
    """Registered model of what was trained; the tag called as the kind says by which recipe."""
    return f"{experiment_name()}-{kind.replace('_', '-')}"


def failures() -> tuple[type[Exception], ...]:
    """What is raised when the server, the database or the folder of models fails."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    return (MlflowException, SQLAlchemyError, OSError)


@dataclass(frozen=True, slots=True)
class Session:
    """One connection."""

    client: "MlflowClient"
    artifact_root: str | None

    def experiment(self) -> str:
        """Id of the platform's experiment, made at first use."""
        name = experiment_name()
        found = self.client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        root = self.artifact_root
        if root is not None and "://" not in root:
            root = Path(root).absolute().as_uri()
        return str(self.client.create_experiment(name, artifact_location=root))
