"""A lake on erasure-coded volumes of a real server: one disk is lost and nothing else."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from platform_assets.commands.trace import trace
from tests.integration.test_incremental import TOPICS, document
from tests.servers.seaweed_cluster import PARTS, VOLUME_SERVERS, Cluster, seaweed_cluster
from tests.spies import Platform

pytestmark = pytest.mark.skipif(
    "LAKELOOM_TEST_DURABILITY" not in os.environ, reason="make test-durability"
)

CORPUS = "topics"
LOST = 3


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with seaweed_cluster(tmp_path_factory.mktemp("cluster")) as running:
        yield running


def test_a_lost_volume_server_loses_no_object_and_stops_no_run(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**cluster.env, "LAKELOOM_LAKE": "s3://lake/durable"}.items():
        monkeypatch.setenv(name, value)
    platform = Platform(tmp_path, monkeypatch)
    lake = platform.state.lake
    for key in TOPICS:
        platform.write(CORPUS, key, document(key))
    platform.materialize(CORPUS)
    stored = {item.key: lake.sha256(item.key) for item in lake.objects()}
    assert any(key.endswith(".parquet") for key in stored)

    cluster.encode()
    assert not cluster.whole_volumes()
    volumes = {path.stem for server in range(VOLUME_SERVERS) for path in cluster.parts(server)}
    parts = [len(cluster.parts(server)) for server in range(VOLUME_SERVERS)]
    assert sum(parts) == PARTS * len(volumes)

    assert parts[LOST]
    cluster.volume_servers[LOST].kill()
    cluster.volume_servers[LOST].wait()
    shutil.rmtree(cluster.folder(LOST))

    assert {item.key: lake.sha256(item.key) for item in lake.objects()} == stored
    platform.materialize(CORPUS)
    assert platform.calls.none()
    platform.write(CORPUS, "maps.md", document("maps.md") + "\nGlobes are maps as well.\n")
    platform.write(CORPUS, "new.md", "# A new bird\n\nIt sings on the roof at noon.\n")
    platform.materialize(CORPUS)
    assert sorted(platform.calls.parsed) == ["maps.md", "new.md"]
    assert platform.search(CORPUS, "which bird sings at noon?")[0]["key"] == "new.md"
    assert trace(platform.state, CORPUS)["ok"]
