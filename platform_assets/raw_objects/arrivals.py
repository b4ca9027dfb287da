"""When the objects that a manifest took in were uploaded, in bounded space.

Here: the sketch that a materialisation leaves in Dagster's storage. Not here: what is made of it
(platform_assets/monitoring/waiting.py).
"""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime

METADATA = "lakeloom/arrivals"
"""Metadata key of the sketch: [[seconds since 1970, objects], ...]."""
MANIFEST = "lakeloom/manifest"
"""Metadata key: id of the manifest's record that an asset goes back to."""
MOST = 64
"""Times in one sketch."""


class Arrivals:
    """Upload times by the second; of too many, neighbours become one, dated by the earliest."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()
        self._seconds = 1

    def add(self, uploaded: Iterable[datetime]) -> None:
        """Count some objects by their upload times."""
        for time in uploaded:
            self._counts[int(time.timestamp()) // self._seconds] += 1
        while len(self._counts) > MOST:
            coarser: Counter[int] = Counter()
            for position, count in self._counts.items():
                coarser[position // 2] += count
            self._counts, self._seconds = coarser, self._seconds * 2

    def sketch(self) -> list[list[int]]:
        """(seconds since 1970, objects), the earliest first."""
        return [[position * self._seconds, n] for position, n in sorted(self._counts.items())]
