"""Provenance: one record for each materialisation, chained by content.

Here: the record, its digest and the ledger that keeps records in the lake. A record names the
records of its upstreams, so the id of the last one pins the whole chain behind it (a Merkle DAG).
Not here: how an asset's own rows are read back and verified (tracing.py).
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field

from resources.object_store import ObjectStore

PREFIX = "_lakeloom"
"""First-level prefix of the lake that is ours; a corpus name never begins with an underscore."""


@dataclass(frozen=True, slots=True)
class Link:
    """An upstream as it was when it was read."""

    record: str
    digest: str


@dataclass(frozen=True, slots=True)
class Record:
    """What a materialisation was made of."""

    asset: str
    partition: str
    snapshot: str | None
    """Own table snapshot; None for assets that are no table."""
    digest: str
    """Data version: digest of the partition's content."""
    rows: int
    code_version: str
    config: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    upstream: Mapping[str, Link] = field(default_factory=dict)
    """`asset/partition` -> link."""
    details: Mapping[str, str] = field(default_factory=dict)
    """What else identifies the artefact: collection, checkpoint, encoder digest."""

    @property
    def name(self) -> str:
        """`asset/partition`."""
        return f"{self.asset}/{self.partition}"

    @property
    def record_id(self) -> str:
        """sha256 of the record's canonical JSON."""
        return sha256_text(self.to_json())

    def to_json(self) -> str:
        """Canonical JSON."""
        return canonical(asdict(self))

    @classmethod
    def from_json(cls, text: str | bytes) -> "Record":
        """Read what `to_json` wrote."""
        data = json.loads(text)
        links = {name: Link(**link) for name, link in data.pop("upstream").items()}
        return cls(**data, upstream=links)

    def link(self) -> Link:
        """How a downstream record names this one."""
        return Link(self.record_id, self.digest)

    def causes(self) -> tuple[object, ...]:
        """What the artefact was computed from: code, configuration and upstream content."""
        upstream = sorted((name, link.digest) for name, link in self.upstream.items())
        return (self.code_version, sorted(self.config.items()), upstream)

    def same_content(self, other: "Record") -> bool:
        """Whether two records differ in nothing but the snapshots they pin."""
        mine, theirs = (
            (record.digest, record.rows, sorted(record.details.items()), record.causes())
            for record in (self, other)
        )
        return mine == theirs


class Ledger:
    """The records, in the lake."""

    def __init__(self, lake: ObjectStore) -> None:
        self._lake = lake

    def latest(self, asset: str, partition: str) -> Record | None:
        """The record of the last materialisation of an asset partition."""
        try:
            record_id = self._lake.get(f"{PREFIX}/latest/{asset}/{partition}").decode()
        except FileNotFoundError:
            return None
        return self.get(record_id)

    def partitions(self, asset: str) -> list[str]:
        """Partitions of an asset that were ever materialised, sorted."""
        prefix = f"{PREFIX}/latest/{asset}/"
        return sorted(item.key.removeprefix(prefix) for item in self._lake.objects(prefix))

    def latest_ids(self) -> list[str]:
        """Ids of the last records of all asset partitions, sorted."""
        keys = (item.key for item in self._lake.objects(f"{PREFIX}/latest/"))
        return sorted(self._lake.get(key).decode() for key in keys)

    def newest_first(self) -> Iterator[tuple[str, Record]]:
        """Every record that was ever written and its id, the last one first."""
        written = sorted(self._lake.objects(f"{PREFIX}/records/"), key=lambda item: item.modified)
        for item in reversed(written):
            record_id = item.key.rsplit("/", 1)[1].removesuffix(".json")
            yield record_id, self.get(record_id)

    def chain(self, record_ids: Iterable[str]) -> dict[str, Record]:
        """Records and everything they were made from, by id.

        Raises:
            FileNotFoundError: a record is gone.
            ValueError: a record was altered.
        """
        found: dict[str, Record] = {}
        pending = list(record_ids)
        while pending:
            record_id = pending.pop()
            if record_id not in found:
                found[record_id] = self.get(record_id)
                pending += [link.record for link in found[record_id].upstream.values()]
        return found

    def forget(self, record_ids: Iterable[str]) -> None:
        """Note that what some records describe was removed on purpose; the records stay."""
        for record_id in record_ids:
            self._lake.put(f"{PREFIX}/forgotten/{record_id}", b"erased")

    def forgotten(self) -> frozenset[str]:
        """Ids of the records that `forget` was called with."""
        prefix = f"{PREFIX}/forgotten/"
        return frozenset(item.key.removeprefix(prefix) for item in self._lake.objects(prefix))

    def get(self, record_id: str) -> Record:
        """A record by its id.

        Raises:
            FileNotFoundError: there is no such record.
            ValueError: the stored record is not the one that was written.
        """
        data = self._lake.get(f"{PREFIX}/records/{record_id}.json")
        if hashlib.sha256(data).hexdigest() != record_id:
            raise ValueError(f"provenance record {record_id} was altered after it was written")
        return Record.from_json(data)

    def manifest(self, chunks: Record) -> str:
        """Id of the last manifest's record that a chunk set holds for."""
        link = chunks.upstream[f"documents/{chunks.partition}"]
        latest = self.latest("documents", chunks.partition)
        if latest is None or latest.digest != link.digest:
            latest = self.get(link.record)
        return latest.upstream[f"raw_objects/{chunks.partition}"].record

    def commit(self, record: Record) -> Record:
        """Make `record` the latest of its partition; a record of the same content stays."""
        latest = self.latest(record.asset, record.partition)
        if latest is not None and latest.same_content(record):
            return latest
        self._lake.put(f"{PREFIX}/records/{record.record_id}.json", record.to_json().encode())
        latest_key = f"{PREFIX}/latest/{record.asset}/{record.partition}"
        self._lake.put(latest_key, record.record_id.encode())
        return record

    def settled(self, draft: Record) -> Record | None:
        """The latest record if it was made from the same inputs as `draft`, whatever came out.

        Args:
            draft: Asset, partition, code version, config and upstream of what would be computed.
        """
        latest = self.latest(draft.asset, draft.partition)
        if latest is None or latest.causes() != draft.causes():
            return None
        return latest

    def require(self, asset: str, partition: str) -> Record:
        """Like `latest`, for an upstream that must be there.

        Raises:
            LookupError: the upstream was never materialised.
        """
        record = self.latest(asset, partition)
        if record is None:
            raise LookupError(
                f"{asset} [{partition}] was never materialised: materialise it first, "
                f"for example with `lakeloom materialize --select +key:{asset}`"
            )
        return record


def links(records: Iterable[Record]) -> dict[str, Link]:
    """Upstream links of a new record."""
    return {record.name: record.link() for record in records}


def canonical(value: object) -> str:
    """JSON with one spelling: sorted keys, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def sha256_text(text: str) -> str:
    """Hex sha256 of UTF-8 text."""
    return hashlib.sha256(text.encode()).hexdigest()
