"""Sources of figures, and what each last said.

Each is asked in a thread of its own at intervals: a scrape costs nothing, and a layer that is down
holds up no other. Not here: how figures are shown (exporter.py).
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from platform_assets.monitoring.metrics import Sample
from resources.secrets import without_secrets

logger = logging.getLogger(__name__)

Ask = Callable[[], Iterable[Sample]]


@dataclass
class Source:
    """Something to ask; what it said last stays when it fails."""

    name: str
    ask: Ask
    samples: tuple[Sample, ...] = ()
    answered: float | None = None
    """Seconds since 1970 of the last answer."""
    fault: str | None = "not asked yet"

    def look(self) -> None:
        """Ask once."""
        try:
            self.samples = tuple(self.ask())
        except Exception as error:  # noqa: BLE001 - whatever it is, others go on and it is told
            self.fault = without_secrets(f"{type(error).__name__}: {error}")
            logger.warning("%s gives no figures: %s", self.name, self.fault)
        else:
            self.answered, self.fault = time.time(), None


@dataclass
class Sources:
    """All sources, asked again and again until the process ends."""

    sources: list[Source]
    every_seconds: float
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        """Begin to ask."""
        for source in self.sources:
            thread = threading.Thread(target=self._watch, args=(source,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _watch(self, source: Source) -> None:
        while True:
            source.look()
            time.sleep(self.every_seconds)

    def faults(self) -> Mapping[str, str | None]:
        """Source -> why it has no present answer; None if it has one."""
        return {source.name: source.fault for source in self.sources}

    def samples(self) -> list[Sample]:
        """Everything that was said last."""
        found = [sample for source in self.sources for sample in source.samples]
        for source in self.sources:
            labels = {"source": source.name}
            found.append(Sample("lakeloom_up", float(source.fault is None), labels))
            if source.answered is not None:
                found.append(Sample("lakeloom_asked_timestamp_seconds", source.answered, labels))
        return found
