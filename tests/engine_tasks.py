"""Tasks for engines that say what happened to them: each worker's files tell of it."""

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4


@dataclass(frozen=True)
class Count:
    """Counts up to each number; notes whoever loads it, and may die once, or fail."""

    folder: Path
    dies_at: int | None = None
    fails_at: int | None = None
    encodes: bool = False

    def open(self, cores: int | None) -> Callable[[int], Iterator[int]]:
        (self.folder / f"opened-{uuid4().hex}").write_text(str(cores))

        def work(batch: int) -> Iterator[int]:
            if batch == self.fails_at:
                raise LookupError(f"there is no {batch}")
            if batch == self.dies_at and self._first("died"):
                os.kill(os.getpid(), signal.SIGKILL)
            yield from range(batch)

        return work

    def opened(self) -> list[str]:
        """What the workers were told of cores, one entry each."""
        return [path.read_text() for path in self.folder.glob("opened-*")]

    def _first(self, name: str) -> bool:
        try:
            (self.folder / name).touch(exist_ok=False)
        except FileExistsError:
            return False
        return True
