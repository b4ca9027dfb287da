"""Training through Hugging Face accelerate, in processes of this machine.

Here: the engine `accelerate://?processes=2`. Not here: the training itself (worker.py).
"""

import dagster as dg
from pydantic import PositiveInt

from resources.training import TrainingJob, TrainingResult
from resources.training.engine_url import EngineOptions
from resources.training.launch import launch, torchrun


class AccelerateTrainer(EngineOptions):
    """Runs the worker in one process, or in several of one machine, each with a GPU of its own."""

    processes: PositiveInt = 1
    """On CPU more than one rarely pays."""

    def train(self, job: TrainingJob, context: dg.AssetExecutionContext) -> TrainingResult:
        """Run the worker to its end, its progress and losses in the run's log.

        Raises:
            dagster.Failure: the worker failed; its last output is in the error.
        """
        return launch(torchrun(self.processes), self.processes, job, context)
