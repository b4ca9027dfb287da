"""A job's files in the lake, for a worker on a machine that shares nothing else with this one.

Here: handing a job over, and taking what came of it. Not here: pods and processes.
"""

from dataclasses import replace
from pathlib import Path, PurePosixPath

from resources.object_store import ObjectStore
from resources.training import STAGING, TrainingJob
from resources.training.folders import complete_or_not


class Staging:
    """The files of one launch of a training, below one prefix that is gone when it is over.

    What is saved on the way stays on the worker's machine: a lost one begins anew.
    """

    def __init__(self, lake: ObjectStore, launch: str) -> None:
        self._lake = lake
        self._prefix = f"{STAGING}/{launch}"

    def hand_over(self, job: TrainingJob) -> None:
        """Put what the worker reads."""
        self._put(job.base_model, "base")
        self._lake.put(f"{self._prefix}/pairs.parquet", job.pairs)

    def receive(self, job: TrainingJob) -> None:
        """Fetch what was handed over to where the worker's job has it."""
        self._fetch("base", job.base_model)
        self._lake.download(f"{self._prefix}/pairs.parquet", job.pairs)

    def hand_back(self, job: TrainingJob) -> None:
        """Put the finished checkpoint."""
        self._put(job.output, "checkpoint")

    def take(self, job: TrainingJob) -> None:
        """Fetch the finished checkpoint; it appears complete or not at all."""
        with complete_or_not(job.output) as partial:
            self._fetch("checkpoint", partial)

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


def clear(lake: ObjectStore, name: str) -> None:
    """Remove the files of one launch, or of all of one training, with their past versions.

    There are texts among them.
    """
    for found in list(lake.objects(f"{STAGING}/{name}/")):
        lake.purge(found.key)


def elsewhere(job: TrainingJob, folder: Path) -> TrainingJob:
    """The job as a worker sees it that has its files in `folder`."""
    return replace(
        job,
        base_model=folder / "base",
        pairs=folder / "pairs.parquet",
        output=folder / "checkpoint",
        state=folder / "state",
    )
