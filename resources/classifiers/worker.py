"""The training code that every engine runs: `python -m resources.classifiers.worker JOB ANSWER`.

Here: reading a job, fitting the network with Keras on torch, writing weights and the answer.
Not here: how processes are started and share their work (one file for each engine), measuring.
"""

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resources.classifiers import WEIGHTS, ClassifierJob, ClassifierResult
from resources.classifiers.network import class_weights, compiled, named
from resources.watch import end_with_launcher

Weights = list[NDArray[np.float32]]


def main(work: Any) -> None:
    """Do the work of a job named on the command line; `work` returns weights and the answer."""
    end_with_launcher()
    job_file, answer = Path(sys.argv[1]), Path(sys.argv[2])
    job = ClassifierJob.from_json(json.loads(job_file.read_text()))
    weights, result = work(job)
    write(job, weights)
    answer.write_text(json.dumps(asdict(result)))


def data_of(job: ClassifierJob) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Features and labels of a job."""
    with np.load(job.data) as data:
        return data["features"], data["labels"]


def fit(job: ClassifierJob, keras: Any) -> tuple[Weights, list[float]]:
    """Train with a Keras; returns weights and the loss of each epoch."""
    features, labels = data_of(job)
    settings = job.hyperparameters
    keras.utils.set_random_seed(settings.seed)
    model = compiled(keras, features.shape[1], job.classes, settings)
    history = model.fit(
        features,
        labels,
        batch_size=settings.batch_size,
        epochs=settings.epochs,
        class_weight=dict(enumerate(class_weights(labels, job.classes).tolist())),
        verbose=0,
    )
    return model.get_weights(), [float(loss) for loss in history.history["loss"]]


def write(job: ClassifierJob, weights: Weights) -> None:
    """Write the weights into the job's folder."""
    from safetensors.numpy import save_file

    Path(job.output).mkdir(parents=True, exist_ok=True)
    save_file(named(weights), Path(job.output) / WEIGHTS)


def _by_keras_on_torch(job: ClassifierJob) -> tuple[Weights, ClassifierResult]:
    os.environ["KERAS_BACKEND"] = "torch"
    import keras
    import torch

    weights, losses = fit(job, keras)
    engine = f"keras {keras.__version__} on torch {torch.__version__}"
    return weights, ClassifierResult(engine, 1, tuple(losses))


if __name__ == "__main__":
    main(_by_keras_on_torch)
