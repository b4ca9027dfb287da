"""Classifier trainers: a small network over stored embeddings, trained by Keras.

Here: the protocol and the job it takes. One file for each engine implements it; `worker.py` is the
code they all run.
Not here: which documents, classes and measures there are (platform_assets/classifiers), training
of encoders (resources/training).
"""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self

WEIGHTS = "weights.safetensors"
"""File of a trained classifier: hidden.kernel, hidden.bias, output.kernel, output.bias."""


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """What decides the network and its training."""

    units: int = 64
    """Of the hidden layer, which is rectified."""
    dropout: float = 0.2
    learning_rate: float = 0.003
    epochs: int = 30
    batch_size: int = 32
    """Documents of one optimizer step, those of all workers together."""
    seed: int = 7

    def steps(self, documents: int) -> int:
        """Optimizer steps that a training on so many documents takes."""
        return self.epochs * -(-documents // self.batch_size)


@dataclass(frozen=True, slots=True)
class ClassifierJob:
    """What a worker needs; plain values, so that any Python can read it as JSON."""

    data: str
    """An .npz file: features (n, dimensions) float32, labels (n,) int32, from 0 on."""
    output: str
    """Folder for the weights."""
    classes: int
    hyperparameters: Hyperparameters = field(default_factory=Hyperparameters)

    def to_json(self) -> dict[str, Any]:
        """What `from_json` reads."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """The inverse of `to_json`."""
        own = Hyperparameters(**values["hyperparameters"])
        return cls(values["data"], values["output"], values["classes"], own)


@dataclass(frozen=True, slots=True)
class ClassifierResult:
    """What a finished job reports; its weights lie in the job's folder."""

    engine: str
    """Libraries that trained, with their versions."""
    workers: int
    losses: tuple[float, ...]
    """Mean cross-entropy of each epoch."""


class ClassifierTrainer(Protocol):
    """An engine that runs the worker."""

    def train(self, job: ClassifierJob, folder: Path) -> ClassifierResult:
        """Run the worker to its end; `folder` is for what it is told and answers.

        Raises:
            dagster.Failure: the worker failed; its last output is in the error.
            UsageError: the engine is not installed.
        """
        ...
