"""`lakeloom trace`: the chain from the alias to the objects, and each link broken by hand."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from platform_assets.chunks.table import CHUNKS
from platform_assets.cli import main
from platform_assets.documents.table import DOCUMENTS, REJECTED_DOCUMENTS
from platform_assets.embeddings.table import EMBEDDINGS
from platform_assets.evaluation.table import EVALUATION
from platform_assets.queries.table import QUERIES
from platform_assets.raw_objects.table import RAW_OBJECTS
from resources import registry
from resources.vector_store.qdrant_edge_shard import load_shard
from resources.vector_store.records import DENSE
from resources.warehouse import TableSpec
from tests.spies import Platform

pytestmark = pytest.mark.slow

CORPUS = "charts"
CHAIN = {
    "published_index": "charts",
    "vector_index": "charts|minilm",
    "retrieval_evaluation": "charts|minilm",
    "embeddings": "charts|minilm",
    "checkpoints": "minilm",
    "queries": "charts",
    "chunks": "charts",
    "documents": "charts",
    "raw_objects": "charts",
}
"""Asset -> partition of every link there must be."""
COLUMNS = (
    (RAW_OBJECTS, "sha256"),
    (DOCUMENTS, "title"),
    (REJECTED_DOCUMENTS, "message"),
    (CHUNKS, "text"),
    (EMBEDDINGS, "vector"),
    (QUERIES, "text"),
    (EVALUATION, "ndcg_10"),
)
BY_TABLE = pytest.mark.parametrize(
    ("table", "column"), COLUMNS, ids=[table.name for table, _ in COLUMNS]
)


class Chain:
    """A published corpus whose parts can be altered behind the platform's back."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.home = platform.state.settings.home
        self.lake = self.home / "lake"
        for name in ("Skagerrak", "Kattegat", "Baltic"):
            text = f"# Chart of the {name} sea\n\nSoundings of the {name} in fathoms.\n"
            platform.write(CORPUS, f"{name}.md", text)
        platform.write(CORPUS, "blank.pdf", b"")
        platform.materialize(CORPUS, select="+key:published_index")
        served = platform.state.vectors.served(CORPUS)
        assert served is not None
        self.alias = self.home / "vectors" / "aliases" / f"{CORPUS}.json"
        self.collection = self.home / "vectors" / "collections" / served.collection

    def record(self, asset: str) -> Path:
        latest = self.platform.state.ledger.require(asset, CHAIN[asset])
        return self.lake / "_lakeloom" / "records" / f"{latest.record_id}.json"

    def checkpoint(self) -> Path:
        details = self.platform.state.ledger.require("checkpoints", "minilm").details
        return self.lake / "_lakeloom" / "checkpoints" / details["checkpoint"]

    def iceberg(self, table: TableSpec) -> Any:
        return self.platform.state.warehouse._table(table)  # type: ignore[attr-defined]

    def data_file(self, table: TableSpec) -> Path:
        task = next(iter(self.iceberg(table).scan().plan_files()))
        return Path(unquote(urlsplit(task.file.file_path).path))


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    with pytest.MonkeyPatch.context() as patch:
        yield Chain(Platform(tmp_path_factory.mktemp("trace"), patch))


Trace = Callable[[], dict[str, Any]]


@pytest.fixture
def trace(capsys: pytest.CaptureFixture[str]) -> Trace:
    """Runs `lakeloom trace` as a new process would; holds its exit status against its answer."""

    def run() -> dict[str, Any]:
        registry._connect.cache_clear()
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main(["trace", CORPUS, "--json"])
        answer: dict[str, Any] = json.loads(capsys.readouterr().out)
        assert answer["ok"] is all(link["ok"] for link in answer["links"])
        assert end.value.code == (0 if answer["ok"] else 1)
        return answer

    return run


def broken(answer: dict[str, Any]) -> dict[str, str]:
    """Asset -> why, of every link that does not hold."""
    return {link["asset"]: link["why"] for link in answer["links"] if not link["ok"]}


@contextmanager
def replaced(path: Path, data: bytes | None) -> Iterator[None]:
    """A file with other content, or none, for a while."""
    original = path.read_bytes()
    path.unlink() if data is None else path.write_bytes(data)
    try:
        yield
    finally:
        path.write_bytes(original)


@contextmanager
def aside(folder: Path) -> Iterator[None]:
    """A folder to alter; afterwards it is as it was."""
    kept = folder.parents[1] / "kept"
    shutil.copytree(folder, kept)
    try:
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        kept.rename(folder)


def altered(rows: pa.Table, column: str) -> pa.Table:
    """The rows with the first value of a column changed."""
    values = rows.to_pylist()
    value = values[0][column]
    if isinstance(value, list):
        values[0][column] = [-value[0], *value[1:]]
    else:
        values[0][column] = value + " altered" if isinstance(value, str) else value / 2 + 0.1
    return pa.Table.from_pylist(values, schema=rows.schema)


def parquet(rows: pa.Table) -> bytes:
    """A Parquet file."""
    sink = pa.BufferOutputStream()
    pq.write_table(rows, sink)
    return bytes(sink.getvalue().to_pybytes())


def edited(path: Path, **values: object) -> bytes:
    """A JSON file with some values changed."""
    return json.dumps({**json.loads(path.read_bytes()), **values}).encode()


def asset_of(table: TableSpec) -> str:
    return table.name.removeprefix("rejected_")


def test_the_chain_leads_from_the_alias_to_the_objects(chain: Chain, trace: Trace) -> None:
    answer = trace()
    assert answer["ok"]
    assert {link["asset"]: link["partition"] for link in answer["links"]} == CHAIN
    assert answer["links"][0]["asset"] == "published_index"
    tables = {link["asset"]: link["snapshot"] for link in answer["links"] if link["snapshot"]}
    assert tables == {
        asset_of(table): chain.platform.state.warehouse.snapshot(table)
        for table, _ in COLUMNS
        if table is not REJECTED_DOCUMENTS
    }


