"""Brings the embeddings of a corpus by one encoder in line with its chunks."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from platform_assets.chunks.table import CHUNKS
from platform_assets.embeddings.encoding import Encode, Missing
from platform_assets.embeddings.table import EMBEDDINGS
from platform_assets.embeddings.vectors import StoredVectors, vector_fingerprint
from platform_assets.reconcile import Progress, diff, fingerprints
from platform_assets.slices import Slices, Source
from platform_assets.streams import computed, cut
from platform_assets.tables import OwnRows, carry_out, empty
from resources.encoding import Vectors
from resources.engines import Engine
from resources.object_store import ObjectStore
from resources.warehouse import Warehouse

IDENTITY = ("chunk_id", "text_digest")
"""Columns of a chunk that its embedding depends on."""
WAVE_CHUNKS = 2_048
"""Chunks in one commit: about fifteen seconds of encoding on two cores."""


@dataclass(slots=True)
class Embedder:
    """Gives chunks their vectors, having each distinct text encoded once."""

    encoder_digest: str
    chunks: pa.Table
    """The chunks that need a vector, sorted by document."""
    stored: StoredVectors
    progress: Progress
    """Called with the texts encoded so far and those to encode in all."""
    _places: Mapping[str, tuple[int, int]] = field(init=False)
    """Document -> its first row and the one after its last."""
    _counts: Counter[str] = field(init=False)
    """Text digest -> chunks that have it and no row yet."""
    _total: int = field(init=False)
    _asked: set[str] = field(default_factory=set)
    _kept: dict[str, Vectors] = field(default_factory=dict)
    embedded: int = 0

    def __post_init__(self) -> None:
        """Find where each document's chunks stand, and which texts come again."""
        self._places = _places(self.chunks.column("doc_id"))
        self._counts = Counter(self.chunks.column("text_digest").to_pylist())
        self._total = sum(digest not in self.stored for digest in self._counts)

    def missing(self, doc_ids: Sequence[str]) -> Missing:
        """The texts of these documents that are encoded with them: no other asks for them again."""
        digests = self._of(doc_ids).column("text_digest").unique().to_pylist()
        new = [each for each in digests if each not in self.stored and each not in self._asked]
        self._asked.update(new)
        return doc_ids, new

    def rows(self, doc_ids: Sequence[str], encoded: Mapping[str, Vectors]) -> pa.Table:
        """Embedding rows of some documents.

        Args:
            doc_ids: The documents.
            encoded: Text digest -> vector of what `missing` said of them.
        """
        self.embedded += len(encoded)
        if encoded:
            self.progress(self.embedded, self._total)
        self._kept |= {each: encoded[each] for each in encoded if self._counts[each] > 1}
        chunks = self._of(doc_ids)
        if not chunks.num_rows:
            return empty(EMBEDDINGS)
        digests = chunks.column("text_digest").to_pylist()
        kept = {each: self._kept[each] for each in digests if each in self._kept}
        vectors = {**self.stored.fetch(digests), **kept, **encoded}
        self._counts.subtract(digests)
        for digest in kept.keys() | encoded:
            if not self._counts[digest]:
                self._kept.pop(digest, None)
        columns = {
            **dict(zip(chunks.column_names, chunks.columns, strict=True)),
            "encoder_digest": pa.repeat(self.encoder_digest, len(digests)),
            "vector": _lists(np.stack([vectors[each] for each in digests])),
        }
        names = empty(EMBEDDINGS).schema.names
        return pa.table({name: columns[name] for name in names}, empty(EMBEDDINGS).schema)

    def _of(self, doc_ids: Sequence[str]) -> pa.Table:
        rows = [row for doc_id in doc_ids for row in range(*self._places[doc_id])]
        return self.chunks.take(pa.array(rows, pa.int64()))


