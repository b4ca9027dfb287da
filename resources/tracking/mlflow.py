"""Tracking with MLflow: a database or a server, one run a training, one registered model.

Here: what each operation of the protocol does. Not here: MLflow's calls (mlflow_session.py), and
which version wins (platform_assets/checkpoints).
All encoders are versions of one registered model; the tags `encoder` and `digest` tell them
apart, and the alias `champion` points at one of them.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

from resources.settings import VARIABLES, redacted
from resources.tracking.mlflow_session import CHAMPION, MODEL, Session, connected, failures


class MlflowTracking:
    """Implements `resources.tracking.Tracking`.

    Every method raises RuntimeError when the database or the server fails; the message never
    shows the password of the URI.
    """

    def __init__(self, uri: str, artifact_root: str | None = None) -> None:
        """Open nothing yet.

        Args:
            uri: A database (`sqlite:///file`) or a server (`http://host:port`).
            artifact_root: Folder or URL for the models; None leaves it to the server.
        """
        self._uri = uri
        self._artifact_root = artifact_root

    def log_training(
        self,
        encoder: str,
        parameters: Mapping[str, str | int | float],
        losses: Sequence[tuple[int, float]],
        metrics: Mapping[str, float],
        tags: Mapping[str, str],
        model_dir: Path,
    ) -> str:
        """Record a finished training as one run and register its model; returns the version.

        A model of this digest that is registered already is not recorded again. Runs of this
        encoder that a killed process left open are closed first.

        Raises:
            ValueError: `tags` lacks `digest`, or `model_dir` holds no safetensors.
        """
        labels = _labels(encoder, tags)
        with self._connected() as session:
            session.close_stale_runs(encoder)
            known = session.version_of(labels["encoder"], labels["digest"])
            if known is not None:
                return known
            with session.run(labels) as run_id:
                session.log(run_id, parameters, losses, metrics)
                return session.publish(labels, model_dir, run_id)

    def register(self, encoder: str, model_dir: Path, tags: Mapping[str, str]) -> str:
        """Register a model without a run; returns the version with the same digest if any.

        Raises:
            ValueError: `tags` lacks `digest`, or `model_dir` holds no safetensors.
        """
        labels = _labels(encoder, tags)
        with self._connected() as session:
            known = session.version_of(labels["encoder"], labels["digest"])
            return known or session.publish(labels, model_dir, None)

    def version_of(self, encoder: str, digest: str) -> str | None:
        """Registered version of an encoder whose `digest` tag is `digest`."""
        with self._connected() as session:
            return session.version_of(encoder, digest)

    def champion(self) -> tuple[str, str] | None:
        """(encoder, version) that the `champion` alias points at."""
        with self._connected() as session:
            return session.champion()

    def promote(self, encoder: str, version: str) -> None:
        """Point the `champion` alias at this version.

        Raises:
            LookupError: this encoder has no such version.
        """
        with self._connected() as session:
            if version not in session.versions(encoder):
                raise LookupError(f"{MODEL} has no version {version} of encoder {encoder!r}")
            session.client.set_registered_model_alias(MODEL, CHAMPION, version)

    @contextmanager
    def _connected(self) -> Iterator[Session]:
        try:
            with connected(self._uri, self._artifact_root) as session:
                yield session
        except failures() as error:
            place = f"{VARIABLES['tracking']}={redacted(self._uri)}"
            raise RuntimeError(f"tracking at {place} failed: {self._redact(error)}") from None

    def _redact(self, error: Exception) -> str:
        message = f"{type(error).__name__}: {error}"
        password = urlsplit(self._uri).password
        for secret in (password, unquote(password)) if password else ():
            message = message.replace(secret, "***")
        return message


def _labels(encoder: str, tags: Mapping[str, str]) -> dict[str, str]:
    if not tags.get("digest"):
        raise ValueError("a model is registered under its digest: tags must have `digest`")
    return {**tags, "encoder": encoder}
