"""A worker's messages as Dagster Pipes reads them, its losses picked out as they come.

Here: the launcher's side, for any reader of Pipes. Not here: the worker's (progress.py).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import dagster as dg

from resources.training import Heard
from resources.training.progress import losses_in


class HearsLosses(dg.PipesMessageReader):
    """Mixed into a message reader: losses go to `heard`, all else where it always goes."""

    heard: Heard

    @contextmanager
    def read_messages(self, handler: dg.PipesMessageHandler) -> Iterator[Any]:
        """Read with an ear between reader and handler."""
        ear = cast("dg.PipesMessageHandler", _Ear(handler, self.heard))
        with super().read_messages(ear) as params:  # type: ignore[safe-super]
            yield params


class FileMessages(HearsLosses, dg.PipesFileMessageReader):
    """Messages that the worker appends to a file."""

    def __init__(self, path: str, heard: Heard) -> None:
        super().__init__(path)
        self.heard = heard


class _Ear:
    def __init__(self, handler: dg.PipesMessageHandler, heard: Heard) -> None:
        self._handler = handler
        self._heard = heard

    def __getattr__(self, name: str) -> Any:
        return getattr(self._handler, name)

    def handle_message(self, message: Any) -> None:
        losses = losses_in((message.get("params") or {}).get("payload"))
        if losses is None:
            self._handler.handle_message(message)
        else:
            self._heard(losses)
