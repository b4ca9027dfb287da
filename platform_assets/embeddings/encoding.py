"""What is computed of a batch of chunks: texts that have no vector yet, encoded; on any engine.

Here: the task. Not here: which texts, and the rows that their vectors end in (refresh.py).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import pyarrow as pa
import pyarrow.compute as pc

from platform_assets.chunks.table import CHUNKS
from platform_assets.embeddings.vectors import encode_missing
from resources.encoding import Encoder, Vectors
from resources.warehouse import Warehouse

Missing = tuple[Sequence[str], Sequence[str]]
"""Documents, and the digests of those of their texts that are to be encoded."""


@dataclass(frozen=True, slots=True)
class Encode:
    """Texts by digest in, their vectors out; implements `engines.Task`."""

    corpus: str
    warehouse: Warehouse
    snapshot: str | None
    """Of the chunks."""
    encoder: Callable[[], Encoder]
    """Loads the encoder; called once a worker, and only if a text has no vector yet."""
    encodes: bool = True

    def open(self, _: int | None) -> Callable[[Missing], Iterable[dict[str, Vectors]]]:
        """The function of a batch."""
        encoder = lru_cache(maxsize=1)(self.encoder)

        def work(batch: Missing) -> Iterator[dict[str, Vectors]]:
            doc_ids, digests = batch
            if digests:
                yield encode_missing(self._texts(doc_ids, digests), {}, encoder)

        return work

    def _texts(self, doc_ids: Sequence[str], digests: Sequence[str]) -> dict[str, str]:
        columns, scope = ["text_digest", "text"], {"corpus": self.corpus}
        found = self.warehouse.scan(CHUNKS, scope, columns, doc_ids, self.snapshot)
        sought = pa.array(digests, pa.string())
        found = found.filter(pc.is_in(found.column("text_digest"), sought))
        return dict(zip(*(column.to_pylist() for column in found.columns), strict=True))
