"""The sensor that evaluates the assets' automation conditions."""

import dagster as dg

TICK_SECONDS = 5
"""The daemon looks no more often. A quiet tick reads the event log's end, never the lake."""

automation = dg.AutomationConditionSensorDefinition(
    "automation",
    target=dg.AssetSelection.all(),
    minimum_interval_seconds=TICK_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    # A backfill would wait for its own daemon, which looks every 30 seconds.
    emit_backfills=False,
)
