"""Tracking with MLflow: a database or a server, one run a training, one registered model a kind.

Here: what each operation of the protocol does. Not here: MLflow's calls (mlflow_runs.py,
mlflow_registry.py), and which version wins (platform_assets/checkpoints).
All encoders are versions of one registered model; the tags `encoder` and `digest` tell them
apart, and the aliases `champion` and `challenger` point at two of them.
"""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from resources.secrets import without_secrets
from resources.settings import VARIABLES, redacted
from resources.tracking import Kind, Loss, Outcome, Tracked, Training
from resources.tracking import mlflow_registry as registry
from resources.tracking import mlflow_runs as runs
from resources.tracking.mlflow_session import (
    DATABASE,
    Session,
    connected,
    failures,
    migrate,
    model_name,
)


class MlflowTracking:
    """Implements `resources.tracking.Tracking`."""

    def __init__(self, uri: str, artifact_root: str | None = None) -> None:
        """Open nothing yet.

        Args:
            uri: A database (`sqlite:///file`) or a server (`http://host:port`).
            artifact_root: Folder or URL for models and plots beside a database; a server has its
                own place for them.
        """
        self._uri = uri
        self._artifact_root = artifact_root

    def upgrade(self) -> None:
        """Migrate a database file; MLflow refuses one of an earlier version otherwise."""
        if self._uri.startswith(DATABASE) and Path(self._uri.removeprefix(DATABASE)).exists():
            with self._clear_errors():
                migrate(self._uri)

    def begin(self, training: Training) -> str:
        """Open a run; returns its id. Runs that killed trainings of this recipe left are closed."""
        with self._connected() as session:
            for run in runs.left_open(session, training.kind, training.name):
                runs.end(session, run, "KILLED", "its process was killed")
            return runs.start(session, training)

    def progress(self, run: str, losses: Sequence[Loss]) -> None:
        """Enter losses of a run that is under way; those it has already stay as they are."""
        with self._connected() as session:
            runs.log_losses(session, run, losses)

    def finish(self, run: str, training: Training, outcome: Outcome, model_dir: Path) -> Tracked:
        """Enter the outcome into a run, register the model and end the run.

        Raises:
            ValueError: the tags lack `digest`, or `model_dir` holds no safetensors.
        """
        kind = training.kind
        labels = _labels(kind, training.name, {**training.tags, **outcome.tags})
        with self._connected() as session:
            known = registry.version_of(session, kind, training.name, labels["digest"])
            status = runs.status(session, run)
            if known and status == "FINISHED":  # it was entered, and the answer got lost
                return Tracked(known, self._run_links(session, kind, run, known))
            run = run if status == "RUNNING" else runs.start(session, training)
            with _ended(session, run):
                runs.log(session, run, outcome)
                version = known or registry.publish(session, kind, labels, model_dir, run)
            return Tracked(version, self._run_links(session, kind, run, version))

    def fail(self, run: str, reason: str, *, killed: bool = False) -> None:
        """End a run as failed, or as killed; the reason is stored without secrets."""
        with self._connected() as session:
            runs.end(session, run, "KILLED" if killed else "FAILED", without_secrets(reason))

    def abandon(self, dagster_run: str) -> None:
        """End as killed what a Dagster run that is over left open."""
        with self._connected() as session:
            for run in runs.left_open(session, "dagster_run_id", dagster_run):
                runs.end(session, run, "KILLED", "its process was killed")

    def register(self, encoder: str, model_dir: Path, tags: Mapping[str, str]) -> str:
        """Register an encoder without a run; returns the version with the same digest if any.

        Raises:
            ValueError: `tags` lacks `digest`, or `model_dir` holds no safetensors.
        """
        labels = _labels("encoder", encoder, tags)
        with self._connected() as session:
            known = registry.version_of(session, "encoder", encoder, labels["digest"])
            return known or registry.publish(session, "encoder", labels, model_dir, None)

    def version_of(self, encoder: str, digest: str) -> str | None:
        """Registered version of an encoder whose `digest` tag is `digest`."""
        with self._connected() as session:
            return registry.version_of(session, "encoder", encoder, digest)

    def champion(self) -> tuple[str, str] | None:
        """(encoder, version) that the `champion` alias points at."""
        with self._connected() as session:
            return registry.holder(session, registry.CHAMPION)

    def challenger(self) -> tuple[str, str] | None:
        """(encoder, version) that the `challenger` alias points at."""
        with self._connected() as session:
            return registry.holder(session, registry.CHALLENGER)

    def rank(
        self, encoder: str, version: str, figures: Mapping[str, str], *, promote: bool
    ) -> None:
        """Enter what the gate found out about a version, and move the aliases.

        Raises:
            LookupError: this encoder has no such version.
        """
        name = model_name("encoder")
        with self._connected() as session:
            own = registry.versions(session, "encoder", encoder)
            if version not in [str(each.version) for each in own]:
                raise LookupError(f"{name} has no version {version} of encoder {encoder!r}")
            measured = {registry.MEASURED: "yes", **figures} if figures else {}
            for tag, value in measured.items():
                session.client.set_model_version_tag(name, version, tag, value)
            if promote:
                session.client.set_registered_model_alias(name, registry.CHAMPION, version)
            registry.move_challenger(session)

    def links(self, version: str) -> Mapping[str, str]:
        """Where people see a version of an encoder: its URL, or the command that opens the UI."""
        return self._links({"mlflow version": _version_page("encoder", version)})

    def _run_links(self, session: Session, kind: Kind, run: str, version: str) -> Mapping[str, str]:
        page = f"#/experiments/{session.experiment()}/runs/{run}"
        return self._links({"mlflow run": page, "mlflow version": _version_page(kind, version)})

    def _links(self, pages: Mapping[str, str]) -> Mapping[str, str]:
        if self._uri.startswith(DATABASE):
            return {"mlflow": f"mlflow ui --backend-store-uri {shlex.quote(self._uri)}"}
        server = redacted(self._uri).rstrip("/")
        return {name: f"{server}/{page}" for name, page in pages.items()}

    @contextmanager
    def _connected(self) -> Iterator[Session]:
        with self._clear_errors(), connected(self._uri, self._artifact_root) as session:
            yield session

    @contextmanager
    def _clear_errors(self) -> Iterator[None]:
        try:
            yield
        except failures() as error:
            place = f"{VARIABLES['tracking']}={redacted(self._uri)}"
            message = self._redact(f"{type(error).__name__}: {error}")
            raise RuntimeError(f"tracking at {place} failed: {message}") from None

    def _redact(self, message: str) -> str:
        return without_secrets(message, {VARIABLES["tracking"]: self._uri})


@contextmanager
def _ended(session: Session, run: str) -> Iterator[None]:
    """A run ends with the block, well or not."""
    try:
        yield
    except BaseException as error:
        runs.end(session, run, "FAILED", without_secrets(str(error)))
        raise
    runs.end(session, run, "FINISHED")


def _version_page(kind: Kind, version: str) -> str:
    return f"#/models/{model_name(kind)}/versions/{version}"


def _labels(kind: Kind, name: str, tags: Mapping[str, str]) -> dict[str, str]:
    if not tags.get("digest"):
        raise ValueError("a model is registered under its digest: tags must have `digest`")
    return {**tags, kind: name}
