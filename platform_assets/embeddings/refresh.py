"""Brings the embeddings of a corpus by one encoder in line with its chunks."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from platform_assets.chunks.table import CHUNKS
from platform_assets.embeddings.table import EMBEDDINGS
from platform_assets.embeddings.vectors import StoredVectors, encode_missing, vector_fingerprint
from platform_assets.reconcile import diff, fingerprints
from platform_assets.tables import OwnRows, rows_of
from resources.encoding import Encoder, Vectors
from resources.warehouse import Warehouse

WAVE_CHUNKS = 2_048
"""Chunks in one commit: about fifteen seconds of encoding on two cores."""


@dataclass(slots=True)
class Embedder:
    """Gives chunks their vectors, encoding each distinct text once."""

    encoder_digest: str
    code_version: str
    encoder: Callable[[], Encoder]
    """Loads the encoder; called only if a text has no vector yet."""
    progress: Callable[[int, int], None]
    """Called with the texts encoded so far and those to encode in all."""
    stored: StoredVectors
    total: int
    repeated: set[str]
    embedded: int = 0
    kept: dict[str, Vectors] = field(default_factory=dict)

    def rows(self, chunks: Sequence[dict[str, Any]]) -> pa.Table:
        """Embedding rows of some chunks."""
        texts = {row["text_digest"]: row["text"] for row in chunks}
        vectors = self.stored.fetch(texts) | {k: self.kept[k] for k in texts if k in self.kept}
        new = encode_missing(texts, vectors, self.encoder, self._advance)
        vectors |= new
        self.kept |= {digest: new[digest] for digest in new.keys() & self.repeated}
        return rows_of(EMBEDDINGS, [self._row(chunk, vectors) for chunk in chunks])

    def _row(self, chunk: dict[str, Any], vectors: dict[str, Vectors]) -> dict[str, object]:
        return {
            "doc_id": chunk["doc_id"],
            "chunk_id": chunk["chunk_id"],
            "text_digest": chunk["text_digest"],
            "encoder_digest": self.encoder_digest,
            "vector": vectors[chunk["text_digest"]],
            "fingerprint": vector_fingerprint(chunk, self.encoder_digest, self.code_version),
        }

    def _advance(self, count: int) -> None:
        self.embedded += count
        self.progress(self.embedded, self.total)


def refresh(
    corpus: str,
    encoder_name: str,
    encoder_digest: str,
    warehouse: Warehouse,
    encoder: Callable[[], Encoder],
    progress: Callable[[int, int], None],
    code_version: str,
    snapshot: str | None,
) -> OwnRows:
    """Embed the texts of new and changed chunks, drop the vectors of vanished ones.

    For `encoder` and `progress` see `Embedder`; `snapshot` is the chunks' as it is pinned.
    """
    columns = ["doc_id", "chunk_id", "text_digest"]
    chunks = warehouse.scan(CHUNKS, {"corpus": corpus}, columns, snapshot=snapshot).to_pylist()
    own = OwnRows(warehouse, EMBEDDINGS, {"corpus": corpus, "encoder": encoder_name})
    doc_ids = [chunk["doc_id"] for chunk in chunks]
    values = [vector_fingerprint(chunk, encoder_digest, code_version) for chunk in chunks]
    plan = diff(fingerprints(doc_ids, values), own.fingerprints())
    stale = set(plan.stale)
    needed = Counter(chunk["text_digest"] for chunk in chunks if chunk["doc_id"] in stale)
    stored = StoredVectors(warehouse, encoder_digest, code_version, needed)
    total = sum(digest not in stored for digest in needed)
    repeated = {digest for digest, count in needed.items() if count > 1}
    embedder = Embedder(encoder_digest, code_version, encoder, progress, stored, total, repeated)

    def compute(groups: Sequence[str]) -> pa.Table:
        if not groups:
            return rows_of(EMBEDDINGS, [])
        rows = warehouse.scan(CHUNKS, {"corpus": corpus}, [*columns, "text"], groups, snapshot)
        return embedder.rows(rows.to_pylist())

    own.carry_out(plan, compute, Counter(doc_ids), WAVE_CHUNKS)
    own.report.work.embedded = embedder.embedded
    return own
