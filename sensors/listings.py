"""What the two bucket sensors share: what a change is, and the run that is requested for one.

Here: the comparison of listings. A cursor holds one digest a corpus, whatever the number of
objects; the manifest (raw_objects) stays the truth.
Not here: which corpora are looked at, and when (bucket_uploads.py, bucket_events.py); what becomes
of the objects (platform_assets).
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

import dagster as dg

from platform_assets.abandoned_runs import UNFINISHED, end_abandoned
from platform_assets.holds import corpora_of, held
from platform_assets.partitions import CORPUS_NAME, corpora
from platform_assets.raw_objects.listings import (
    LISTING_METADATA,
    listing_digest,
    object_number,
)
from resources.object_store import ObjectStore

UPLOAD_ASSETS = ("raw_objects", "documents", "chunks", "queries")
"""What a run for an upload materialises; automation conditions carry on from there."""
LARGE = 10_000
"""Objects above which those that notices name are looked at alone. Of fewer, a listing of some
pages says at once whether anything is new."""

Cursor = Mapping[str, tuple[str, int]]
"""Corpus -> digest of its listing, and how often that has changed."""


def changed(lake: ObjectStore, names: Iterable[str], before: Cursor) -> dict[str, tuple[str, int]]:
    """Those of the named corpora whose listing is not the one seen before, in constant memory."""
    found = {}
    for corpus in sorted(names):
        items = lake.objects(f"{corpus}/")
        digest = listing_digest(object_number(each.key, each.etag, each.size) for each in items)
        seen, times = before.get(corpus, ("", 0))
        if digest != seen:
            found[corpus] = (digest, times + 1)
    return found


def told(
    instance: dg.DagsterInstance, named: Mapping[str, Collection[str]], before: Cursor
) -> dict[str, tuple[str, int]]:
    """Those of the corpora of which the named objects are to be looked at, and no listing.

    Not where the last run failed: what it was told of is in no notice any more.
    """
    return {
        corpus: (_digest(keys), before.get(corpus, ("", 0))[1] + 1)
        for corpus, keys in named.items()
        if keys and _manifest(instance, corpus).rows > LARGE and not _failed(instance, corpus)
    }


def known_corpora(instance: dg.DagsterInstance) -> set[str]:
    """Corpora that have a partition."""
    return set(instance.get_dynamic_partitions(corpora.name or ""))


def there(instance: dg.DagsterInstance, lake: ObjectStore) -> set[str]:
    """Corpora that have a partition or objects."""
    uploaded = {name for name in lake.prefixes() if CORPUS_NAME.fullmatch(name)}
    return uploaded | known_corpora(instance)


def busy(instance: dg.DagsterInstance) -> set[str]:
    """Corpora that an unfinished run writes, or a command holds.

    They wait, so that two runs never write the same partition and the objects of one large upload
    are taken together.
    """
    end_abandoned(instance)
    runs = instance.get_runs(dg.RunsFilter(statuses=list(UNFINISHED)))
    return held(instance, known_corpora(instance)).union(*map(corpora_of, runs))


def requested(
    instance: dg.DagsterInstance, found: Cursor, named: Mapping[str, Collection[str]] | None = None
) -> tuple[list[dg.RunRequest], list[dg.AddDynamicPartitionsRequest]]:
    """A run for each corpus that changed, and the partitions of new ones.

    None for a listing that the manifest was held against, unless the run that did so failed, or
    the last one that was requested.

    Args:
        instance: Where runs and manifests are known.
        found: Corpora that changed.
        named: Corpus -> keys of the objects to look at, where not all are.
    """
    news = {corpus: seen for corpus, seen in found.items() if not _done(instance, corpus, seen[0])}
    runs = [
        dg.RunRequest(
            run_key=f"{corpus}:{times}:{digest}",
            partition_key=corpus,
            asset_selection=[dg.AssetKey(asset) for asset in UPLOAD_ASSETS],
            run_config=_config((named or {}).get(corpus, ())),
        )
        for corpus, (digest, times) in news.items()
    ]
    new = sorted(news.keys() - known_corpora(instance))
    return runs, [corpora.build_add_request(new)] if new else []


def _config(keys: Collection[str]) -> dict[str, object]:
    return {"ops": {UPLOAD_ASSETS[0]: {"config": {"keys": sorted(keys)}}}} if keys else {}


def _done(instance: dg.DagsterInstance, corpus: str, digest: str) -> bool:
    manifest = _manifest(instance, corpus)
    return manifest.listing == digest and manifest.whole and not _failed(instance, corpus)


def _digest(keys: Collection[str]) -> str:
    """Of named objects; no listing has it."""
    return f"keys-{hashlib.sha256(chr(10).join(sorted(keys)).encode()).hexdigest()}"


class _Manifest(NamedTuple):
    """A manifest as it was materialised last."""

    listing: str = ""
    """Digest of what it was held against."""
    rows: int = 0
    whole: bool = True
    """Whether the run that did so, and more after it, got through."""


def _manifest(instance: dg.DagsterInstance, corpus: str) -> _Manifest:
    of = dg.AssetRecordsFilter(dg.AssetKey(UPLOAD_ASSETS[0]), asset_partitions=[corpus])
    for record in instance.fetch_materializations(of, limit=1).records:
        if record.asset_materialization:
            shown = record.asset_materialization.metadata
            digest, rows = shown.get(LISTING_METADATA), shown.get("dagster/row_count")
            run = instance.get_run_by_id(record.run_id)
            return _Manifest(
                str(digest.value) if digest else "",
                rows.value if isinstance(rows, dg.IntMetadataValue) and rows.value else 0,
                run is None or run.status == dg.DagsterRunStatus.SUCCESS,
            )
    return _Manifest()


def _failed(instance: dg.DagsterInstance, corpus: str) -> bool:
    """Whether the last run that was requested for a corpus did not get through."""
    tags = {
        "dagster/partition": corpus,
        "dagster/sensor_name": ["bucket_uploads", "bucket_events"],
    }
    last = instance.get_runs(dg.RunsFilter(tags=tags), limit=1)
    ends = (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)
    return bool(last) and last[0].status in ends
