"""Training engines: launch one worker script on the hardware at hand.

Here: the protocol and the job description it takes. One file for each engine implements it;
`worker.py` is what they all run, `contrastive/` and `causal/` the trainings it does, `stepping/`
what these have in common.
Not here: recipes and training pairs (platform_assets/checkpoints, platform_assets/queries).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, NonNegativeInt, PositiveFloat, StringConstraints

if TYPE_CHECKING:  # a worker's machine needs dagster-pipes, not Dagster
    import dagster as dg


STAGING = "_lakeloom/staging"
"""Prefix of the lake for what a training on another machine reads and writes, while it runs."""


class Resources(BaseModel):
    """What a training asks for in all; an engine with several workers shares it out equally.

    Engines in processes of one machine take what is there.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    gpus: NonNegativeInt = 0
    cpu: PositiveFloat | None = None
    """Cores; None: as the engine thinks fit."""
    memory: Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]*(Mi|Gi)$")] | None = None
    """Amount as Kubernetes writes it; None: as the engine thinks fit."""

    @property
    def memory_bytes(self) -> int:
        """Memory in bytes; 0 if none is asked for."""
        if self.memory is None:
            return 0
        return int(self.memory[:-2]) * {"Mi": 2**20, "Gi": 2**30}[self.memory[-2:]]


@dataclass(frozen=True, slots=True)
class TrainingJob:
    """What a worker needs to train one model; serialised to JSON for the worker."""

    base_model: Path
    """Folder of the base encoder (sentence-transformers layout)."""
    pairs: Path
    """Parquet file: query, positive (string), negatives (list of string)."""
    output: Path
    """Folder for the finished checkpoint; appears complete or not at all."""
    state: Path
    """Folder for resumable state; a killed job goes on from here."""
    hyperparameters: Mapping[str, Any]
    """Those of hyperparameters.py or causal/; the worker names a wrong or unknown one."""
    engine: str = ""
    """URL of the engine that the recipe asks for; empty: the one of LAKELOOM_TRAINER."""
    resources: Resources = field(default_factory=Resources)
    name: str = "training"
    """Asset and recipe, as `checkpoints/minilm-tuned`: tells what an earlier launch left behind."""
    task: Literal["contrastive", "causal"] = "contrastive"
    """`causal`: `base_model` is a decoder, `pairs` holds texts, `output` an adapter."""


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """What a finished job reports."""

    steps: int
    """Optimizer steps done by this launch (steps resumed from saved state not counted)."""
    world_size: int
    device: str
    precision: str
    """`bf16` or `float32`: what `auto` came to."""
    losses: tuple[tuple[int, float], ...]
    """(step, loss) of the whole training, those before a resume included."""
    seconds: float
    metrics: Mapping[str, float] = field(default_factory=dict)
    """What else was measured."""


Losses = Sequence[tuple[int, float]]
"""(step, loss) of some steps, in order."""
Heard = Callable[[Losses], None]
"""Told of losses soon after they came about; must return at once and raise nothing."""


def unheard(losses: Losses) -> None:
    """For a training that nobody watches."""


class Trainer(Protocol):
    """An engine that runs the worker."""

    def train(
        self, job: TrainingJob, context: "dg.AssetExecutionContext", heard: Heard = unheard
    ) -> TrainingResult:
        """Run the worker to its end, its progress and losses in the run's log.

        Args:
            job: The training.
            context: Of the asset whose run it is part of.
            heard: Told of each step's loss once, those before a resume first, from any thread.

        Raises:
            dagster.Failure: the worker failed; its last output is in the error.
        """
        ...
