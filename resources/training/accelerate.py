"""Training through Hugging Face accelerate, in processes of this machine.

Here: the engine `accelerate://?processes=2`. Not here: the training itself (worker.py).
"""

import dagster as dg

from resources.training import Heard, TrainingJob, TrainingResult, unheard
from resources.training.engine_url import ProcessesOfOneMachine
from resources.training.launch import launch, torchrun


class AccelerateTrainer(ProcessesOfOneMachine):
    """Runs the worker in one process, or in several of one machine, each with a GPU of its own."""

    def train(
        self, job: TrainingJob, context: dg.AssetExecutionContext, heard: Heard = unheard
    ) -> TrainingResult:
        """Run the worker to its end, its progress and losses in the run's log.

        Raises:
            dagster.Failure: the worker failed; its last output is in the error.
            UsageError: the recipe asks for another number of GPUs.
        """
        self.check(job.resources)
        return launch(torchrun(self.processes), self.processes, job, context, heard)
