"""Running an engine's command for a job of a classifier.

Here: what the engines share; no process that is started here outlives this one.
Not here: which command (one file for each engine).
"""

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from resources.classifiers import ClassifierJob, ClassifierResult

_ROOT = Path(__file__).resolve().parents[2]
_TAIL_BYTES = 8_192


def launch(
    command: Sequence[str], job: ClassifierJob, folder: Path, environment: Mapping[str, str]
) -> ClassifierResult:
    """Run a command with the names of two files, the job and the answer, added to it.

    Raises:
        RuntimeError: it failed; its last output is in the error.
    """
    told, answer = folder / "job.json", folder / "answer.json"
    told.write_text(json.dumps(job.to_json()))
    answer.unlink(missing_ok=True)
    path = os.pathsep.join([str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    _run([*command, str(told), str(answer)], {**os.environ, "PYTHONPATH": path, **environment})
    values = json.loads(answer.read_text())
    return ClassifierResult(values["engine"], values["workers"], tuple(values["losses"]))


def _run(command: Sequence[str], environment: Mapping[str, str]) -> None:
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
            raise RuntimeError(
                f"the classifier's training ended with status {status}; its last output:\n"
                f"{_tail(output)}"
            )


def _tail(output: IO[bytes]) -> str:
    size = output.seek(0, os.SEEK_END)
    output.seek(max(0, size - _TAIL_BYTES))
    return output.read().decode(errors="replace")
