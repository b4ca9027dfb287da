"""A connection to MLflow and the calls the tracking is made of.

Here: MLflow's client, imported at first use. Not here: when each call is made (mlflow.py).
"""

import logging
import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import TYPE_CHECKING

from resources.process_lock import alone

if TYPE_CHECKING:
    from mlflow import MlflowClient

MODEL = "lakeloom-encoder"
EXPERIMENT = "lakeloom"
CHAMPION = "champion"

_METRICS_A_CALL = 1000
_WEIGHTS = "model.sentence_transformer"
"""Folder in which MLflow's sentence_transformers flavour looks for the model."""


@contextmanager
def connected(uri: str, artifact_root: str | None) -> Iterator["Session"]:
    """A session; with a database file, one process at a time: MLflow's own migrations race."""
    if uri.startswith("sqlite:///"):
        database = Path(uri.removeprefix("sqlite:///"))
        with alone(database.with_name(f"{database.name}.lock")):
            yield Session(_client(uri), artifact_root)
    else:
        yield Session(_client(uri), artifact_root)


def _client(uri: str) -> "MlflowClient":
    """MLflow's client, without telemetry and without the log lines of its migrations."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    from mlflow import MlflowClient

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


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
        found = self.client.get_experiment_by_name(EXPERIMENT)
        if found is not None:
            return str(found.experiment_id)
        root = self.artifact_root
        if root is not None and "://" not in root:
            root = Path(root).absolute().as_uri()
        return str(self.client.create_experiment(EXPERIMENT, artifact_location=root))

    def versions(self, encoder: str) -> dict[str, str]:
        """Digest of each registered version of an encoder, newest first."""
        found: dict[str, str] = {}
        token = None
        while True:
            page = self.client.search_model_versions(
                f"name = '{MODEL}'", order_by=["version_number DESC"], page_token=token
            )
            ours = (version for version in page if version.tags.get("encoder") == encoder)
            found |= {str(version.version): version.tags.get("digest", "") for version in ours}
            token = page.token
            if not token:
                return found

    def version_of(self, encoder: str, digest: str) -> str | None:
        """Newest version of an encoder with this digest."""
        versions = self.versions(encoder).items()
        return next((version for version, known in versions if known == digest), None)

    def champion(self) -> tuple[str, str] | None:
        """(encoder, version) behind the alias."""
        for model in self.client.search_registered_models(f"name = '{MODEL}'"):
            if CHAMPION in model.aliases:
                version = str(model.aliases[CHAMPION])
                tags = self.client.get_model_version(MODEL, version).tags
                return str(tags["encoder"]), version
        return None

    def close_stale_runs(self, encoder: str) -> None:
        """End the runs of an encoder that a killed process left open."""
        for run in self.client.search_runs(
            [self.experiment()], f"tags.encoder = '{encoder}' and attributes.status = 'RUNNING'"
        ):
            self.client.set_terminated(run.info.run_id, "KILLED")

    @contextmanager
    def run(self, labels: Mapping[str, str]) -> Iterator[str]:
        """Id of a run that ends FINISHED, or FAILED if the block raises."""
        run = self.client.create_run(
            self.experiment(), tags=dict(labels), run_name=labels["encoder"]
        )
        try:
            yield str(run.info.run_id)
        except BaseException:
            self.client.set_terminated(run.info.run_id, "FAILED")
            raise
        self.client.set_terminated(run.info.run_id, "FINISHED")

    def log(
        self,
        run_id: str,
        parameters: Mapping[str, str | int | float],
        losses: Sequence[tuple[int, float]],
        metrics: Mapping[str, float],
    ) -> None:
        """Write parameters, the loss of each step and the final metrics.

        MLflow takes no `@` in a name: `ndcg@10` becomes `ndcg_at_10`.
        """
        from mlflow.entities import Metric, Param

        now = int(time.time() * 1000)
        points = [Metric("loss", loss, now, step) for step, loss in losses]
        for name, value in metrics.items():
            points.append(Metric(name.replace("@", "_at_"), value, now, 0))
        params = [Param(name, str(value)) for name, value in parameters.items()]
        self.client.log_batch(run_id, params=params)
        for start in range(0, len(points), _METRICS_A_CALL):
            self.client.log_batch(run_id, metrics=points[start : start + _METRICS_A_CALL])

    def publish(self, labels: Mapping[str, str], model_dir: Path, run_id: str | None) -> str:
        """Upload a model folder and register it; returns the version.

        Raises:
            ValueError: the folder holds no safetensors (MLflow would upload nothing, silently).
        """
        if not any(model_dir.rglob("*.safetensors")):
            raise ValueError(f"{model_dir} holds no model: there are no safetensors in it")
        model = self.client.create_logged_model(
            self.experiment(), name=labels["encoder"], source_run_id=run_id, tags=dict(labels)
        )
        try:
            self.client.log_model_artifacts(model.model_id, str(model_dir), _WEIGHTS)
            with tempfile.TemporaryDirectory() as folder:
                _describe(Path(folder), model.model_id, run_id)
                self.client.log_model_artifacts(model.model_id, folder)
        except BaseException:
            self.client.finalize_logged_model(model.model_id, "FAILED")
            raise
        self.client.finalize_logged_model(model.model_id, "READY")
        if not self.client.search_registered_models(f"name = '{MODEL}'"):
            self.client.create_registered_model(MODEL)
        version = self.client.create_model_version(
            MODEL,
            model.artifact_location,
            run_id=run_id,
            tags=dict(labels),
        )
        return str(version.version)


def _describe(folder: Path, model_id: str, run_id: str | None) -> None:
    """Write the MLmodel file by which `mlflow.sentence_transformers.load_model` finds the model."""
    from mlflow.models import Model

    model = Model(run_id=run_id, model_id=model_id)
    release = installed_version("sentence-transformers")
    model.add_flavor("sentence_transformers", sentence_transformers_version=release, code=None)
    model.save(str(folder / "MLmodel"))
