"""Vectors of texts: those the warehouse already holds for an encoder, the rest encoded.

Here: the reuse that makes a text be encoded once for each encoder, whichever corpus or document
it stands in. Not here: rows and commits (refresh.py).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from platform_assets.embeddings.table import EMBEDDINGS
from platform_assets.reconcile import fingerprint
from resources.encoding import Encoder, Vectors
from resources.warehouse import Warehouse

CODE_VERSION = "1"
"""Of the asset `embeddings`; it stands here because training pairs use its vectors again."""
ALWAYS_LOOKED_THROUGH = 500_000
"""Rows of the table that are looked through for a single text: half a second."""
ROWS_A_TEXT = 5_000
"""Rows that can be looked through in the time in which one text is encoded."""


def vector_fingerprint(chunk: Mapping[str, Any], encoder_digest: str, code_version: str) -> str:
    """Digest of everything the embedding of a chunk is made of."""
    return fingerprint(code_version, chunk["chunk_id"], chunk["text_digest"], encoder_digest)


class StoredVectors:
    """What an encoder has encoded so far by one version of the code, in one snapshot."""

    def __init__(
        self,
        warehouse: Warehouse,
        encoder_digest: str,
        code_version: str,
        text_digests: Iterable[str],
    ) -> None:
        """Find which texts have a vector; the vectors themselves are read by `fetch`.

        Of few texts nobody looks in a very large table: encoding them is quicker.
        """
        self._warehouse = warehouse
        self._scope = {"encoder_digest": encoder_digest}
        self._snapshot = warehouse.snapshot(EMBEDDINGS)
        self._homes: dict[str, tuple[str, str]] = {}
        """Text digest -> document and fingerprint of a row that has its vector."""
        sought = pa.array(sorted(set(text_digests)), pa.string())
        worth = ALWAYS_LOOKED_THROUGH + ROWS_A_TEXT * len(sought)
        if self._snapshot and len(sought) and warehouse.rows(EMBEDDINGS) <= worth:
            index = self._scan(["doc_id", "text_digest"])
            hits = index.filter(pc.is_in(index.column("text_digest"), value_set=sought))
            homes = hits.column("doc_id").unique().to_pylist()
            columns = ["doc_id", "chunk_id", "text_digest", "fingerprint"]
            for row in self._scan(columns, homes).to_pylist():
                made_now = vector_fingerprint(row, encoder_digest, code_version)
                if row["fingerprint"] == made_now:  # not by an earlier version of the code
                    self._homes[row["text_digest"]] = (row["doc_id"], made_now)

    def __contains__(self, text_digest: str) -> bool:
        return text_digest in self._homes

    def fetch(self, text_digests: Iterable[str]) -> dict[str, Vectors]:
        """Text digest -> vector, of those asked for that are stored."""
        wanted = {digest for digest in text_digests if digest in self._homes}
        if not wanted:
            return {}
        homes, made = ({self._homes[digest][n] for digest in wanted} for n in (0, 1))
        rows = self._scan(["text_digest", "fingerprint", "vector"], sorted(homes))
        rows = rows.filter(pc.is_in(rows.column("fingerprint"), value_set=pa.array(made)))
        vectors = (np.asarray(vector, np.float32) for vector in rows.column("vector").to_pylist())
        return dict(zip(rows.column("text_digest").to_pylist(), vectors, strict=True))

    def _scan(self, columns: list[str], groups: Sequence[str] | None = None) -> pa.Table:
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
