"""TensorFlow through the Spark TensorFlow distributor, in a Python environment of its own.

Here: the engine `tensorflow:///folder/of/the/environment?workers=2`, and the driver that it starts
there (`python -m resources.classifiers.spark_tensorflow WORKERS JOB ANSWER`). The workers share
each batch by MultiWorkerMirroredStrategy, which Keras 2 knows and Keras 3 does not.
Not here: the training itself (worker.py).
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from resources.classifiers import ClassifierJob, ClassifierResult

# The driver's environment has TensorFlow and Spark and nothing of ours: launching is imported late.


class SparkTensorFlowTrainer:
    """Runs the worker in the tasks of a barrier stage of a Spark of this machine."""

    def __init__(self, url: str) -> None:
        """Read the environment's folder and the number of workers from a URL."""
        from resources.classifiers.environment import Environment

        self._environment = Environment.of(url, "tensorflow")

    def train(self, job: ClassifierJob, folder: Path) -> ClassifierResult:
        """Run the worker to its end.

        Raises:
            RuntimeError: the worker failed; its last output is in the error.
            UsageError: the environment is not there.
        """
        from resources.classifiers.launch import launch

        python = str(self._environment.program("python"))
        command = [python, "-m", __spec__.name, str(self._environment.workers)]
        variables = {
            "PYSPARK_PYTHON": python,
            "PYSPARK_DRIVER_PYTHON": python,
            "TF_USE_LEGACY_KERAS": "1",
            "TF_CPP_MIN_LOG_LEVEL": "2",
            "CUDA_VISIBLE_DEVICES": "",
            "SPARK_LOCAL_IP": "127.0.0.1",
        }
        return launch(command, job, folder, variables)


def drive(workers: int) -> Callable[[ClassifierJob], tuple[Any, ClassifierResult]]:
    """What trains a job in some tasks of Spark."""

    def work(job: ClassifierJob) -> tuple[Any, ClassifierResult]:
        import tensorflow as tf
        from pyspark.sql import SparkSession
        from spark_tensorflow_distributor import MirroredStrategyRunner

        builder = SparkSession.builder.master(f"local[{workers}]").appName("lakeloom-classifier")
        for name in ("spark.driver.host", "spark.driver.bindAddress"):
            builder = builder.config(name, "127.0.0.1")
        builder.config("spark.ui.enabled", "false").getOrCreate()
        runner = MirroredStrategyRunner(num_slots=workers, use_gpu=False)
        weights, losses, replicas = runner.run(_train, values=job.to_json())
        engine = f"tensorflow {tf.__version__} by the Spark TensorFlow distributor"
        return weights, ClassifierResult(engine, replicas, tuple(losses))

    return work


def _train(values: dict[str, Any]) -> Any:
    """In each task, within the scope of the strategy."""
    import tensorflow as tf
    import tf_keras

    from resources.classifiers import ClassifierJob
    from resources.classifiers.worker import fit

    weights, losses = fit(ClassifierJob.from_json(values), tf_keras)
    return weights, losses, tf.distribute.get_strategy().num_replicas_in_sync


if __name__ == "__main__":
    from resources.classifiers.worker import main

    count = int(sys.argv.pop(1))
    os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
    main(drive(count))
