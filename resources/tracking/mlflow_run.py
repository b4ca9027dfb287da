"""dagster-mlflow's resource: one MLflow run for a Dagster run, for jobs that log as they go.

Here: the resource, late, since importing dagster_mlflow takes seconds, and the end of its run.
Not here: what is logged (platform_assets), trainings and the registry (mlflow.py).
"""

from collections.abc import Callable, Iterator

import dagster as dg

from resources.settings import Settings
from resources.tracking import ExperimentRun
from resources.tracking.mlflow_session import connected, experiment_name


def mlflow_run(settings: Callable[[], Settings]) -> dg.ResourceDefinition:
    """A resource that is an MLflow run named after the job.

    It ends FINISHED where `end_mlflow_run` hooks on to the job's last op, and FAILED whatever else
    becomes of the Dagster run; dagster-mlflow alone leaves a failed one RUNNING.
    """

    def start(context: dg.InitResourceContext) -> Iterator[ExperimentRun]:
        found = settings()
        with connected(found.tracking, str(found.home / "mlflow")) as session:
            session.experiment()
        from dagster_mlflow import mlflow_tracking

        config = {
            "experiment_name": experiment_name(),
            "mlflow_tracking_uri": found.tracking,
            "env": {},
            "extra_tags": {},
        }
        for run in mlflow_tracking.resource_fn(context.replace_config(config)):
            try:
                yield run
            finally:
                if run.active_run():
                    run.end_run("FAILED")

    return dg.ResourceDefinition(start)


@dg.success_hook(required_resource_keys={"mlflow"})
def end_mlflow_run(context: dg.HookContext) -> None:
    """End the MLflow run; for the last op of a job."""
    context.resources.mlflow.end_run("FINISHED")
