"""The text a language model learns, and the text it is measured on: never the same document.

Here: reading them from the chunks. Not here: tokens (resources/training/causal).
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from platform_assets.chunks.table import CHUNKS
from platform_assets.provenance import Record
from platform_assets.queries import split_of
from platform_assets.queries.pairs import hidden
from resources.training.causal.blocks import SCHEMA
from resources.warehouse import Warehouse


@dataclass(frozen=True, slots=True)
class Text:
    """One document's text."""

    key: str
    text: str
    held_out: bool


def texts_of(warehouse: Warehouse, chunks: Record) -> list[Text]:
    """The documents of a corpus as a record of its chunks pins them.

    Held out are those of the test part and those judged for a test query. A chunk that one of
    them shares with a training document is left out of the latter.
    """
    corpus = chunks.partition
    columns = ["key", "position", "text", "text_digest"]
    found = warehouse.scan(CHUNKS, {"corpus": corpus}, columns, snapshot=chunks.snapshot)
    rows = sorted(found.to_pylist(), key=lambda row: (row["key"], row["position"]))
    judged = hidden(warehouse, corpus)
    held = {row["key"] for row in rows if row["key"] in judged or split_of(row["key"]) == "test"}
    seen = {row["text_digest"] for row in rows if row["key"] in held}
    parts: defaultdict[str, list[str]] = defaultdict(list)
    for row in rows:
        if row["key"] in held or row["text_digest"] not in seen:
            parts[row["key"]].append(row["text"])
    return [Text(key, "\n\n".join(part), key in held) for key, part in parts.items()]


def write_texts(texts: Iterable[Text], path: Path) -> None:
    """Write the file that the training worker reads."""
    rows = [{"text": text.text, "held_out": text.held_out} for text in texts]
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, SCHEMA), path)
