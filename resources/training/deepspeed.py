"""Training through DeepSpeed's ZeRO, in processes of this machine.

Here: the engine `deepspeed://?processes=2&stage=2`, by way of accelerate's DeepSpeed plugin.
Not here: the training itself (worker.py).
"""

import base64
import json
from typing import Annotated

import dagster as dg
from pydantic import Field

from resources.settings import UsageError, require
from resources.training import Heard, TrainingJob, TrainingResult, unheard
from resources.training.engine_url import ProcessesOfOneMachine
from resources.training.launch import launch, torchrun

_WEIGHTS_TOO = 3


class DeepSpeedTrainer(ProcessesOfOneMachine):
    """Runs the worker in processes that share out optimizer state, gradients or weights."""

    stage: Annotated[int, Field(ge=0, le=3)] = 2
    """What is shared out: nothing, the optimizer's state, gradients too, weights too."""

    def train(
        self, job: TrainingJob, context: dg.AssetExecutionContext, heard: Heard = unheard
    ) -> TrainingResult:
        """Run the worker to its end, its progress and losses in the run's log.

        Raises:
            dagster.Failure: the worker failed; its last output is in the error.
            UsageError: DeepSpeed is not installed, the recipe asks for another number of GPUs, or
                for a language model under stage 3.
        """
        self.check(job.resources)
        if job.task == "causal" and self.stage == _WEIGHTS_TOO:
            raise UsageError(
                "deepspeed://?stage=3 trains no language models: an adapter's weights are not "
                "gathered; set stage=2"
            )
        require("the training engine deepspeed://", "deepspeed", "deepspeed")
        config = json.dumps(self._config(int(job.hyperparameters["batch_size"])))
        environment = {
            "ACCELERATE_USE_DEEPSPEED": "true",
            "ACCELERATE_DEEPSPEED_CONFIG_FILE": base64.urlsafe_b64encode(config.encode()).decode(),
        }
        launcher = torchrun(self.processes)
        return launch(launcher, self.processes, job, context, heard, environment)

    def _config(self, batch_size: int) -> dict[str, object]:
        return {
            "train_micro_batch_size_per_gpu": max(1, batch_size // self.processes),
            "gradient_accumulation_steps": 1,
            "gradient_clipping": 1.0,  # as in the worker, which leaves it to DeepSpeed
            "zero_optimization": {
                "stage": self.stage,
                "stage3_gather_16bit_weights_on_model_save": True,
            },
        }
