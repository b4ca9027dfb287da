"""Training through Spark's TorchDistributor, on this machine or on a Spark cluster.

Here: the engine `spark://?workers=2`, or `spark://master:7077?workers=8` for a standalone cluster,
and the driver that it launches (`python -m resources.training.spark`).
Not here: the training itself (worker.py).
"""

import os
import shutil
import sys
from collections.abc import Mapping
from typing import Any

import dagster as dg
from pydantic import BaseModel, PositiveInt

from resources.settings import UsageError, require
from resources.training import Heard, Resources, TrainingJob, TrainingResult, unheard
from resources.training.engine_url import EngineOptions
from resources.training.launch import launch
from resources.watch import end_with_launcher

_ERROR_LINES = 20
_TELLS_WORKERS = ("DAGSTER_PIPES_", "HF_", "OMP_", "TOKENIZERS_", "TRANSFORMERS_")


class SparkTrainer(EngineOptions):
    """Runs the worker in the tasks of a barrier stage; a lost one fails the training."""

    address: str = ""
    """Host and port of the master; empty for tasks in this machine's own driver."""
    workers: PositiveInt = 1

    def train(
        self, job: TrainingJob, context: dg.AssetExecutionContext, heard: Heard = unheard
    ) -> TrainingResult:
        """Run the worker to its end, its progress and losses in the run's log.

        Raises:
            dagster.Failure: the worker failed; its last output is in the error.
            UsageError: PySpark or Java is not installed.
        """
        require("the training engine spark://", "spark", "pyspark")
        if not (shutil.which("java") or os.environ.get("JAVA_HOME")):
            raise UsageError(
                "the training engine spark:// needs Java 17: apt-get install "
                "openjdk-17-jre-headless, or set JAVA_HOME"
            )
        plan = _Plan(**self.model_dump(), resources=job.resources)
        command = [sys.executable, "-m", "resources.training.spark", plan.model_dump_json()]
        own = {"PYSPARK_PYTHON": sys.executable, "PYSPARK_DRIVER_PYTHON": sys.executable}
        if not self.address:
            own["SPARK_LOCAL_IP"] = "127.0.0.1"
        return launch(command, self.workers, job, context, heard, own)


class _Plan(BaseModel):
    """What the driver is told."""

    address: str
    workers: int
    resources: Resources

    def configuration(self) -> dict[str, str]:
        """Spark's settings: nothing is tried twice, and a task gets what the recipe asks for."""
        own = {
            "spark.master": f"local[{self.workers}]",
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
        }
        found = {"spark.master": f"spark://{self.address}"} if self.address else own
        found |= {
            "spark.app.name": "lakeloom-training",
            "spark.task.maxFailures": "1",
            "spark.stage.maxConsecutiveAttempts": "1",
            "spark.ui.enabled": "false",
            "spark.log.level": "OFF",  # stack traces of Java, where a worker's last words would be
        }
        if self.resources.gpus:
            found["spark.task.resource.gpu.amount"] = str(
                max(1, self.resources.gpus // self.workers)
            )
        return found


def drive(plan: _Plan) -> None:
    """Start or join the cluster and see the training through."""
    from py4j.protocol import Py4JJavaError
    from pyspark import SparkConf
    from pyspark.errors import PySparkException
    from pyspark.ml.torch.distributor import TorchDistributor
    from pyspark.sql import SparkSession

    conf = SparkConf().setAll(list(plan.configuration().items()))
    SparkSession.builder.config(conf=conf).getOrCreate()
    told = {k: v for k, v in os.environ.items() if k.startswith(_TELLS_WORKERS)}
    use_gpu = plan.resources.gpus > 0
    try:
        TorchDistributor(plan.workers, local_mode=False, use_gpu=use_gpu).run(_work, told)
    except (PySparkException, Py4JJavaError) as error:
        lines = [line for line in str(error).splitlines() if not line.startswith("\tat ")]
        sys.exit("\n".join(lines[:_ERROR_LINES]))


def _work(told: Mapping[str, str]) -> Any:
    import os

    os.environ.update(told)
    from resources.training.worker import work

    return work()


if __name__ == "__main__":
    end_with_launcher()
    drive(_Plan.model_validate_json(sys.argv[1]))
