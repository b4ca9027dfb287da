"""A job's files in the lake, for a worker on a machine that shares nothing else with this one.

Here: handing a job over, keeping its saved states, and taking what came of it.
Not here: pods and processes.
"""

import tarfile
from dataclasses import replace
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from resources.object_store import ObjectStore
from resources.training import STAGING, TrainingJob
from resources.training.folders import complete_or_not, last_state

_STATE = "state.tar"
"""The last saved state: one object, so it is there whole or not at all."""


class Staging:
    """The files of one launch of a training, below one prefix that is gone when it is over.

    If it fails, they stay for the next launch, unless no state was saved.
    """

    def __init__(self, lake: ObjectStore, training: str, launch: str) -> None:
        """Args: training: Asset and recipe. launch: Tells this launch from others."""
        self._lake, self._training = lake, training
        self._prefix = f"{STAGING}/{training}/{launch}"
        self._state = f"{self._prefix}/{_STATE}"
        self._kept: Path | None = None

    def inherit(self) -> None:
        """Take over the last state of earlier launches; all else that they left goes."""
        left = list(self._lake.objects(f"{STAGING}/{self._training}/"))
        states = [found for found in left if found.key.endswith(f"/{_STATE}")]
        if states:
            last = max(states, key=lambda found: found.modified)
            with TemporaryDirectory() as folder:
                self._lake.download(last.key, Path(folder, _STATE))
                self._lake.put(self._state, Path(folder, _STATE))
        for found in left:
            self._lake.purge(found.key)

    def hand_over(self, job: TrainingJob) -> None:
        """Put what the worker reads."""
        self._put(job.base_model, "base")
        self._lake.put(f"{self._prefix}/pairs.parquet", job.pairs)

    def receive(self, job: TrainingJob) -> None:
        """Fetch what was handed over to where the worker's job has it."""
        self._fetch("base", job.base_model)
        self._lake.download(f"{self._prefix}/pairs.parquet", job.pairs)
        if self.has_state():
            packed = job.state.with_name(_STATE)
            self._lake.download(self._state, packed)
            with tarfile.open(packed) as archive:
                archive.extractall(job.state, filter="data")
            self._kept = last_state(job.state)

    def keep(self, job: TrainingJob) -> None:
        """Put the worker's last saved state, unless it is there.

        If another takes its place while it is read, that is left to the next call. A launch whose
        files are gone is over, and nobody would remove what came late.
        """
        state, packed = last_state(job.state), job.state.with_name(_STATE)
        if state in (None, self._kept):
            return
        try:
            with tarfile.open(packed, "w") as archive:
                archive.add(state, state.relative_to(job.state))
        except FileNotFoundError:
            return
        wanted = any(self._lake.objects(f"{self._prefix}/pairs.parquet"))
        if wanted and state == last_state(job.state):
            self._lake.put(self._state, packed)
            self._kept = state

    def has_state(self) -> bool:
        """Whether a state is kept, of this launch or inherited."""
        return any(self._lake.objects(self._state))

    def hand_back(self, job: TrainingJob) -> None:
        """Put the finished checkpoint."""
        self._put(job.output, "checkpoint")

    def take(self, job: TrainingJob) -> None:
        """Fetch the finished checkpoint; it appears complete or not at all."""
        with complete_or_not(job.output) as partial:
            self._fetch("checkpoint", partial)

    def clear(self) -> None:
        """Remove all files of this launch with their past versions: there are texts among them."""
        for found in list(self._lake.objects(f"{self._prefix}/")):
            self._lake.purge(found.key)

    def _put(self, folder: Path, name: str) -> None:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            key = f"{self._prefix}/{name}/{path.relative_to(folder).as_posix()}"
            self._lake.put(key, path)

    def _fetch(self, name: str, folder: Path) -> None:
        prefix = f"{self._prefix}/{name}/"
        for found in self._lake.objects(prefix):
            target = folder / PurePosixPath(found.key.removeprefix(prefix))
            if not target.resolve().is_relative_to(folder.resolve()):
                raise ValueError(f"{found.key} would be written outside {folder}")
            target.parent.mkdir(parents=True, exist_ok=True)
            self._lake.download(found.key, target)


def elsewhere(job: TrainingJob, folder: Path) -> TrainingJob:
    """The job as a worker sees it that has its files in `folder`."""
    return replace(
        job,
        base_model=folder / "base",
        pairs=folder / "pairs.parquet",
        output=folder / "checkpoint",
        state=folder / "state",
    )
