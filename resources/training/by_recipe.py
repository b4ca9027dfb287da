"""The engine that a recipe asks for, or else the one of LAKELOOM_TRAINER.

Here: the choice. Not here: engines, and which URL is which (resources/systems.py).
"""

from collections.abc import Callable

import dagster as dg

from resources.training import Heard, Trainer, TrainingJob, TrainingResult, unheard


class TrainerByRecipe:
    """Hands each job to its engine."""

    def __init__(self, default: Trainer, connect: Callable[[str], Trainer]) -> None:
        self._default = default
        self._connect = connect

    def train(
        self, job: TrainingJob, context: dg.AssetExecutionContext, heard: Heard = unheard
    ) -> TrainingResult:
        """Train on the job's engine; raises what that does."""
        trainer = self._connect(job.engine) if job.engine else self._default
        return trainer.train(job, context, heard)
