"""What a training pod runs (`python -m resources.training.pod TRAINING LAUNCH`).

Here: the worker between two passages through the lake, its saved states kept there as it goes. The
job comes by Dagster Pipes.
Not here: the pod itself (kubernetes.py), the training itself (worker.py).
"""

import logging
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress

from dagster_pipes import PipesDefaultContextLoader, PipesMappingParamsLoader
from pydantic import TypeAdapter

from resources.registry import connect_lake
from resources.settings import Settings
from resources.training import TrainingJob
from resources.training.staging import Staging

_log = logging.getLogger(__name__)
_LOOK_SECONDS = 2.0
"""Between two looks for a saved state."""


def main(training: str, launch: str, worker: Sequence[str]) -> int:
    """Train the job that was handed over for a launch; returns the worker's exit status."""
    params = PipesMappingParamsLoader(os.environ).load_context_params()
    with PipesDefaultContextLoader().load_context(params) as context:
        job = TypeAdapter(TrainingJob).validate_python((context["extras"] or {})["job"])
    staging = Staging(connect_lake(Settings.from_env()), training, launch)
    staging.receive(job)
    process = subprocess.Popen(worker, stdin=subprocess.PIPE)  # held open: see watch.py
    while (status := _status(process)) != 0:
        try:
            staging.keep(job)
        except (
            OSError,
            ValueError,
        ) as error:  # no reason to end a training, and the lake may come back
            _log.warning("the last state is not in the lake: %s", error)
        if status is not None:
            return status
    staging.hand_back(job)
    return 0


def _status(process: subprocess.Popen[bytes]) -> int | None:
    """Exit status, or None while it runs, after some seconds."""
    with suppress(subprocess.TimeoutExpired):
        return process.wait(_LOOK_SECONDS)
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
