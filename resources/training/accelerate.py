"""Training through Hugging Face accelerate, in processes of this machine.

Here: starting the worker by Dagster Pipes, and seeing that it ends when this process does.
Not here: the training itself (worker.py); no heavy library enters this process.
"""

import os
import signal
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from typing import IO

import dagster as dg
from pydantic import TypeAdapter

from resources.training import TrainingJob, TrainingResult

_WORKER = "resources.training.worker"
_TAIL_LINES = 20
_ENVIRONMENT = {
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",  # the same sums in the same order on a GPU
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_OFFLINE": "1",  # the base model is a folder
    "OMP_WAIT_POLICY": "PASSIVE",  # waiting threads leave their core to others
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_VERBOSITY": "error",
}


class AccelerateTrainer:
    """Runs the worker in one process, or in several of one machine, each with a GPU of its own."""

    def __init__(self, processes: int = 1) -> None:
        """Train in `processes` processes; on CPU more than one rarely pays."""
        self._processes = processes

    def train(self, job: TrainingJob, context: dg.AssetExecutionContext) -> TrainingResult:
        """Run the worker to its end, its progress and losses in the run's log.

        Raises:
            dagster.Failure: the worker failed; its last output is in the error.
        """
        message = TypeAdapter(TrainingJob).dump_python(job, mode="json")
        with (
            warnings.catch_warnings(action="ignore", category=dg.PreviewWarning),
            dg.open_pipes_session(
                context=context,
                context_injector=dg.PipesTempFileContextInjector(),
                message_reader=dg.PipesTempFileMessageReader(),
                extras={"job": message, "world_size": self._processes},
            ) as session,
        ):
            _run(self._command(), {**self._environment(), **session.get_bootstrap_env_vars()})
        return TypeAdapter(TrainingResult).validate_python(session.get_custom_messages()[-1])

    def _command(self) -> list[str]:
        if self._processes == 1:
            return [sys.executable, "-m", _WORKER]
        launcher = ["torch.distributed.run", "--standalone", "--nproc-per-node"]
        return [sys.executable, "-m", *launcher, str(self._processes), "-m", _WORKER]

    def _environment(self) -> dict[str, str]:
        threads = max(1, (os.cpu_count() or 1) // self._processes)
        shared = {} if self._processes == 1 else {"OMP_NUM_THREADS": str(threads)}
        return _ENVIRONMENT | shared | dict(os.environ)


def _run(command: Sequence[str], environment: Mapping[str, str]) -> None:
    """Run a command in a process group of its own, which never outlives this process.

    The command's standard input is a pipe held open here; when this process dies, by whatever
    cause, the pipe closes and the worker ends itself.

    Raises:
        dagster.Failure: the exit status is not 0.
    """
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            command,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            status = process.wait()
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if status != 0:
            raise dg.Failure(
                f"the training worker ended with status {status}; its last output:\n{_tail(output)}"
            )


def _tail(output: IO[bytes]) -> str:
    size = output.seek(0, os.SEEK_END)
    output.seek(max(0, size - 16_384))
    lines = output.read().decode(errors="replace").splitlines()
    return "\n".join(lines[-_TAIL_LINES:])
