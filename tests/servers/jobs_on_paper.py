"""A double of Kubernetes' jobs that starts nothing: each job runs, it is said, until it is failed.

Not here: what a container does (jobs_on_podman.py), whose API this has.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.servers.jobs_on_podman import Jobs, serving


class JobsOnPaper(Jobs):
    """Jobs as they were asked for."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, {}, ())
        self._failed: set[str] = set()

    def create(self, body: dict[str, Any]) -> dict[str, Any]:
        """Note a job."""
        name = body["metadata"]["name"]
        self.asked[name] = body
        return self.described(name)

    def fail(self, name: str) -> None:
        """From now on a job is said to have failed."""
        self._failed.add(name)

    def remove(self, name: str) -> dict[str, Any]:
        """Forget a job."""
        return self.asked.pop(name)

    def _state(self, name: str) -> dict[str, Any]:
        return {"Running": name not in self._failed, "ExitCode": 1}


@contextmanager
def jobs_on_paper(folder: Path) -> Iterator[JobsOnPaper]:
    """A running double, to which the configuration `folder/kubeconfig` leads."""
    jobs = JobsOnPaper(folder)
    with serving(jobs, folder / "kubeconfig"):
        yield jobs
