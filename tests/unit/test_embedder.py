"""Texts that stand in several documents are encoded once, and their vectors kept no longer than
some document still needs them."""

from typing import Any

import numpy as np
import pyarrow as pa

from platform_assets.embeddings.refresh import Embedder
from platform_assets.reconcile import unwatched

TEXTS = {"a": ["hello", "one"], "b": ["hello"], "c": ["hello", "hello", "three"]}
"""Document -> its texts, which stand for their digests."""


class Nothing:
    """No vector is stored yet."""

    def __contains__(self, _: str) -> bool:
        return False

    def fetch(self, _: object) -> dict[str, Any]:
        return {}


def embedder() -> Embedder:
    rows = [
        {"doc_id": doc, "chunk_id": f"{doc}{n}", "text_digest": text, "fingerprint": f"{doc}{n}"}
        for doc, texts in TEXTS.items()
        for n, text in enumerate(texts)
    ]
    stored: Any = Nothing()
    return Embedder("encoder", pa.Table.from_pylist(rows), stored, unwatched)


def vector(text: str) -> Any:
    return np.full(3, len(text), np.float32)


def test_a_text_of_several_documents_is_encoded_once_and_kept_while_it_is_needed() -> None:
    found = embedder()
    asked, kept = [], []
    for doc, texts in TEXTS.items():
        _, new = found.missing([doc])
        rows = found.rows([doc], {text: vector(text) for text in new})
        assert rows.column("vector").to_pylist() == [vector(text).tolist() for text in texts]
        asked += new
        kept.append(set(found._kept))
    assert asked == ["hello", "one", "three"]
    assert kept == [{"hello"}, {"hello"}, set()]
