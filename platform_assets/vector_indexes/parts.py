"""What an index consists of: one collection, or, where it is large, one for each bucket.

The tables are cut into buckets by document, and a part holds the points of one bucket, so a change
costs its bucket's part; the other parts are those of the last index.
Not here: building them (refresh.py), what is measured of them (measuring.py).
"""

import json
from collections.abc import Iterable, Mapping

from platform_assets.digests import digest_of_rows
from platform_assets.provenance import Record, canonical
from resources.vector_store import VectorStore

LARGE = 200_000
"""Chunks above which an index is made of parts. It is one collection again below half of that, so
that a corpus near the bound is not built anew with every upload."""
WHOLE = ""
"""Stands in place of a bucket where there is one collection for all of them."""
PARTS = "parts"
"""Detail of a record: bucket -> collection, as canonical JSON; a plain index has none."""


def is_large(chunks: int, latest: Record | None) -> bool:
    """Whether an index of so many chunks is made of parts, given what the last one was."""
    if latest is not None and PARTS in latest.details:
        return chunks >= LARGE // 2
    return chunks > LARGE


def parts_of(details: Mapping[str, str]) -> dict[str, str]:
    """Bucket -> the collection with its points, in order, as a record has it in its details."""
    if PARTS not in details:
        return {WHOLE: details["collection"]}
    found: dict[str, str] = json.loads(details[PARTS])
    return {bucket: found[bucket] for bucket in sorted(found, key=int)}


def details_of(collection: str, parts: Mapping[str, str]) -> dict[str, str]:
    """The inverse of `parts_of`: what a record says of an index."""
    named = {} if WHOLE in parts else {PARTS: canonical(dict(parts))}
    return {"collection": collection, **named}


def buckets_of(bucket: str) -> list[int] | None:
    """What `Warehouse.scan` is to read; None for all."""
    return None if bucket == WHOLE else [int(bucket)]


def digest_of_parts(digests: Iterable[tuple[str, str]]) -> str:
    """Digest of an index from (bucket, digest of its points), in order."""
    found = list(digests)
    return found[0][1] if [bucket for bucket, _ in found] == [WHOLE] else digest_of_rows(found)


def digest_now(vectors: VectorStore, details: Mapping[str, str]) -> str:
    """Digest of an index from what its collections hold now; one of them at a time is read.

    Raises:
        LookupError: a collection is gone.
    """
    return digest_of_parts(
        (bucket, digest_of_rows(sorted(vectors.open(name).fingerprints().items())))
        for bucket, name in parts_of(details).items()
    )


def is_there(vectors: VectorStore, collection: str) -> bool:
    """Whether a collection is finished and all that it consists of is there."""
    finished = set(vectors.collections())
    return collection in finished and finished.issuperset(vectors.parts(collection))


def is_outdated(collection: str, generation: str) -> bool:
    """Whether a collection was built before the last erasure of its corpus.

    Args:
        collection: Its name (`vector_indexes.refresh.collection_name`).
        generation: The corpus's present generation (`erasure.tombstones`); empty before any.
    """
    return bool(generation) and not collection.endswith(f".{generation}")
