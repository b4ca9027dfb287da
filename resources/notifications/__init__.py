"""Telling people that a run failed.

Here: what is told, and the protocol of whoever carries it. Not here: when (sensors/failed_runs.py).
"""

from dataclasses import dataclass
from typing import Protocol

SILENT = "none://"
"""Nobody is told."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A run that failed and is not tried again."""

    run_id: str
    job: str
    steps: tuple[str, ...]
    """Those that failed; none if the run failed before or between them."""
    partition: str
    """Empty where the run has none."""
    reason: str
    """Without secrets, shortened."""
    link: str
    """Where the run is shown; empty if `LAKELOOM_UI_URL` is not set."""


class Notifier(Protocol):
    """Carries news to people."""

    def tell(self, failure: Failure) -> None:
        """Tell of a failure, within a bounded time.

        Raises:
            RuntimeError: it could not be delivered; the error holds no secret.
        """
        ...


class Silent:
    """Tells nobody."""

    def tell(self, failure: Failure) -> None:
        """Do nothing."""
