"""A job's files in the lake, for a worker on a machine that shares nothing else with this one.

Here: handing a job over, and taking what came of it. Not here: pods and processes.
"""

import shutil
from dataclasses import replace
from pathlib import Path, PurePosixPath

from resources.object_store import ObjectStore
from resources.training import TrainingJob

_ROOT = "_lakeloom/trainings"


class Staging:
    """The files of one training, below one prefix that is gone when it is over.

    What is saved on the way stays on the worker's machine: a lost one begins anew.
    """

    def __init__(self, lake: ObjectStore, name: str) -> None:
        self._lake = lake
        self._prefix = f"{_ROOT}/{name}"

    def hand_over(self, job: TrainingJob) -> None:
        """Put what the worker reads."""
        self.clear()
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
        partial = job.output.with_name(job.output.name + ".partial")
        shutil.rmtree(partial, ignore_errors=True)
        self._fetch("checkpoint", partial)
        shutil.rmtree(job.output, ignore_errors=True)
        partial.rename(job.output)

    def clear(self) -> None:
        """Remove everything, past versions too: there are texts among it."""
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
