"""The bucket sensor: sees what was added, overwritten or deleted in the lake, by polling.

Here: the comparison of listings, and what is requested. Its cursor holds one digest a corpus,
whatever the number of objects; the manifest (raw_objects) stays the truth.
Not here: what becomes of the objects (platform_assets).
"""

import hashlib
import json
from collections.abc import Iterable, Mapping

import dagster as dg

from platform_assets.abandoned_runs import UNFINISHED, end_abandoned
from platform_assets.partitions import CORPUS_NAME, corpora
from resources.object_store import ObjectStore
from sensors.polling import POLL_SECONDS

UPLOAD_ASSETS = ("raw_objects", "documents", "chunks", "queries")
"""What a run for an upload materialises; automation conditions carry on from there."""
_MODULUS = 2**256

Cursor = Mapping[str, tuple[str, int]]
"""Corpus -> digest of its listing, and how often that has changed."""


def listing_digest(lake: ObjectStore, corpus: str) -> str:
    """Digest of (key, etag, size) of every object of a corpus, in constant memory.

    Listings come in no promised order, so the objects' hashes are added up (a multiset hash,
    Clarke et al. 2003).
    """
    total = 0
    for item in lake.objects(f"{corpus}/"):
        seen = f"{item.key}\x1f{item.etag}\x1f{item.size}".encode()
        total = (total + int.from_bytes(hashlib.sha256(seen).digest(), "big")) % _MODULUS
    return f"{total:064x}"


def changed(lake: ObjectStore, names: Iterable[str], before: Cursor) -> dict[str, tuple[str, int]]:
    """Those of the named corpora whose listing is not the one seen before."""
    found = {}
    for corpus in sorted(names):
        digest = listing_digest(lake, corpus)
        seen, times = before.get(corpus, ("", 0))
        if digest != seen:
            found[corpus] = (digest, times + 1)
    return found


@dg.sensor(
    target=dg.AssetSelection.assets(*UPLOAD_ASSETS),
    minimum_interval_seconds=POLL_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def bucket_uploads(
    context: dg.SensorEvaluationContext, lake: dg.ResourceParam[ObjectStore]
) -> dg.SensorResult:
    """Request a run for each corpus whose objects changed; add the partition of a new one.

    A corpus that a run is working on waits, so that two runs never write the same partition and
    the objects of one large upload are taken together.
    """
    before = {name: (seen[0], seen[1]) for name, seen in json.loads(context.cursor or "{}").items()}
    known = set(context.instance.get_dynamic_partitions(corpora.name or ""))
    uploaded = {name for name in lake.prefixes() if CORPUS_NAME.fullmatch(name)}
    found = changed(lake, (uploaded | known) - _busy(context.instance), before)
    new = sorted(found.keys() - known)
    requests = [
        dg.RunRequest(
            run_key=f"{corpus}:{times}:{digest}",
            partition_key=corpus,
            asset_selection=[dg.AssetKey(asset) for asset in UPLOAD_ASSETS],
        )
        for corpus, (digest, times) in found.items()
    ]
    return dg.SensorResult(
        run_requests=requests,
        dynamic_partitions_requests=[corpora.build_add_request(new)] if new else [],
        cursor=json.dumps({**before, **found}),
    )


def _busy(instance: dg.DagsterInstance) -> set[str]:
    """Corpora that an unfinished run writes, by itself or together with an encoder."""
    end_abandoned(instance)
    runs = instance.get_runs(dg.RunsFilter(statuses=list(UNFINISHED)))
    partitions = (run.tags.get("dagster/partition") or "" for run in runs)
    return {partition.split("|")[0] for partition in partitions}
