"""The event sensor: looks where notices say, soon after an upload.

A notice is acknowledged once the tick that took it is stored, which the next tick knows by its
cursor; until then it would come back. Polling (bucket_uploads.py) finds what no notice tells.
Not here: what a change is (listings.py), where notices come from (resources/events).
"""

import json
from collections.abc import Collection, Mapping

import dagster as dg

from resources.events import BucketEvents, by_corpus, names_of
from resources.object_store import ObjectStore
from resources.settings import POLLING_ONLY, Settings
from sensors.listings import UPLOAD_ASSETS, Cursor, busy, changed, requested, there, told

TICK_SECONDS = 1
"""Less than the 5 seconds of the daemon's own loop, which would skip every other look otherwise."""


@dg.sensor(
    target=dg.AssetSelection.assets(*UPLOAD_ASSETS),
    minimum_interval_seconds=TICK_SECONDS,
    default_status=dg.DefaultSensorStatus.STOPPED
    if Settings.from_env().events == POLLING_ONLY
    else dg.DefaultSensorStatus.RUNNING,
)
def bucket_events(
    context: dg.SensorEvaluationContext,
    lake: dg.ResourceParam[ObjectStore],
    events: dg.ResourceParam[BucketEvents],
) -> dg.SensorResult:
    """Request a run for each corpus of which a notice named something.

    Of a large corpus the run looks at the named objects alone; any other is listed here, and runs
    if its objects changed. A named corpus that a run is working on is kept in the cursor and
    looked at afterwards.
    """
    instance = context.instance
    before, waiting, receipt = _read(context.cursor)
    events.acknowledge(receipt)
    batch = events.receive()
    if not (named := by_corpus({*waiting, *batch.names})):
        return dg.SensorResult(cursor=_written(before, {}, batch.receipt))
    here = named.keys() & there(instance, lake)
    later = here & busy(instance)
    known = told(instance, {corpus: named[corpus] for corpus in here - later}, before)
    found = {**known, **changed(lake, here - later - known.keys(), before)}
    runs, partitions = requested(instance, found, {corpus: named[corpus] for corpus in known})
    return dg.SensorResult(
        run_requests=runs,
        dynamic_partitions_requests=partitions,
        cursor=_written(
            {**before, **found}, {corpus: named[corpus] for corpus in later}, batch.receipt
        ),
    )


def _read(cursor: str | None) -> tuple[Cursor, set[str], str]:
    state = json.loads(cursor or '{"seen": {}, "waiting": [], "receipt": ""}')
    seen = {name: (digest, times) for name, (digest, times) in state["seen"].items()}
    return seen, set(state["waiting"]), state["receipt"]


def _written(seen: Cursor, waiting: Mapping[str, Collection[str]], receipt: str) -> str:
    names = sorted(name for corpus, keys in waiting.items() for name in names_of(corpus, keys))
    return json.dumps({"seen": dict(seen), "waiting": names, "receipt": receipt})
