"""An erasure as it is kept in the lake: what is to go, how far it got, what proves it.

Here: the record, which holds ids and digests, neither a key nor text.
Not here: carrying it out (begin.py, settle.py).
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal

from platform_assets.erasure.passages import Passages
from platform_assets.erasure.tombstones import erasures
from platform_assets.provenance import PREFIX
from resources.object_store import ObjectStore

State = Literal["marked", "found", "unreadable", "proven"]


@dataclass(frozen=True, slots=True)
class Trained:
    """A checkpoint, or a language model's adapter, that learned from an erased document."""

    encoder: str
    """Its recipe."""
    checkpoint: str
    """Digest of its files."""
    record: str
    certain: bool
    """Whether its pairs could still be read; if not, it may have learned from the document."""


@dataclass(frozen=True, slots=True)
class Case:
    """One erasure."""

    corpus: str
    documents: tuple[str, ...]
    """Ids: the document that was named, and those of the same bytes in its corpus."""
    contents: tuple[str, ...]
    """sha256 of the bytes."""
    sizes: tuple[int, ...]
    reason: str
    marked: str
    """When, in UTC."""
    state: State = "marked"
    """`marked` until its removal is carried through; `found` while something still holds it;
    `unreadable` while nothing is known to, but something could not be decoded."""
    settled: str = ""
    """When it was last searched for, in UTC."""
    checkpoints: tuple[Trained, ...] = ()
    judged: dict[str, int] = field(default_factory=dict)
    """Uploaded judgement file -> lines that name the document."""
    removed: dict[str, int] = field(default_factory=dict)
    cleaned: tuple[str, ...] = ()
    """Caches and logs that were removed, or rewritten, because the search found it there."""
    passages: int = 0
    searched: tuple[dict[str, Any], ...] = ()
    """For each place: items, bytes, bytes decoded, what could not be decoded."""
    found: tuple[dict[str, Any], ...] = ()
    not_searched: tuple[str, ...] = ()

    @property
    def unreadable(self) -> list[str]:
        """What could not be decoded and may hold it therefore."""
        return [item for place in self.searched for item in place["unreadable"]]

    @property
    def key(self) -> str:
        """Key in the lake; it begins with the time, so that keys sort by it."""
        stamp = self.marked.replace(":", "").replace("-", "")
        return f"{PREFIX}/erasures/{self.corpus}/{stamp}-{self.documents[0]}.json"

    def write(self, lake: ObjectStore) -> "Case":
        """Keep it in the lake."""
        lake.put(self.key, json.dumps(asdict(self), indent=1).encode())
        return self

    def write_passages(self, lake: ObjectStore, passages: Passages) -> None:
        """Keep what to search for until it is proven."""
        lake.put(_passages_key(self.key), passages.to_json().encode())

    def read_passages(self, lake: ObjectStore) -> Passages:
        """What to search for."""
        return Passages.from_json(lake.get(_passages_key(self.key)))

    def close(self, lake: ObjectStore) -> "Case":
        """Keep it as proven, and nothing any more of what the text was.

        A beginning that was cut off may have left passages without a case.
        """
        case = replace(self, state="proven").write(lake)
        for item in list(lake.objects(f"{PREFIX}/erasures/{self.corpus}/")):
            if item.key.endswith(_passages_key(f"-{self.documents[0]}.json")):
                lake.purge(item.key)
        return case


def cases(lake: ObjectStore, corpus: str) -> Iterator[Case]:
    """The erasures of a corpus, the oldest first."""
    return (read_case(lake, key) for key in erasures(lake, corpus))


def read_case(lake: ObjectStore, key: str) -> Case:
    """An erasure by its key."""
    data = json.loads(lake.get(key))
    trained = tuple(Trained(**each) for each in data.pop("checkpoints"))
    lists = {name: tuple(value) for name, value in data.items() if isinstance(value, list)}
    return Case(**(data | lists), checkpoints=trained)


def now() -> str:
    """The time in UTC, to the microsecond, so that no two erasures share one."""
    return datetime.now(UTC).isoformat()


def _passages_key(key: str) -> str:
    return key.removesuffix(".json") + ".passages"
