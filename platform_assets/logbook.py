"""Trainings and their runs in the experiment tracking: begun before, finished after.

Here: that a training never fails or waits for long because the tracking is down. What it has to
show is noted in the lake together with its checkpoint and entered when the tracking answers, at
the latest at the next materialisation.
Not here: what is entered (each asset's folder), the tracking itself (resources/tracking).
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import dagster as dg
from pydantic import TypeAdapter

from platform_assets.checking import Verdict
from platform_assets.evaluation.canvas import png
from platform_assets.evaluation.plots import training_loss
from platform_assets.live_losses import PATIENCE_SECONDS, LiveLosses
from platform_assets.provenance import PREFIX, canonical
from resources.object_store import ObjectStore
from resources.tracking import Loss, Outcome, Tracked, Tracking, Training
from resources.training import Heard

LOSS_PLOT = "loss.png"
KILLED_PATIENCE_SECONDS = 2.0
"""How long a run that is being killed waits for its last losses; Kubernetes gives it thirty."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Note:
    """A training that ended well, as the lake keeps it."""

    checkpoint: str
    """Digest of its files."""
    training: Training
    outcome: Outcome
    run: str
    """Empty where the tracking was down as it began."""
    tracked: Tracked | None = None
    """None as long as it has not been entered."""


class Run:
    """A training under way."""

    def __init__(self, logbook: "Logbook") -> None:
        self._logbook = logbook
        self._training: Training | None = None
        self._live: LiveLosses | None = None
        self.id = ""

    def begin(self, training: Training) -> Heard:
        """Open its run; without one it goes on all the same. Returns what to tell its losses."""
        self._training = training
        self.id = self._logbook.attempt(lambda tracking: tracking.begin(training)) or ""
        self._live = self._logbook.live(self.id)
        return self._live.heard

    def over(self, patience: float = PATIENCE_SECONDS) -> None:
        """Its last losses are entered, if they can be within some seconds."""
        if self._live:
            self._live.end(patience)

    def note(self, checkpoint: str, outcome: Outcome) -> None:
        """Keep what it has to show; from now on it counts as done."""
        assert self._training is not None
        self._logbook.write(Note(checkpoint, self._training, outcome, self.id))
        self.id = ""
        self.over()


class Logbook:
    """The trainings of one asset partition."""

    def __init__(
        self,
        tracking: Tracking,
        lake: ObjectStore,
        warn: Callable[[str], None],
        asset: str,
        partition: str,
    ) -> None:
        """Open nothing yet; `warn` is told when the tracking does not answer."""
        self._tracking = tracking
        self._lake = lake
        self._warn = warn
        self._prefix = f"{PREFIX}/trainings/{asset}/{partition}/"

    @contextmanager
    def run(self) -> Iterator[Run]:
        """A training: if the block raises, its run ends as failed, or killed, with the reason."""
        run = Run(self)
        try:
            yield run
        except BaseException as error:
            reason, killed = reason_of(error), not isinstance(error, Exception)
            run.over(KILLED_PATIENCE_SECONDS if killed else PATIENCE_SECONDS)
            if run.id:
                self.attempt(lambda tracking: tracking.fail(run.id, reason, killed=killed))
            raise

    def settle(self, folder: Callable[[str], Path]) -> None:
        """Enter what waits for it.

        Args:
            folder: Digest of a checkpoint -> a local copy of its files.
        """
        for note in self.waiting():
            try:
                model = folder(note.checkpoint)
            except LookupError:  # somebody removed it from the lake: there is nothing to register
                self._lake.delete(self._key(note.checkpoint))
                continue
            tracked = self.attempt(partial(_enter, note, model))
            if tracked is None:
                break
            self.write(replace(note, tracked=tracked, outcome=replace(note.outcome, losses=())))

    def waiting(self) -> list[Note]:
        """Trainings that the tracking does not know of yet."""
        keys = [item.key for item in self._lake.objects(self._prefix)]
        return [note for note in map(self._read, sorted(keys)) if note.tracked is None]

    def links(self, checkpoint: str) -> dict[str, dg.MetadataValue[str | None]]:
        """Metadata: where people see the training that made a checkpoint."""
        try:
            note = self._read(self._key(checkpoint))
        except FileNotFoundError:
            return {}
        return shown(note.tracked.links) if note.tracked else {}

    def attempt(self, do: Callable[[Tracking], _T]) -> _T | None:
        """The answer of the tracking; None, and a warning, if there is none."""
        try:
            return do(self._tracking)
        except RuntimeError as error:
            self._warn(f"{error}; trainings go on without it and are entered later")
            return None

    def live(self, run: str) -> LiveLosses:
        """What enters losses into a run under way; where there is none, nothing."""

        def enter(losses: Sequence[Loss]) -> None:
            if run:
                self._tracking.progress(run, losses)

        return LiveLosses(enter, self._warn)

    def write(self, note: Note) -> None:
        """Keep a note; plots are drawn anew."""
        self._lake.put(self._key(note.checkpoint), canonical(asdict(note)).encode())

    def _read(self, key: str) -> Note:
        return TypeAdapter(Note).validate_python(json.loads(self._lake.get(key)))

    def _key(self, checkpoint: str) -> str:
        return f"{self._prefix}{checkpoint}.json"


def _enter(note: Note, model: Path, tracking: Tracking) -> Tracked:
    plot = png(training_loss({note.training.name: note.outcome.losses}))
    outcome = replace(note.outcome, plots={LOSS_PLOT: plot})
    return tracking.finish(note.run, note.training, outcome, model)


def untracked(notes: Sequence[Note]) -> Verdict:
    """The verdict of a check on what `waiting` found."""
    fault = (
        f"{len(notes)} trainings wait for the experiment tracking, which did not answer; their "
        "checkpoints are safe: see to LAKELOOM_TRACKING, then materialise again"
    )
    return Verdict(fault if notes else None, {"waiting": len(notes)})


def shown(links: Mapping[str, str]) -> dict[str, dg.MetadataValue[str | None]]:
    """Links as Dagster's UI shows them: a URL to click, a command to copy."""
    return {
        name: dg.MetadataValue.url(link)
        if "://" in link.split(" ")[0]
        else dg.MetadataValue.text(link)
        for name, link in links.items()
    }


def reason_of(error: BaseException) -> str:
    """What an error says, a `dagster.Failure`'s description included."""
    said = error.description if isinstance(error, dg.Failure) else str(error)
    return f"{type(error).__name__}: {said}"
