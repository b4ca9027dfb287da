"""DuckDB attached to a real REST catalog reads the tables as docs/engines.md says."""

import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import duckdb
import pytest

from tests.engines import CORPUS, TABLES, counts, harbour, texts
from tests.servers.seaweed import ACCESS_KEY, SECRET_KEY, TABLE_BUCKET, Seaweed
from tests.spies import Platform

ENGINES = Path(__file__).parents[2] / "docs" / "engines.md"


@pytest.fixture(scope="module")
def platform(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Platform]:
    with harbour(request, tmp_path_factory.mktemp("harbour")) as made:
        yield made


def documented(server: Seaweed) -> list[str]:
    """The statements of docs/engines.md with the server's names in place of the examples'."""
    (block,) = re.findall(r"```sql\n(CREATE SECRET.*?)```", ENGINES.read_text(), re.DOTALL)
    names = {
        "https://catalog.example.com": server.catalog,
        "s3.example.com": server.endpoint.removeprefix("http://"),
        "USE_SSL true": "USE_SSL false",
        "'warehouse'": f"'{TABLE_BUCKET}'",
        "'CLIENT'": f"'{ACCESS_KEY}'",
        "'SECRET'": f"'{SECRET_KEY}'",
        "'KEY'": f"'{ACCESS_KEY}'",
        "'PASS'": f"'{SECRET_KEY}'",
    }
    for example, name in names.items():
        assert example in block
        block = block.replace(example, name)
    return [statement for statement in block.split(";") if statement.strip()][:-1]


@pytest.fixture(scope="module")
def duck(seaweed_server: Seaweed) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        for name in ("httpfs", "avro", "iceberg"):
            folder = Path(str(import_module(f"duckdb_extension_{name}").__file__)).parent
            (file,) = folder.rglob(f"{name}.duckdb_extension")
            connection.execute(f"LOAD '{file}'")
        for statement in documented(seaweed_server):
            connection.execute(statement)
        yield connection


def test_it_counts_what_we_count(platform: Platform, duck: duckdb.DuckDBPyConnection) -> None:
    for table in TABLES:
        query = f"SELECT count(*) FROM lake.lakeloom.{table.name} WHERE corpus = '{CORPUS}'"
        assert duck.sql(query).fetchall() == [(counts(platform)[table.name],)]


def test_it_reads_the_same_texts(platform: Platform, duck: duckdb.DuckDBPyConnection) -> None:
    found = duck.sql(f"SELECT key, text FROM lake.lakeloom.chunks WHERE corpus = '{CORPUS}'")
    assert sorted(found.fetchall()) == texts(platform)


def test_it_compares_vectors_of_joined_tables(
    duck: duckdb.DuckDBPyConnection,
) -> None:
    nearest = duck.sql(f"""
        SELECT c.text, list_cosine_similarity(e.vector, probe.vector) AS score
        FROM lake.lakeloom.embeddings e JOIN lake.lakeloom.chunks c USING (corpus, chunk_id),
             (SELECT vector FROM lake.lakeloom.embeddings JOIN lake.lakeloom.chunks
              USING (corpus, chunk_id) WHERE text LIKE '%dry%') probe
        WHERE corpus = '{CORPUS}' ORDER BY score DESC LIMIT 1""").fetchone()
    assert nearest is not None
    assert "dry" in nearest[0]
    assert nearest[1] == pytest.approx(1)
