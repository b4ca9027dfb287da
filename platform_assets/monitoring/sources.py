"""Sources of figures, and what each last said.

Each is asked in a thread of its own at intervals: a scrape costs nothing, and a layer that is down
or hangs holds up no other. Not here: how figures are shown (exporter.py).
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from platform_assets.monitoring.metrics import Sample
from resources.secrets import without_secrets

logger = logging.getLogger(__name__)

LATE = 3
"""An answer is too old after so many intervals, or so many times what the last look took."""
LATE_SECONDS = 60
"""No answer is too old before, however short the interval."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A part of a source that gives no figures, among the samples of the rest."""

    why: str


Ask = Callable[[], Iterable[Sample | Fault]]


@dataclass
class Source:
    """Something to ask; what it said last stays when it fails."""

    name: str
    ask: Ask
    samples: tuple[Sample, ...] = ()
    answered: float | None = None
    """Seconds since 1970 of the last answer."""
    took: float = 0.0
    """Seconds that the last answer took."""
    fault: str | None = "no answer yet"

    def look(self) -> None:
        """Ask once."""
        began = time.monotonic()
        try:
            said = tuple(self.ask())
        except Exception as error:  # noqa: BLE001 - whatever it is, others go on and it is told
            self._tell(f"{type(error).__name__}: {error}")
        else:
            self.samples = tuple(part for part in said if isinstance(part, Sample))
            self.answered, self.took = time.time(), time.monotonic() - began
            self._tell("; ".join(part.why for part in said if isinstance(part, Fault)))

    def _tell(self, fault: str) -> None:
        self.fault = without_secrets(fault) or None
        if self.fault:
            logger.warning("%s gives no figures: %s", self.name, self.fault)


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
            time.sleep(self.pause(source))

    def pause(self, source: Source) -> float:
        """Seconds until the next look: asking takes half of a layer's time at most."""
        return max(self.every_seconds, source.took)

    def faults(self) -> Mapping[str, str | None]:
        """Source -> why it has no present answer; None if it has one."""
        return {source.name: source.fault or self._late(source) for source in self.sources}

    def samples(self) -> list[Sample]:
        """Everything that was said last."""
        found = [sample for source in self.sources for sample in source.samples]
        faults = self.faults()
        for source in self.sources:
            labels = {"source": source.name}
            found.append(Sample("lakeloom_up", float(faults[source.name] is None), labels))
            if source.answered is not None:
                found.append(Sample("lakeloom_asked_timestamp_seconds", source.answered, labels))
        return found

    def _late(self, source: Source) -> str | None:
        """A look that hangs raises nothing: only the age of the last answer shows it."""
        age = time.time() - (source.answered or 0.0)
        if age <= max(LATE * self.pause(source), LATE_SECONDS):
            return None
        return (
            f"no answer for {age:.0f} s: it hangs, or a look takes too long "
            f"(asked every {self.every_seconds:g} s)"
        )
