"""The polling sensor: looks at every corpus of the lake, from time to time.

It finds whatever was added, overwritten or deleted, also what no event told of.
Not here: what a change is (listings.py).
"""

import json

import dagster as dg

from resources.object_store import ObjectStore
from sensors.listings import UPLOAD_ASSETS, busy, changed, requested, there
from sensors.polling import POLL_SECONDS


@dg.sensor(
    target=dg.AssetSelection.assets(*UPLOAD_ASSETS),
    minimum_interval_seconds=POLL_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def bucket_uploads(
    context: dg.SensorEvaluationContext, lake: dg.ResourceParam[ObjectStore]
) -> dg.SensorResult:
    """Request a run for each corpus whose objects changed; add the partition of a new one."""
    instance = context.instance
    before = {name: (seen[0], seen[1]) for name, seen in json.loads(context.cursor or "{}").items()}
    found = changed(lake, there(instance, lake) - busy(instance), before)
    runs, partitions = requested(instance, found)
    return dg.SensorResult(
        run_requests=runs,
        dynamic_partitions_requests=partitions,
        cursor=json.dumps({**before, **found}),
    )
