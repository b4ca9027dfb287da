"""Reconciliation: find what differs, compute only that, commit it in waves.

Here: the one diff that every asset uses, the waves it commits in, and the report it returns.
Not here: what any asset computes.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from platform_assets.provenance import sha256_text

FINGERPRINTS = pa.schema([("id", pa.string()), ("fingerprint", pa.string())])
"""Columns of the two sides of a diff; an id may stand on several rows."""
SLICE = 400_000
"""Rows of a side that are compared at a time, which bounds the memory of a diff."""
Progress = Callable[[int, int], None]
"""Called with what is done so far and what there is to do in all."""


def unwatched(_: int, __: int) -> None:
    """Progress that nobody watches."""


@dataclass(slots=True)
class Work:
    """What a materialisation really did; all zero when nothing had changed."""

    parsed: int = 0
    embedded: int = 0
    upserted: int = 0
    deleted: int = 0
    commits: int = 0
    trained_steps: int = 0


@dataclass(slots=True)
class Report:
    """Rows an asset partition holds after a materialisation, and how it came there."""

    rows: int = 0
    added: int = 0
    changed: int = 0
    removed: int = 0
    work: Work = field(default_factory=Work)


@dataclass(frozen=True, slots=True)
class Plan:
    """Ids that are new, differ or are gone."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()

    @property
    def stale(self) -> tuple[str, ...]:
        """Ids whose rows have to be computed."""
        return self.added + self.changed

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed)


def fingerprint(code_version: str, *parts: str) -> str:
    """Digest of everything a row is made of: the code that makes it, and what it makes it from.

    Args:
        code_version: `CODE_VERSION` of the asset; where it is raised, every row is computed anew.
        parts: Upstream content, configuration, digests of models; always in the same order.
    """
    return sha256_text("|".join([code_version, *parts]))


def fingerprints(
    ids: Sequence[str] | pa.ChunkedArray, values: Sequence[str] | pa.ChunkedArray
) -> pa.Table:
    """One side of a diff from two equally long columns."""
    return pa.table({"id": ids, "fingerprint": values}, FINGERPRINTS)


def diff(wanted: pa.Table, have: pa.Table) -> Plan:
    """Compare the fingerprints there should be with those there are.

    Args:
        wanted: `FINGERPRINTS` columns computed from upstream.
        have: `FINGERPRINTS` columns of the asset's own rows. All rows of an id count: an id left
            half-written by a crash equals nothing and is computed again.
    """
    import duckdb

    query = """
        WITH w AS MATERIALIZED (FROM wanted WHERE hash(id) % $slices = $slice),
             h AS MATERIALIZED (FROM have WHERE hash(id) % $slices = $slice),
             differs AS (SELECT DISTINCT id FROM (
                 (FROM w ANTI JOIN h USING (id, fingerprint))
                 UNION ALL (FROM h ANTI JOIN w USING (id, fingerprint))))
        SELECT id, CASE WHEN NOT EXISTS (FROM h WHERE h.id = differs.id) THEN 'added'
                        WHEN NOT EXISTS (FROM w WHERE w.id = differs.id) THEN 'removed'
                        ELSE 'changed' END AS kind
        FROM differs"""
    slices = 1 + max(wanted.num_rows, have.num_rows) // SLICE
    with duckdb.connect() as connection:
        connection.register("wanted", wanted)
        connection.register("have", have)
        parts = [
            connection.execute(query, {"slices": slices, "slice": each}).to_arrow_table()
            for each in range(slices)
        ]
    found = pa.concat_tables(parts).sort_by("id")
    kinds = ("added", "changed", "removed")
    return Plan(*(tuple(_of_kind(found, kind)) for kind in kinds))


def _of_kind(found: pa.Table, kind: str) -> list[str]:
    ids: list[str] = found.filter(pc.field("kind") == kind).column("id").to_pylist()
    return ids


def waves(
    weights: Mapping[str, int], capacity: int, slices: Callable[[pa.Array], pa.Array]
) -> Iterator[tuple[str, ...]]:
    """Cut ids into waves, slice by slice so that each commit rewrites few files.

    Args:
        weights: Id -> its weight (bytes, chunks).
        capacity: Most weight in one wave; an id heavier than that is a wave by itself.
        slices: Storage slice of each of several ids.
    """
    ids = list(weights)
    places = slices(pa.array(ids, pa.string())).to_pylist()
    wave: list[str] = []
    load = 0
    for _, item in sorted(zip(places, ids, strict=True)):
        if wave and load + weights[item] > capacity:
            yield tuple(wave)
            wave, load = [], 0
        wave.append(item)
        load += weights[item]
    if wave:
        yield tuple(wave)
