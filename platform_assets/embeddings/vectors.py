"""Vectors of texts: those the warehouse already holds for an encoder, the rest encoded.

Here: the reuse that makes a text be encoded once for each encoder, whichever corpus or document
it stands in. Not here: rows and commits (refresh.py).
"""

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from platform_assets.embeddings.table import EMBEDDINGS
from resources.encoding import Encoder, Vectors
from resources.warehouse import Warehouse


class StoredVectors:
    """What an encoder has encoded so far, as of one snapshot of the table."""

    def __init__(
        self, warehouse: Warehouse, encoder_digest: str, text_digests: Iterable[str]
    ) -> None:
        """Find which texts have a vector; the vectors themselves are read by `fetch`."""
        self._warehouse = warehouse
        self._scope = {"encoder_digest": encoder_digest}
        self._snapshot = warehouse.snapshot(EMBEDDINGS)
        self._homes: dict[str, str] = {}
        sought = pa.array(sorted(set(text_digests)), pa.string())
        if self._snapshot and len(sought):
            index = self._scan(["doc_id", "text_digest"])
            hits = index.filter(pc.is_in(index.column("text_digest"), value_set=sought))
            columns = (hits.column(name).to_pylist() for name in ("text_digest", "doc_id"))
            self._homes = dict(zip(*columns, strict=True))

    def __contains__(self, text_digest: str) -> bool:
        return text_digest in self._homes

    def fetch(self, text_digests: Iterable[str]) -> dict[str, Vectors]:
        """Text digest -> vector, of those asked for that are stored."""
        wanted = {digest for digest in text_digests if digest in self._homes}
        if not wanted:
            return {}
        homes = sorted({self._homes[digest] for digest in wanted})
        rows = self._scan(["text_digest", "vector"], homes)
        rows = rows.filter(pc.is_in(rows.column("text_digest"), value_set=pa.array(wanted)))
        vectors = (np.asarray(vector, np.float32) for vector in rows.column("vector").to_pylist())
        return dict(zip(rows.column("text_digest").to_pylist(), vectors, strict=True))

    def _scan(self, columns: list[str], groups: list[str] | None = None) -> pa.Table:
        return self._warehouse.scan(EMBEDDINGS, self._scope, columns, groups, self._snapshot)


def encode_missing(
    texts: Mapping[str, str],
    have: Mapping[str, Vectors],
    encoder: Callable[[], Encoder],
    progress: Callable[[int], None] | None = None,
) -> dict[str, Vectors]:
    """Encode the texts (by digest) that `have` lacks; the encoder is loaded only if need be."""
    missing = [digest for digest in texts if digest not in have]
    if not missing:
        return {}
    vectors = encoder().encode([texts[digest] for digest in missing], progress)
    return dict(zip(missing, vectors, strict=True))
