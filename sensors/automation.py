"""The sensor that evaluates the assets' automation conditions."""

import dagster as dg

from sensors.bucket_uploads import POLL_SECONDS

automation = dg.AutomationConditionSensorDefinition(
    "automation",
    target=dg.AssetSelection.all(),
    minimum_interval_seconds=POLL_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
