"""Experiment tracking and the model registry.

Here: the protocol. One file for each system implements it.
Not here: the decision which model is promoted (platform_assets/checkpoints/promotion.py).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol


class Tracking(Protocol):
    """Records one run for each materialisation that trained, and holds the registry."""

    def log_training(
        self,
        encoder: str,
        parameters: Mapping[str, str | int | float],
        losses: Sequence[tuple[int, float]],
        metrics: Mapping[str, float],
        tags: Mapping[str, str],
        model_dir: Path,
    ) -> str:
        """Record a finished training as one run and register its model; returns the version."""
        ...

    def register(self, encoder: str, model_dir: Path, tags: Mapping[str, str]) -> str:
        """Register a model without a run; returns the version with the same `digest`, if any."""
        ...

    def version_of(self, encoder: str, digest: str) -> str | None:
        """Registered version whose `digest` tag is `digest`."""
        ...

    def champion(self) -> tuple[str, str] | None:
        """(encoder, version) that the `champion` alias points at."""
        ...

    def promote(self, encoder: str, version: str) -> None:
        """Point the `champion` alias at this version."""
        ...


class ExperimentRun(Protocol):
    """An open run that a job logs to."""

    def log_metrics(self, metrics: Mapping[str, float]) -> None:
        """Enter figures, at most 1,000 a call; names take letters, digits, and `_-. /:`."""
        ...

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Label the run."""
        ...
