"""The sensor that evaluates the assets' automation conditions."""

import warnings

import dagster as dg

TICK_SECONDS = 1
"""Less than the 5 seconds of the daemon's own loop, which would skip every other look otherwise."""

with warnings.catch_warnings():
    warnings.simplefilter("ignore", dg.BetaWarning)  # of `use_user_code_server`
    automation = dg.AutomationConditionSensorDefinition(
        "automation",
        target=dg.AssetSelection.all(),
        minimum_interval_seconds=TICK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        # A backfill would wait for its own daemon, which looks every 30 seconds.
        emit_backfills=False,
        # The conditions are partly our own code, which the daemon does not have.
        use_user_code_server=True,
    )