def refresh(
    task: Encode,
    lake: ObjectStore,
    encoder_name: str,
    encoder_digest: str,
    engine: Engine,
    progress: Progress,
    code_version: str,
) -> OwnRows:
    """Embed the texts of new and changed chunks, drop the vectors of vanished ones.

    Args:
        task: Whose chunks, and who encodes them.
        lake: Where it is noted which slices are in line.
        encoder_name: Whose rows these are.
        encoder_digest: What its vectors are made by.
        engine: Where it encodes.
        progress: Called with the texts encoded so far and those to encode in all.
        code_version: Vectors of another one are made anew.
    """
    warehouse, corpus = task.warehouse, task.corpus
    scope = {"corpus": corpus, "encoder": encoder_name}
    source = Source(CHUNKS, {"corpus": corpus}, task.snapshot)
    now = Source.now(warehouse, EMBEDDINGS, scope)
    name, made_by = f"embeddings/{corpus}|{encoder_name}", (code_version, encoder_digest)
    slices = Slices(lake, warehouse, name, made_by, [source], [now])
    chunks, tokens = _chunks(source, warehouse, slices, encoder_digest, code_version)
    own = OwnRows(warehouse, EMBEDDINGS, scope, slices=slices)
    wanted = fingerprints(chunks.column("doc_id"), chunks.column("fingerprint"))
    plan = diff(wanted, own.fingerprints())
    chosen = pc.is_in(chunks.column("doc_id"), pa.array(plan.stale, pa.string()))
    stale = chunks.filter(chosen).sort_by([("doc_id", "ascending"), ("chunk_id", "ascending")])
    needed = stale.column("text_digest").unique().to_pylist()
    stored = StoredVectors(warehouse, encoder_digest, code_version, needed)
    embedder = Embedder(encoder_digest, stale, stored, progress)
    loads = _loads(chunks.column("doc_id").filter(chosen), tokens.filter(chosen))

    def batches(wave: Sequence[str]) -> list[Missing]:
        return [embedder.missing(part) for part in cut(wave, loads, engine.parts)]

    def committed() -> Iterator[tuple[Sequence[str], Sequence[pa.Table]]]:
        waves = own.waves(plan, Counter(stale.column("doc_id").to_pylist()), WAVE_CHUNKS)
        for wave, encoded in computed(engine, task, waves, batches):
            new = {digest: vector for part in encoded for digest, vector in part.items()}
            yield wave, [embedder.rows(wave, new)]

    carry_out(plan.removed, committed(), [own])
    own.report.work.embedded = embedder.embedded
    return own


def _chunks(
    source: Source, warehouse: Warehouse, slices: Slices, encoder_digest: str, code_version: str
) -> tuple[pa.Table, pa.ChunkedArray]:
    """The open chunks with the fingerprints of their embeddings; their lengths in tokens."""
    columns = ["doc_id", "chunk_id", "text_digest", "token_count"]
    found = source.scan(warehouse, columns, slices.open)
    prints = [
        value
        for batch in found.to_batches()
        for value in _fingerprints(batch, encoder_digest, code_version)
    ]
    found = found.append_column("fingerprint", pa.array(prints, pa.string()))
    return found.drop_columns(["token_count"]), found.column("token_count")


def _fingerprints(batch: pa.RecordBatch, encoder_digest: str, code_version: str) -> Iterator[str]:
    pairs = zip(*(batch.column(name).to_pylist() for name in IDENTITY), strict=True)
    return (
        vector_fingerprint(dict(zip(IDENTITY, pair, strict=True)), encoder_digest, code_version)
        for pair in pairs
    )


def _loads(doc_ids: pa.ChunkedArray, tokens: pa.ChunkedArray) -> dict[str, int]:
    """Document -> its tokens, by which a wave is shared out."""
    summed = pa.table({"doc_id": doc_ids, "tokens": tokens}).group_by("doc_id")
    table = summed.aggregate([("tokens", "sum")])
    names = table.column("doc_id").to_pylist()
    return dict(zip(names, table.column("tokens_sum").to_pylist(), strict=True))


def _places(doc_ids: pa.ChunkedArray) -> dict[str, tuple[int, int]]:
    counted = pc.value_counts(doc_ids)  # in the order of their first rows
    counts = counted.field("counts").to_numpy()
    ends = np.cumsum(counts)
    starts = ends - counts
    return dict(
        zip(counted.field("values").to_pylist(), zip(starts, ends, strict=True), strict=True)
    )


def _lists(matrix: Vectors) -> pa.ListArray:
    offsets = np.arange(len(matrix) + 1, dtype=np.int32) * matrix.shape[1]
    return pa.ListArray.from_arrays(offsets, np.ascontiguousarray(matrix, np.float32).ravel())
