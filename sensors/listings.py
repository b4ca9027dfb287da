"""What the two bucket sensors share: what a change is, and the run that is requested for one.

Here: the comparison of listings. A cursor holds one digest a corpus, whatever the number of
objects; the manifest (raw_objects) stays the truth.
Not here: which corpora are looked at, and when (bucket_uploads.py, bucket_events.py); what becomes
of the objects (platform_assets).
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence

import dagster as dg

from platform_assets.abandoned_runs import UNFINISHED, end_abandoned
from platform_assets.holds import corpora_of, held
from platform_assets.partitions import CORPUS_NAME, corpora
from resources.object_store import ObjectStore

UPLOAD_ASSETS = ("raw_objects", "documents", "chunks", "queries")
"""What a run for an upload materialises; automation conditions carry on from there."""
LISTING_TAG = "lakeloom/listing"
"""Run tag: the digest of the listing that a run was requested for."""
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
        total += int.from_bytes(hashlib.sha256(seen).digest(), "big")
    return f"{total % _MODULUS:064x}"


def changed(lake: ObjectStore, names: Iterable[str], before: Cursor) -> dict[str, tuple[str, int]]:
    """Those of the named corpora whose listing is not the one seen before."""
    found = {}
    for corpus in sorted(names):
        digest = listing_digest(lake, corpus)
        seen, times = before.get(corpus, ("", 0))
        if digest != seen:
            found[corpus] = (digest, times + 1)
    return found


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
    instance: dg.DagsterInstance, found: Cursor
) -> tuple[list[dg.RunRequest], list[dg.AddDynamicPartitionsRequest]]:
    """A run for each corpus that changed, and the partitions of new ones.

    None for a listing that the corpus's last run was requested for already, by the other sensor.
    """
    news = {corpus: seen for corpus, seen in found.items() if not _done(instance, corpus, seen[0])}
    runs = [
        dg.RunRequest(
            run_key=f"{corpus}:{times}:{digest}",
            partition_key=corpus,
            asset_selection=[dg.AssetKey(asset) for asset in UPLOAD_ASSETS],
            tags={LISTING_TAG: digest},
        )
        for corpus, (digest, times) in news.items()
    ]
    new = sorted(news.keys() - known_corpora(instance))
    return runs, [corpora.build_add_request(new)] if new else []


def _done(instance: dg.DagsterInstance, corpus: str, digest: str) -> bool:
    tags: dict[str, str | Sequence[str]] = {
        "dagster/partition": corpus,
        "dagster/sensor_name": ["bucket_uploads", "bucket_events"],
    }
    last = instance.get_runs(dg.RunsFilter(tags=tags), limit=1)
    if not last or last[0].status == dg.DagsterRunStatus.FAILURE:
        return False
    return last[0].tags.get(LISTING_TAG) == digest
