"""Running an engine's command for a job of a classifier.

Here: the job's and the answer's files. Not here: which command (one file for each engine).
"""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from resources.classifiers import ClassifierJob, ClassifierResult
from resources.training.launch import run

_ROOT = Path(__file__).resolve().parents[2]


def launch(
    command: Sequence[str], job: ClassifierJob, folder: Path, environment: Mapping[str, str]
) -> ClassifierResult:
    """Run a command with the names of two files, the job and the answer, added to it.

    Raises:
        dagster.Failure: it failed; its last output is in the error.
    """
    told, answer = folder / "job.json", folder / "answer.json"
    told.write_text(json.dumps(job.to_json()))
    answer.unlink(missing_ok=True)
    path = os.pathsep.join([str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    run([*command, str(told), str(answer)], {**os.environ, "PYTHONPATH": path, **environment})
    values = json.loads(answer.read_text())
    return ClassifierResult(values["engine"], values["workers"], tuple(values["losses"]))
