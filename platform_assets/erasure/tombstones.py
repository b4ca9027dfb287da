"""Tombstones: documents that were erased, and must not come back until somebody lifts that.

Here: the marks in the lake, by document id and by digest of the bytes, never by key or text.
Not here: the erasure itself (begin.py, settle.py), what asks for a tombstone (documents, ingest).

    _lakeloom/tombstones/CORPUS/DOCUMENT.SHA256   empty but for the reason; its name says it all
    _lakeloom/erasures/CORPUS/TIME-DOCUMENT.json  the erasure: what it found, whether it is proven
    _lakeloom/erasures/CORPUS/TIME-DOCUMENT.passages   hashes to search for, until it is proven
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from platform_assets.provenance import PREFIX, canonical, sha256_text
from resources.object_store import ObjectStore

REASON = "erased"
"""Reason of the dead letters that a tombstone makes."""
MESSAGE = (
    "it was erased, by its key or its bytes: remove the object, or allow it again with "
    "`lakeloom erase CORPUS KEY --lift`"
)
_GENERATION_DIGITS = 8


@dataclass(frozen=True, slots=True)
class Refusals:
    """What a corpus does not take any more."""

    documents: frozenset[str] = field(default_factory=frozenset)
    """Document ids."""
    contents: frozenset[str] = field(default_factory=frozenset)
    """sha256 of bytes."""

    def cover(self, doc_id: str, sha256: str) -> bool:
        """Whether an object at this place, or with these bytes, was erased."""
        return doc_id in self.documents or sha256 in self.contents

    @property
    def digest(self) -> str:
        """Changes with every mark made or lifted."""
        return sha256_text(canonical([sorted(self.documents), sorted(self.contents)]))

    def letter(self) -> dict[str, str]:
        """Reason and message of the dead letter of what is refused."""
        return {"reason": REASON, "message": MESSAGE}


def refusals(lake: ObjectStore, corpus: str) -> Refusals:
    """The tombstones of a corpus; one listing."""
    names = [name.split(".") for name in _names(lake, f"{PREFIX}/tombstones/{corpus}/")]
    return Refusals(frozenset(name[0] for name in names), frozenset(name[1] for name in names))


def mark(lake: ObjectStore, corpus: str, doc_id: str, sha256: str, reason: str) -> None:
    """Refuse a document, and its bytes under any key, from now on."""
    lake.put(f"{PREFIX}/tombstones/{corpus}/{doc_id}.{sha256}", reason.encode())


def lift(lake: ObjectStore, corpus: str, doc_id: str) -> int:
    """Take a document and its bytes again; returns how many tombstones went."""
    prefix = f"{PREFIX}/tombstones/{corpus}/"
    names = list(_names(lake, prefix))
    contents = {name.split(".")[1] for name in names if name.split(".")[0] == doc_id}
    mine = [name for name in names if name.split(".")[1] in contents]
    for name in mine:
        lake.purge(f"{prefix}{name}")
    return len(mine)


def erasures(lake: ObjectStore, corpus: str) -> list[str]:
    """Keys in the lake of the erasures of a corpus, the oldest first."""
    prefix = f"{PREFIX}/erasures/{corpus}/"
    return sorted(f"{prefix}{name}" for name in _names(lake, prefix) if name.endswith(".json"))


def erased_corpora(lake: ObjectStore) -> list[str]:
    """Corpora of which something was ever erased, sorted."""
    names = _names(lake, f"{PREFIX}/erasures/")
    return sorted({name.split("/")[0] for name in names})


def generation(lake: ObjectStore, corpus: str) -> str:
    """Changes with every erasure of a corpus, empty before the first.

    What was built in an earlier generation may hold an erased text in bytes that no reader sees,
    so nothing is cloned from it and nothing goes back to it.
    """
    known = erasures(lake, corpus)
    return sha256_text("|".join(known))[:_GENERATION_DIGITS] if known else ""


def erasure_config(generation: str) -> dict[str, str]:
    """What of provenance records says the generation, so that a new one is a change."""
    return {"erasures": generation} if generation else {}


def _names(lake: ObjectStore, prefix: str) -> Iterator[str]:
    return (item.key.removeprefix(prefix) for item in lake.objects(prefix))
