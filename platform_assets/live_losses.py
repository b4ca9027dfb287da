"""Losses on their way into the experiment tracking while a training goes on.

Here: a thread of its own, so that neither the training nor its messages ever wait for the
tracking; every few seconds it enters what has come since.
Not here: what a training has to show in the end (logbook.py), the tracking (resources/tracking).
"""

import time
from collections.abc import Callable, Sequence
from threading import Event, Thread

from resources.secrets import without_secrets
from resources.tracking import Loss
from resources.training import Losses

SECONDS = 3.0
"""Between two entries."""
PATIENCE_SECONDS = 20.0
"""How long the end of a training waits for the last one, should the tracking hang."""


class LiveLosses:
    """The losses of one training under way."""

    def __init__(
        self, enter: Callable[[Sequence[Loss]], None], warn: Callable[[str], None]
    ) -> None:
        """Begin.

        Args:
            enter: Writes losses; raises where the tracking fails, and is then given the same ones
                again with the next.
            warn: Told once of each time that the tracking does not answer.
        """
        self._enter, self._warn = enter, warn
        self._waiting: list[Loss] = []
        self._down = False
        self._over = Event()
        self._thread = Thread(target=self._go_on, name="live losses", daemon=True)
        self._thread.start()

    def heard(self, losses: Losses) -> None:
        """Take losses that have just come about; from any thread, at once."""
        now = int(time.time() * 1000)
        self._waiting.extend(Loss(step, loss, now) for step, loss in losses)

    def end(self, patience: float = PATIENCE_SECONDS) -> None:
        """Enter what is left, unless the tracking is down or takes longer than that (seconds)."""
        self._over.set()
        self._thread.join(patience)

    def _go_on(self) -> None:
        while not self._over.wait(SECONDS):
            self._flush()
        if not self._down:
            self._flush()

    def _flush(self) -> None:
        losses = tuple(self._waiting)
        if not losses:
            return
        try:
            self._enter(losses)
        except Exception as error:  # noqa: BLE001 - nothing of the tracking may end the thread
            if not self._down and not self._over.is_set():
                said = without_secrets(str(error))
                self._warn(f"{said}; the training goes on, its losses are entered later")
            self._down = True
        else:
            self._down = False
            del self._waiting[: len(losses)]
