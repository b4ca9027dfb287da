"""Sail on a real REST catalog reads the tables as docs/engines.md says.

It is asked by Spark Connect, and by Arrow Flight SQL, which is also Dremio's wire. Its clients do
not resolve with ours: `make test-engines` sets up an environment of their own.
"""

import json
import re
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.engines import CORPUS, TABLES, counts, harbour, texts
from tests.servers import answers, free_ports, running
from tests.servers.seaweed import ACCESS_KEY, SECRET_KEY, TABLE_BUCKET, Seaweed
from tests.spies import Platform

ENGINES = Path(__file__).parents[2] / ".venv-engines" / "bin"
DOCS = Path(__file__).parents[2] / "docs" / "engines.md"
CLIENT = Path(__file__).parents[1] / "engines_client.py"
SCHEMES = {"spark": "sc", "flight": "grpc"}
pytestmark = pytest.mark.skipif(not ENGINES.exists(), reason="`make test-engines` sets Sail up")


@pytest.fixture(scope="module")
def platform(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Platform]:
    with harbour(request, tmp_path_factory.mktemp("harbour")) as made:
        yield made


@pytest.fixture(scope="module", params=["spark", "flight"])
def sail(
    request: pytest.FixtureRequest,
    seaweed_server: Seaweed,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[str]:
    """Address of a Sail server whose catalog is the server's."""
    token = requests.post(
        f"{seaweed_server.catalog}/v1/oauth/tokens",
        {
            "grant_type": "client_credentials",
            "client_id": ACCESS_KEY,
            "client_secret": SECRET_KEY,
            "scope": "catalog",
        },
        timeout=30,
    ).json()["access_token"]
    (catalog,) = re.findall(r"SAIL_CATALOG__LIST='(.*)'", DOCS.read_text())
    for example, name in {
        "https://catalog.example.com": seaweed_server.catalog,
        "warehouse": TABLE_BUCKET,
        "TOKEN": token,
    }.items():
        assert f'"{example}"' in catalog
        catalog = catalog.replace(f'"{example}"', f'"{name}"')
    env = {
        **seaweed_server.env,
        "SAIL_CATALOG__LIST": catalog,
        "SAIL_CATALOG__DEFAULT_CATALOG": "lake",
    }
    (port,) = free_ports(1)
    command = [str(ENGINES / "sail"), request.param, "server", "--port", str(port)]
    log = tmp_path_factory.mktemp("sail") / "sail.log"
    with running(command, log, lambda: answers(port), env):
        yield f"{SCHEMES[request.param]}://127.0.0.1:{port}"


def ask(sail: str, *queries: str) -> list[Sequence[Any]]:
    command = [str(ENGINES / "python"), str(CLIENT), sail, *queries]
    asked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert asked.returncode == 0, asked.stderr
    answer: list[Sequence[Any]] = json.loads(asked.stdout)
    return answer


def test_it_counts_and_reads_what_we_do(platform: Platform, sail: str) -> None:
    where = f"WHERE corpus = '{CORPUS}'"
    queries = [f"SELECT count(*) FROM lakeloom.{table.name} {where}" for table in TABLES]
    *found, chunks = ask(sail, *queries, f"SELECT key, text FROM lakeloom.chunks {where}")
    assert [rows[0][0] for rows in found] == list(counts(platform).values())
    assert sorted((key, text) for key, text in chunks) == texts(platform)
