"""MLflow runs: one for each training, opened before it and ended whatever becomes of it.

Here: the calls that a run is made of. Not here: when each is made (mlflow.py), models and their
versions (mlflow_registry.py).
"""

import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import TYPE_CHECKING

from resources.tracking import Dataset, Loss, Outcome, Training
from resources.tracking.mlflow_session import Session

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput

LOSS = "loss"
"""Metric by step."""
PLOTS = "plots"
FAILURE = "failure"
"""Tag of a run that failed: why."""
_METRICS_A_CALL = 1000
_REASON_CHARACTERS = 4000
_DIGEST_CHARACTERS = 36
"""What MLflow takes of a dataset's digest."""


def start(session: Session, training: Training) -> str:
    """Open a run with its parameters, tags and data; returns its id."""
    run = session.client.create_run(
        session.experiment(),
        tags={**training.tags, training.kind: training.name, **_source()},
        run_name=training.name,
    )
    run_id = str(run.info.run_id)
    try:
        _enter(session, run_id, training)
    except BaseException:
        end(session, run_id, "FAILED")
        raise
    return run_id


def _enter(session: Session, run_id: str, training: Training) -> None:
    from mlflow.entities import Param

    params = [Param(name, str(value)) for name, value in training.parameters.items()]
    session.client.log_batch(run_id, params=params)
    if training.datasets:
        session.client.log_inputs(run_id, [_input(dataset) for dataset in training.datasets])


def _source() -> dict[str, str]:
    """Which code runs: the version installed, and the commit where it is a working copy."""
    from mlflow.utils.git_utils import get_git_commit

    commit = get_git_commit(str(Path(__file__).resolve().parent))
    tags = {"lakeloom_version": installed_version("lakeloom"), "mlflow.source.name": "lakeloom"}
    return tags | ({"mlflow.source.git.commit": commit} if commit else {})


def _input(dataset: Dataset) -> "DatasetInput":
    from mlflow.entities import Dataset as Entity
    from mlflow.entities import DatasetInput, InputTag

    source = {"table": dataset.name.split("/")[0], "snapshot": dataset.snapshot}
    entity = Entity(
        name=dataset.name,
        digest=dataset.digest[:_DIGEST_CHARACTERS],
        source_type="iceberg",
        source=json.dumps(source),
        profile=json.dumps({"num_rows": dataset.rows}),
    )
    return DatasetInput(entity, [InputTag("mlflow.data.context", "training")])


def log_losses(session: Session, run_id: str, losses: Sequence[Loss]) -> None:
    """Write the losses of some steps; MLflow knows one that it has by step, value and time."""
    from mlflow.entities import Metric

    points = [Metric(LOSS, loss.value, loss.at_ms, loss.step) for loss in losses]
    for first in range(0, len(points), _METRICS_A_CALL):
        session.client.log_batch(run_id, metrics=points[first : first + _METRICS_A_CALL])


def log(session: Session, run_id: str, outcome: Outcome) -> None:
    """Write the losses that the run lacks, the final metrics, tags and plots.

    MLflow takes no `@` in a name: `ndcg@10` becomes `ndcg_at_10`.
    """
    from mlflow.entities import Metric, RunTag

    now = int(time.time() * 1000)
    known = {point.step for point in session.client.get_metric_history(run_id, LOSS)}
    missing = [Loss(step, loss, now) for step, loss in outcome.losses if step not in known]
    log_losses(session, run_id, missing)
    figures = [
        Metric(name.replace("@", "_at_"), value, now, 0) for name, value in outcome.metrics.items()
    ]
    tags = [RunTag(name, value) for name, value in outcome.tags.items()]
    session.client.log_batch(run_id, metrics=figures, tags=tags)
    with tempfile.TemporaryDirectory() as folder:
        for name, png in outcome.plots.items():
            path = Path(folder) / name
            path.write_bytes(png)
            session.client.log_artifact(run_id, str(path), PLOTS)


def end(session: Session, run_id: str, status: str, reason: str = "") -> None:
    """End a run; a reason becomes its tag."""
    if reason:
        session.client.set_tag(run_id, FAILURE, reason[-_REASON_CHARACTERS:])
    session.client.set_terminated(run_id, status)


def status(session: Session, run_id: str) -> str:
    """RUNNING, FINISHED, FAILED or KILLED; empty where there is no such run."""
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode

    if not run_id:
        return ""
    try:
        return str(session.client.get_run(run_id).info.status)
    except MlflowException as error:
        if error.error_code != ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
            raise
        return ""  # the tracking was moved since


def left_open(session: Session, tag: str, value: str) -> Iterator[str]:
    """Ids of the runs with a tag that have not ended."""
    criterion = f"tags.{tag} = '{value}' and attributes.status = 'RUNNING'"
    for run in session.client.search_runs([session.experiment()], criterion):
        yield str(run.info.run_id)
