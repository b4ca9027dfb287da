"""What a training pod runs (`python -m resources.training.pod LAUNCH`): fetch, train, hand back.

Here: the worker between two passages through the lake. The job comes by Dagster Pipes.
Not here: the pod itself (kubernetes.py), the training itself (worker.py).
"""

import os
import subprocess
import sys
from collections.abc import Sequence

from dagster_pipes import PipesDefaultContextLoader, PipesMappingParamsLoader
from pydantic import TypeAdapter

from resources.registry import connect_lake
from resources.settings import Settings
from resources.training import TrainingJob
from resources.training.staging import Staging


def main(launch: str, worker: Sequence[str]) -> int:
    """Train the job that was handed over under `launch`; returns the worker's exit status."""
    params = PipesMappingParamsLoader(os.environ).load_context_params()
    with PipesDefaultContextLoader().load_context(params) as context:
        job = TypeAdapter(TrainingJob).validate_python((context["extras"] or {})["job"])
    staging = Staging(connect_lake(Settings.from_env()), launch)
    staging.receive(job)
    process = subprocess.Popen(worker, stdin=subprocess.PIPE)  # held open: see watch.py
    status = process.wait()
    if status == 0:
        staging.hand_back(job)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
