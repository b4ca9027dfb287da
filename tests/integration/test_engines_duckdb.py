"""DuckDB attached to a real REST catalog reads the tables as docs/engines.md says."""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import duckdb
import pytest

from tests.engines import CORPUS, TABLES, counts, harbour, texts
from tests.servers.seaweed import ACCESS_KEY, SECRET_KEY, TABLE_BUCKET, Seaweed
from tests.spies import Platform


@pytest.fixture(scope="module")
def platform(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Platform]:
    with harbour(request, tmp_path_factory.mktemp("harbour")) as made:
        yield made


@pytest.fixture(scope="module")
def duck(seaweed_server: Seaweed) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        for name in ("httpfs", "avro", "iceberg"):
            folder = Path(str(import_module(f"duckdb_extension_{name}").__file__)).parent
            (file,) = folder.rglob(f"{name}.duckdb_extension")
            connection.execute(f"LOAD '{file}'")
        connection.execute(
            f"CREATE SECRET files (TYPE s3, KEY_ID '{ACCESS_KEY}', SECRET '{SECRET_KEY}', "
            f"ENDPOINT '{seaweed_server.endpoint.removeprefix('http://')}', USE_SSL false, "
            "URL_STYLE 'path', REGION 'us-east-1')"
        )
        connection.execute(
            f"CREATE SECRET catalog (TYPE iceberg, CLIENT_ID '{ACCESS_KEY}', "
            f"CLIENT_SECRET '{SECRET_KEY}', "
            f"OAUTH2_SERVER_URI '{seaweed_server.catalog}/v1/oauth/tokens')"
        )
        connection.execute(
            f"ATTACH '{TABLE_BUCKET}' AS lake (TYPE iceberg, SECRET catalog, "
            f"ENDPOINT '{seaweed_server.catalog}', ACCESS_DELEGATION_MODE 'none')"
        )
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
