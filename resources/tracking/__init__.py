"""Experiment tracking and the model registry.

Here: the protocol. One file for each system implements it.
Not here: the decision which model is promoted (platform_assets/checkpoints/promotion.py), and what
becomes of a training while the tracking is down (platform_assets/logbook.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

Kind = Literal["encoder", "language_model"]
"""What was trained; each kind is a registered model of its own."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """Data that a training reads, as it was then."""

    name: str
    """`asset/partition`."""
    digest: str
    snapshot: str
    """Snapshot of the table."""
    rows: int


@dataclass(frozen=True, slots=True)
class Training:
    """A training that is about to begin."""

    kind: Kind
    name: str
    """The recipe."""
    parameters: Mapping[str, str | int | float]
    datasets: tuple[Dataset, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    """`code_version`, `dagster_run_id` and what else tells it apart."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a training that ended well has to show, but for its model."""

    losses: tuple[tuple[int, float], ...]
    """(step, loss) of every step."""
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    """`digest` tells versions of a model apart."""
    plots: Mapping[str, bytes] = field(default_factory=dict)
    """File name -> PNG."""


@dataclass(frozen=True, slots=True)
class Tracked:
    """A training as the tracking has it."""

    version: str
    """Of the registered model."""
    links: Mapping[str, str]
    """What it is -> URL, or the command that opens the UI."""


@dataclass(frozen=True, slots=True)
class Loss:
    """The loss of a step of a training under way."""

    step: int
    value: float
    at_ms: int
    """Milliseconds since 1970; entered again with the same, it is the same one."""


class Tracking(Protocol):
    """Records one run for each materialisation that trains, and holds the registry.

    Every method raises RuntimeError where the database or the server fails; no message shows a
    password.
    """

    def begin(self, training: Training) -> str:
        """Open a run; returns its id. Runs that killed trainings of this recipe left are closed."""
        ...

    def progress(self, run: str, losses: Sequence[Loss]) -> None:
        """Enter losses of a run that is under way; those it has already stay as they are."""
        ...

    def finish(self, run: str, training: Training, outcome: Outcome, model_dir: Path) -> Tracked:
        """Enter the outcome into a run, register the model and end the run.

        Args:
            run: What `begin` returned; empty where it could not be begun: one is made now.
            training: As it was begun.
            outcome: What came out. A model of a `digest` that is registered stays as it is.
            model_dir: Folder of the model.
        """
        ...

    def fail(self, run: str, reason: str, *, killed: bool = False) -> None:
        """End a run as failed, or as killed."""
        ...

    def abandon(self, dagster_run: str) -> None:
        """End as killed what a Dagster run that is over left open."""
        ...

    def register(self, encoder: str, model_dir: Path, tags: Mapping[str, str]) -> str:
        """Register an encoder without a run; returns the version with the same `digest`, if any."""
        ...

    def version_of(self, encoder: str, digest: str) -> str | None:
        """Registered version whose `digest` tag is `digest`."""
        ...

    def champion(self) -> tuple[str, str] | None:
        """(encoder, version) that the `champion` alias points at."""
        ...

    def challenger(self) -> tuple[str, str] | None:
        """(encoder, version) that the `challenger` alias points at."""
        ...

    def rank(
        self, encoder: str, version: str, figures: Mapping[str, str], *, promote: bool
    ) -> None:
        """Enter what the gate found out about a version, and move the aliases.

        `champion` moves to it if `promote` says so. `challenger` is the newest version with
        figures that is not champion.

        Args:
            encoder: The encoder.
            version: Its version.
            figures: What was measured; empty if nothing was.
            promote: Whether it is the champion from now on.
        """
        ...

    def upgrade(self) -> None:
        """Bring a database of an earlier version to this one's; a server is its operator's."""
        ...

    def links(self, version: str) -> Mapping[str, str]:
        """Where people see a version of an encoder, like `Tracked.links`."""
        ...


class ExperimentRun(Protocol):
    """An open run that a job logs to."""

    def log_metrics(self, metrics: Mapping[str, float]) -> None:
        """Enter figures, at most 1,000 a call; names take letters, digits, and `_-. /:`."""
        ...

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Label the run."""
        ...
