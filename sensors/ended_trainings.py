"""The sensor that closes what a dead training left open in the experiment tracking.

Not here: finding dead runs (platform_assets/abandoned_runs.py); Dagster tells of those, too.
"""

import dagster as dg

from resources.tracking import Tracking

TRAINED = frozenset(map(dg.AssetKey, ("checkpoints", "language_models")))


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.FAILURE, default_status=dg.DefaultSensorStatus.RUNNING
)
def ended_trainings(
    context: dg.RunStatusSensorContext, tracking: dg.ResourceParam[Tracking]
) -> dg.SkipReason | None:
    """End as killed what a failed run of a training asset left running.

    A training that fails ends its own; one whose process was killed cannot.
    """
    run = context.dagster_run
    selected = run.asset_selection
    if selected is not None and TRAINED.isdisjoint(selected):
        return dg.SkipReason("it trained nothing")
    tracking.abandon(run.run_id)
    return None
