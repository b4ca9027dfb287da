"""The training code that every engine runs: `python -m resources.training.worker` under Pipes.

Here: one process of a training, from the job it is told to the result it reports.
Not here: the training (tasks.py), how processes are started (one file for each engine).
"""

import os
from dataclasses import asdict
from typing import Any

from dagster_pipes import PipesDefaultContextLoader, PipesMappingParamsLoader, open_dagster_pipes
from pydantic import TypeAdapter

from resources.training import TrainingJob
from resources.training.progress import LossFeed
from resources.training.tasks import train
from resources.watch import end_with_launcher


def main() -> None:
    """Do the work, and end when the launcher does, however that is."""
    end_with_launcher()
    from torch.distributed.elastic.multiprocessing.errors import record

    record(work)()  # so that torchrun's last words are those of the process that failed first


def work() -> None:
    """Read the job from Pipes, train, and send the result back; only rank 0 speaks."""
    if int(os.environ.get("RANK", "0")) > 0:
        params = PipesMappingParamsLoader(os.environ).load_context_params()
        with PipesDefaultContextLoader().load_context(params) as context:
            extras = context["extras"] or {}
            train(_job(extras["job"]), extras["world_size"], lambda _: None)
        return
    with open_dagster_pipes() as pipes:
        job, world_size = _job(pipes.get_extra("job")), pipes.get_extra("world_size")
        feed = LossFeed(pipes.report_custom_message)
        try:
            result = train(job, world_size, pipes.log.info, feed.add)
        finally:
            feed.flush()
        pipes.report_custom_message(asdict(result))


def _job(message: Any) -> TrainingJob:
    return TypeAdapter(TrainingJob).validate_python(message)


if __name__ == "__main__":
    main()
