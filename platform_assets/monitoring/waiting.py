"""From upload to search: how long uploads waited, from what materialisations left in Dagster.

Here: the accounting, pure. An upload waits from its time in the manifest until an index is
published whose chunks go back to that manifest or a later one; or until chunks are made from it
that equal those that are served, since then it changed nothing that a search could show.
Not here: reading the events (history.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

Sketch = Sequence[Sequence[int]]
"""[[seconds since 1970, objects], ...]; see raw_objects/arrivals.py."""


@dataclass
class Waiting:
    """Uploads of one corpus that no published index shows yet."""

    _manifests: list[tuple[str, Sketch]] = field(default_factory=list)
    _last: str = ""
    _chunks: str = ""
    _served: str | None = None

    def uploaded(self, manifest: str, arrivals: Sketch) -> bool:
        """A manifest was made; one that is the last one again took in nothing new.

        Returns:
            Whether it was new.
        """
        if manifest == self._last:
            return False
        self._last = manifest
        self._manifests.append((manifest, arrivals))
        return True

    def chunked(self, manifest: str, chunks: str, at: float) -> list[tuple[float, int]]:
        """Chunks were made; returns (seconds waited, objects) of what need not wait for an index.

        Args:
            manifest: The manifest's record that they go back to.
            chunks: Their data version.
            at: Seconds since 1970.
        """
        self._chunks = chunks
        return self._reached(manifest, at) if chunks == self._served else []

    def published(self, manifest: str, at: float) -> list[tuple[float, int]]:
        """The gate let an index through or left it; returns (seconds waited, objects)."""
        self._served = self._chunks
        return self._reached(manifest, at)

    def _reached(self, manifest: str, at: float) -> list[tuple[float, int]]:
        known = [name for name, _ in self._manifests]
        if manifest not in known:
            return []
        reached = known.index(manifest) + 1
        gone, self._manifests = self._manifests[:reached], self._manifests[reached:]
        return [(max(0.0, at - time), count) for _, sketch in gone for time, count in sketch]
