"""Training through Ray Train, on this machine or on the machines of a Ray cluster.

Here: the engine `ray://?workers=2`, or `ray://head:6379?workers=8` for a cluster that this machine
belongs to, and the driver that it launches (`python -m resources.training.ray`).
Not here: the training itself (worker.py).
"""

import os
import sys
from typing import Any

import dagster as dg
from pydantic import BaseModel, PositiveInt

from resources.settings import require
from resources.training import Heard, Resources, TrainingJob, TrainingResult, unheard
from resources.training.engine_url import EngineOptions
from resources.training.launch import launch
from resources.watch import end_with_launcher

_TELLS_WORKERS = ("DAGSTER_PIPES_", "HF_", "LAKELOOM_TRAINING", "TOKENIZERS_", "TRANSFORMERS_")


class RayTrainer(EngineOptions):
    """Runs the worker in actors of Ray Train; a lost one fails the training."""

    address: str = ""
    """Host and port of the cluster's head; empty for a cluster of this machine and training."""
    workers: PositiveInt = 1

    def train(
        self, job: TrainingJob, context: dg.AssetExecutionContext, heard: Heard = unheard
    ) -> TrainingResult:
        """Run the worker to its end, its progress and losses in the run's log.

        Raises:
            dagster.Failure: the worker failed; its last output is in the error.
            UsageError: Ray is not installed.
        """
        require("the training engine ray://", "ray", "ray")
        storage = str(job.output.parent / "ray")
        plan = _Plan(**self.model_dump(), storage=storage, resources=job.resources)
        command = [sys.executable, "-m", "resources.training.ray", plan.model_dump_json()]
        return launch(command, self.workers, job, context, heard, {"RAY_USAGE_STATS_ENABLED": "0"})


class _Plan(BaseModel):
    """What the driver is told."""

    address: str
    workers: int
    storage: str
    resources: Resources

    def of_a_worker(self) -> dict[str, float]:
        """An equal share of what the recipe asks for, in Ray's terms."""
        asked = self.resources
        share: dict[str, float] = {"CPU": (asked.cpu or self.workers) / self.workers}
        if asked.gpus:
            share["GPU"] = asked.gpus / self.workers
        if asked.memory:
            share["memory"] = asked.memory_bytes / self.workers
        return share


def drive(plan: _Plan) -> None:
    """Start or join the cluster and see the training through."""
    import ray
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    ray.init(**_cluster(plan))
    share = plan.of_a_worker()
    TorchTrainer(
        _work,
        scaling_config=ScalingConfig(
            num_workers=plan.workers, use_gpu="GPU" in share, resources_per_worker=share
        ),
        run_config=RunConfig(
            storage_path=plan.storage, failure_config=FailureConfig(max_failures=0)
        ),
    ).fit()


def _cluster(plan: _Plan) -> dict[str, Any]:
    """Arguments of `ray.init`; a cluster that is there was given its resources by its owner."""
    told = {k: v for k, v in os.environ.items() if k.startswith(_TELLS_WORKERS)}
    workers: dict[str, Any] = {"runtime_env": {"env_vars": told}}
    if plan.address:
        return {"address": plan.address, **workers}
    share = plan.of_a_worker()
    return {
        "num_cpus": max(1, round(share["CPU"] * plan.workers)),
        "include_dashboard": False,
        "_node_ip_address": "127.0.0.1",
        **workers,
    }


def _work() -> None:
    from resources.training.worker import work

    work()


if __name__ == "__main__":
    end_with_launcher()
    drive(_Plan.model_validate_json(sys.argv[1]))
