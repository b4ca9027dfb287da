"""What an index consists of: one collection, or, where it is large, several parts.

The tables are cut into slices by document, and a part holds the points of some slices, so a
change costs its slices' part; the other parts are those of the last index.
Not here: building them (refresh.py), what is measured of them (measuring.py).
"""

import json
from collections.abc import Iterable, Mapping

from platform_assets.digests import digest_of_rows
from platform_assets.provenance import Record, canonical, sha256_text
from resources.vector_store import VectorStore
from resources.warehouse import SLICES

LARGE = 200_000
"""Chunks above which an index is made of parts. It is one collection again below half of that, so
that a corpus near the bound is not built anew with every upload."""
COUNT = 16
"""Parts of a large index. With more of them a change costs less, and a search, which asks each,
more: below some 13,000 vectors a part has no graph."""
WHOLE = ""
"""Stands in place of a part where there is one collection for all slices."""
PARTS = "parts"
"""Detail of a record: part -> collection, as canonical JSON; a plain index has none."""


def is_large(chunks: int, latest: Record | None) -> bool:
    """Whether an index of so many chunks is made of parts, given what the last one was."""
    if latest is not None and PARTS in latest.details:
        return chunks >= LARGE // 2
    return chunks > LARGE


def parts_of(details: Mapping[str, str]) -> dict[str, str]:
    """Part -> the collection with its points, in order, as a record has it in its details."""
    if PARTS not in details:
        return {WHOLE: details["collection"]}
    found: dict[str, str] = json.loads(details[PARTS])
    return {part: found[part] for part in sorted(found, key=int)}


def details_of(collection: str, parts: Mapping[str, str]) -> dict[str, str]:
    """The inverse of `parts_of`: what a record says of an index."""
    named = {} if WHOLE in parts else {PARTS: canonical(dict(parts))}
    return {"collection": collection, **named}


def part_of(number: int) -> str:
    """The part with a slice's points: those of its bucket."""
    return str(number // SLICES % COUNT)


def slices_of(part: str, slices: Iterable[int]) -> list[int] | None:
    """Those of a table's slices that `Warehouse.scan` is to read for a part; None for all."""
    return None if part == WHOLE else [each for each in slices if part_of(each) == part]


def states_of_parts(slices: Mapping[int, str]) -> dict[str, str]:
    """Part -> the states of its slices, in order (`Warehouse.states`)."""
    found: dict[str, list[str]] = {}
    for number, state in sorted(slices.items()):
        found.setdefault(part_of(number), []).append(state)
    return {part: sha256_text("|".join(found[part])) for part in sorted(found, key=int)}


def digest_of_parts(digests: Iterable[tuple[str, str]]) -> str:
    """Digest of an index from (part, digest of its points), in order."""
    found = list(digests)
    return found[0][1] if [part for part, _ in found] == [WHOLE] else digest_of_rows(found)


def digest_now(vectors: VectorStore, details: Mapping[str, str]) -> str:
    """Digest of an index from what its collections hold now; one of them at a time is read.

    Raises:
        LookupError: a collection is gone.
    """
    return digest_of_parts(
        (part, digest_of_rows(sorted(vectors.open(name).fingerprints().items())))
        for part, name in parts_of(details).items()
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
