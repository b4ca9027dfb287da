"""Losses on their way from the worker to its launcher, while it trains.

Here: the worker's side, which sends about once a second and not with every step, and the form of
the message. Not here: the launcher's side (hearing.py); a worker's machine has no Dagster.
"""

import time
from collections.abc import Callable
from typing import Any

from resources.training import Losses

_KEY = "losses so far"
_SECONDS = 1.0
"""A step's loss waits no longer than this for those of the next ones."""


Stepped = Callable[[int, float], None]
"""Told of each step and its loss."""


def unwatched(step: int, loss: float) -> None:
    """For a worker that nobody listens to."""


class LossFeed:
    """Sends the losses of a training as they come."""

    def __init__(self, send: Callable[[Any], None]) -> None:
        """Args: send: Takes a message that JSON can hold."""
        self._send = send
        self._waiting: list[tuple[int, float]] = []
        self._sent = time.monotonic()

    def add(self, step: int, loss: float) -> None:
        """Note the loss of a step."""
        self._waiting.append((step, loss))
        if time.monotonic() - self._sent >= _SECONDS:
            self.flush()

    def flush(self) -> None:
        """Send what was noted since the last time."""
        if self._waiting:
            self._send({_KEY: self._waiting})
        self._waiting = []
        self._sent = time.monotonic()


def losses_in(message: Any) -> Losses | None:
    """The losses in what a worker sent; None if it sent something else."""
    if not isinstance(message, dict) or _KEY not in message:
        return None
    return [(int(step), float(loss)) for step, loss in message[_KEY]]
