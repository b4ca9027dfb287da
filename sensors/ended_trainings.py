"""The sensors that close what a dead training left open in the experiment tracking.

Not here: finding dead runs (platform_assets/abandoned_runs.py); Dagster tells of those, too.
"""

import dagster as dg

from resources.tracking import Tracking

TRAINED = frozenset(map(dg.AssetKey, ("checkpoints", "language_models")))


def _ending(name: str, status: dg.DagsterRunStatus) -> dg.SensorDefinition:
    @dg.run_status_sensor(
        name=name, run_status=status, default_status=dg.DefaultSensorStatus.RUNNING
    )
    def ended(
        context: dg.RunStatusSensorContext, tracking: dg.ResourceParam[Tracking]
    ) -> dg.SkipReason | None:
        """End as killed what a run of a training asset left running.

        A training that fails ends its own; one whose process was killed cannot.
        """
        run = context.dagster_run
        selected = run.asset_selection
        if selected is not None and TRAINED.isdisjoint(selected):
            return dg.SkipReason("it trained nothing")
        tracking.abandon(run.run_id)
        return None

    return ended


failed_trainings = _ending("failed_trainings", dg.DagsterRunStatus.FAILURE)
cancelled_trainings = _ending("cancelled_trainings", dg.DagsterRunStatus.CANCELED)
