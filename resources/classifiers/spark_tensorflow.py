"""TensorFlow through the Spark TensorFlow distributor, in a Python environment of its own.

Here: the engine `tensorflow:///folder/of/the/environment?workers=2`, and the driver that it starts
there (`python -m resources.classifiers.spark_tensorflow WORKERS JOB ANSWER`). The workers share
each batch by MultiWorkerMirroredStrategy, which Keras 2 knows and Keras 3 does not.
Not here: the training itself (worker.py).
"""

import os
import sys
from collections.abc import Callable
from typing import Any

from resources.classifiers import ClassifierJob, ClassifierResult


def variables(python: str) -> dict[str, str]:
    """What the driver's environment has, given its Python."""
    return {
        "PYSPARK_PYTHON": python,
        "PYSPARK_DRIVER_PYTHON": python,
        "TF_USE_LEGACY_KERAS": "1",
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "CUDA_VISIBLE_DEVICES": "",
        "SPARK_LOCAL_IP": "127.0.0.1",
    }


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
