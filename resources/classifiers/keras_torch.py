"""Keras 3 on torch, in a process of this machine: the engine `keras://`.

Not here: the training itself (worker.py).
"""

import sys
from pathlib import Path

from resources.classifiers import ClassifierJob, ClassifierResult
from resources.classifiers.launch import launch
from resources.settings import require

ENVIRONMENT = {"KERAS_BACKEND": "torch", "OMP_WAIT_POLICY": "PASSIVE"}


class KerasTrainer:
    """Runs the worker in one process."""

    def train(self, job: ClassifierJob, folder: Path) -> ClassifierResult:
        """Run the worker to its end.

        Raises:
            dagster.Failure: the worker failed; its last output is in the error.
            UsageError: Keras is not installed.
        """
        require("a classifier", "keras", "keras")
        command = [sys.executable, "-m", "resources.classifiers.worker"]
        return launch(command, job, folder, ENVIRONMENT)