@BY_TABLE
def test_a_row_altered_in_its_data_file(
    chain: Chain, trace: Trace, table: TableSpec, column: str
) -> None:
    path = chain.data_file(table)
    with replaced(path, parquet(altered(pq.ParquetFile(path).read(), column))):
        faults = broken(trace())
    assert f"table {table.name} was altered" in faults.pop(asset_of(table))
    # the collection is held against the vectors it was made of
    assert faults.keys() == ({"vector_index"} if table is EMBEDDINGS else set())


@BY_TABLE
def test_a_row_altered_by_a_later_commit(
    chain: Chain, trace: Trace, table: TableSpec, column: str
) -> None:
    iceberg = chain.iceberg(table)
    before, rows = iceberg.current_snapshot().snapshot_id, iceberg.scan().to_arrow()
    with iceberg.transaction() as transaction:
        transaction.delete(f"corpus == '{CORPUS}'")
        transaction.append(altered(rows, column))
    faults = broken(trace())
    chain.iceberg(table).manage_snapshots().set_current_snapshot(before).commit()
    assert faults.keys() == {asset_of(table)}
    assert f"table {table.name} was altered" in faults[asset_of(table)]


def test_a_row_cut_from_its_data_file(chain: Chain, trace: Trace) -> None:
    path = chain.data_file(CHUNKS)
    with replaced(path, parquet(pq.ParquetFile(path).read().slice(1))):
        faults = broken(trace())
    assert faults.keys() == {"chunks"}
    assert "rows are missing or were added" in faults["chunks"]


def test_a_data_file_removed(chain: Chain, trace: Trace) -> None:
    with replaced(chain.data_file(DOCUMENTS), None):
        assert broken(trace()).keys() == {"documents"}


@pytest.mark.parametrize("data", [b"# Other words\n", None], ids=["overwritten", "deleted"])
def test_an_object_overwritten_or_deleted(chain: Chain, trace: Trace, data: bytes | None) -> None:
    with replaced(chain.lake / CORPUS / "Baltic.md", data):
        faults = broken(trace())
    assert faults.keys() == {"raw_objects"}
    assert "Baltic.md" in faults["raw_objects"]


@pytest.mark.parametrize("asset", CHAIN)
def test_a_provenance_record_edited(chain: Chain, trace: Trace, asset: str) -> None:
    path = chain.record(asset)
    with replaced(path, edited(path, rows=99)):
        faults = broken(trace())
    assert faults.keys() == {asset}
    assert "altered" in faults[asset]


def test_a_provenance_record_removed(chain: Chain, trace: Trace) -> None:
    with replaced(chain.record("chunks"), None):
        assert broken(trace()).keys() == {"chunks"}


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "manifest.json"])
@pytest.mark.parametrize("kept", [True, False], ids=["altered", "removed"])
def test_a_checkpoint_file(chain: Chain, trace: Trace, name: str, kept: bool) -> None:
    path = chain.checkpoint() / name
    data = path.read_bytes() + b" "
    if name == "manifest.json":
        data = edited(path, stranger="0" * 64)
    with replaced(path, data if kept else None):
        assert broken(trace()).keys() == {"checkpoints"}


def remove_point(shard: Any, point: Any) -> None:
    import qdrant_edge as q

    shard.update(q.UpdateOperation.delete_points([point.id]))


def alter_vector(shard: Any, point: Any) -> None:
    import qdrant_edge as q

    vector = [-value for value in point.vector[DENSE]]
    shard.update(q.UpdateOperation.update_vectors([q.PointVectors(point.id, {DENSE: vector})]))


def alter_text(shard: Any, point: Any) -> None:
    import qdrant_edge as q

    shard.update(q.UpdateOperation.set_payload([point.id], {"text": "other words"}))


@pytest.mark.parametrize("alter", [remove_point, alter_vector, alter_text])
def test_the_collection_altered(
    chain: Chain, trace: Trace, alter: Callable[[Any, Any], None]
) -> None:
    import qdrant_edge as q

    with aside(chain.collection):
        shard = load_shard(chain.collection)
        request = q.ScrollRequest(limit=1, with_payload=True, with_vector=True)
        [point], _ = shard.scroll(request)
        alter(shard, point)
        shard.flush()
        shard.close()
        assert broken(trace()).keys() == {"vector_index"}


def test_the_collection_removed(chain: Chain, trace: Trace) -> None:
    with aside(chain.collection):
        shutil.rmtree(chain.collection)
        assert broken(trace()).keys() == {"vector_index"}


@pytest.mark.parametrize(
    "change",
    [
        {"collection": "charts.minilm.0123456789abcdef"},
        {"encoder": "minilm-tuned"},
        {"retriever": "bm25"},
        {"record": "0" * 64},
    ],
    ids=lambda change: next(iter(change)),
)
def test_the_alias_edited(chain: Chain, trace: Trace, change: dict[str, str]) -> None:
    current = json.loads(chain.alias.read_bytes())["current"]
    with replaced(chain.alias, edited(chain.alias, current={**current, **change})):
        assert broken(trace()).keys() == {"published_index"}


def test_an_alias_with_the_record_of_another_asset(chain: Chain, trace: Trace) -> None:
    current = json.loads(chain.alias.read_bytes())["current"]
    current["record"] = chain.record("chunks").stem
    with replaced(chain.alias, edited(chain.alias, current=current)):
        assert broken(trace()).keys() == {"published_index"}


@pytest.mark.usefixtures("chain")
def test_all_holds_again_afterwards(trace: Trace) -> None:
    assert trace()["ok"]
