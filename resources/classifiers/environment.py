"""Engines in Python environments of their own, whose libraries would not go with ours.

Here: `scheme:///folder/of/the/environment?workers=2`, and starting a driver there.
Not here: the drivers (one file for each engine).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import parse_qsl, unquote, urlsplit

from resources.classifiers import ClassifierJob, ClassifierResult
from resources.classifiers.launch import launch
from resources.settings import UsageError


@dataclass(frozen=True, slots=True)
class Environment:
    """A virtual environment and how many workers to start there."""

    name: str
    """Of the engine; `make test-engines-NAME` makes its environment."""
    folder: Path
    workers: int

    @classmethod
    def of(cls, url: str, name: str) -> Self:
        """Read a URL.

        Raises:
            UsageError: it names no folder, or something else than workers.
        """
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query))
        workers = options.pop("workers", "2")
        if options or parts.netloc or not parts.path or not workers.isdigit() or workers == "0":
            raise UsageError(
                f"LAKELOOM_CLASSIFIER={url!r} cannot be used: it is "
                f"{name}:///FOLDER?workers=NUMBER, of an environment that "
                f"`make test-engines-{name}` makes"
            )
        return cls(name, Path(unquote(parts.path)), int(workers))

    def program(self, name: str) -> Path:
        """A program of the environment.

        Raises:
            UsageError: there is none.
        """
        found = self.folder / "bin" / name
        if not found.exists():
            raise UsageError(
                f"{self.folder} is no environment for {self.name} ({found} is not there): make one "
                f"with `make test-engines-{self.name}` and name it in LAKELOOM_CLASSIFIER"
            )
        return found


@dataclass(frozen=True, slots=True)
class EnvironmentTrainer:
    """Runs an engine's driver, which starts the workers, by the Python of its environment."""

    environment: Environment
    driver: str
    """Module; it is given the number of workers, the file of the job and that of the answer."""
    variables: Callable[[str], Mapping[str, str]]
    """What the driver's environment has, given its Python."""

    def train(self, job: ClassifierJob, folder: Path) -> ClassifierResult:
        """Run the driver to its end.

        Raises:
            dagster.Failure: it failed; its last output is in the error.
            UsageError: the environment is not there.
        """
        python = str(self.environment.program("python"))
        command = [python, "-m", self.driver, str(self.environment.workers)]
        return launch(command, job, folder, self.variables(python))
