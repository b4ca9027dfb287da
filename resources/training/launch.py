"""Running an engine's command, and hearing from its worker by Dagster Pipes.

Here: what the engines of one machine share; no process that is started here stays behind.
Not here: what is run (one file for each engine); no heavy library enters this process.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
import uuid
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import dagster as dg
import psutil
from pydantic import TypeAdapter

from resources.secrets import without_secrets
from resources.training import Heard, TrainingJob, TrainingResult
from resources.training.hearing import FileMessages

WORKER = "resources.training.worker"
_MARK = "LAKELOOM_TRAINING"
"""Variable by which the processes of one training are told from all others."""
_KILLED = (
    ": it was killed, as the system does where memory runs out (then lower micro_batch); asked for "
    "again, it goes on from its last saved state"
)
_TAIL_LINES = 60
_JVM_FRAME = re.compile(r"\s*at [\w.$/<>]+\(")
"""Spark ends with a hundred lines of these, after the worker's own words."""
ENVIRONMENT = {
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",  # the same sums in the same order on a GPU
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_OFFLINE": "1",  # the base model is a folder
    "OMP_WAIT_POLICY": "PASSIVE",  # waiting threads leave their core to others
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_VERBOSITY": "error",
}
"""What every worker is told, unless the environment says otherwise."""


def launch(
    command: Sequence[str],
    processes: int,
    job: TrainingJob,
    context: dg.AssetExecutionContext,
    heard: Heard,
    environment: Mapping[str, str] | None = None,
) -> TrainingResult:
    """Run a command that makes `processes` workers train the job; `heard` is told of losses.

    Raises:
        dagster.Failure: the command failed; its last output is in the error.
    """
    with (
        warnings.catch_warnings(action="ignore", category=dg.PreviewWarning),
        tempfile.TemporaryDirectory(dir=job.output.parent) as folder,  # where all workers see it
        dg.open_pipes_session(
            context=context,
            context_injector=dg.PipesFileContextInjector(str(Path(folder) / "context")),
            message_reader=FileMessages(str(Path(folder) / "messages"), heard),
            extras=extras(job, processes),
        ) as session,
    ):
        threads = max(1, (os.cpu_count() or 1) // processes)
        shared = {} if processes == 1 else {"OMP_NUM_THREADS": str(threads)}
        bootstrap = session.get_bootstrap_env_vars()
        run(command, {**ENVIRONMENT, **shared, **os.environ, **(environment or {}), **bootstrap})
    return result_of(session.get_custom_messages())


def extras(job: TrainingJob, processes: int) -> dict[str, Any]:
    """What the worker is told through Pipes."""
    message = TypeAdapter(TrainingJob).dump_python(job, mode="json")
    return {"job": message, "world_size": processes}


def result_of(messages: Sequence[Any]) -> TrainingResult:
    """What the worker said last.

    Raises:
        dagster.Failure: it said nothing.
    """
    if not messages:
        raise dg.Failure("the training ended without a result: its worker never reported one")
    return TypeAdapter(TrainingResult).validate_python(messages[-1])


def torchrun(processes: int) -> list[str]:
    """The command that runs the worker in some processes of this machine."""
    if processes == 1:
        return [sys.executable, "-m", WORKER]
    launcher = ["torch.distributed.run", "--standalone", "--nproc-per-node"]
    return [sys.executable, "-m", *launcher, str(processes), "-m", WORKER]


def run(command: Sequence[str], environment: Mapping[str, str]) -> None:
    """Run a command; when this returns or raises, none of its processes is left.

    The command's standard input is a pipe held open here: when this process dies, by whatever
    cause, the pipe closes and what was started ends itself (watch.py).

    Raises:
        dagster.Failure: the exit status is not 0; the command's secrets are not in it.
    """
    mark = uuid.uuid4().hex
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            command,
            env={**environment, _MARK: mark},
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            status = process.wait()
        finally:
            _end(mark)
            process.communicate()
        if status != 0:
            said = without_secrets(_tail(output), environment)
            why = _KILLED if status == -signal.SIGKILL else ""
            raise dg.Failure(
                f"the training ended with status {status}{why}; its last output:\n{said}"
            )


def _end(mark: str) -> None:
    """Kill all processes of one training, also those that left its process group or parent."""
    while found := list(_marked(mark)):
        for process in found:
            process.kill()
        psutil.wait_procs(found, timeout=1)


def _marked(mark: str) -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        try:
            if process.environ().get(_MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                yield process
        except psutil.Error:  # gone meanwhile, or another user's
            continue


def _tail(output: IO[bytes]) -> str:
    size = output.seek(0, os.SEEK_END)
    output.seek(max(0, size - 65_536))
    lines = output.read().decode(errors="replace").splitlines()
    lines = [line for line in lines if not _JVM_FRAME.match(line)]
    return "\n".join(lines[-_TAIL_LINES:])
