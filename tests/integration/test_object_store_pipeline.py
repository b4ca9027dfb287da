"""The whole graph with its lake and its tables in a real S3 server, the catalog in SQLite."""

from pathlib import Path

import pytest

from platform_assets.commands.trace import trace
from resources.object_store.s3 import S3ObjectStore
from tests.servers.seaweed import Seaweed
from tests.spies import Platform

CORPUS = "birds"
DOCUMENTS = {
    "owl.md": "# Owls\n\nThe barn owl hunts by ear in the dark.\n",
    "wren.md": "# Wrens\n\nA wren builds several nests and its mate picks one.\n",
    "gull.html": "<h1>Gulls</h1><p>A gull drops a mussel on stones to open it.</p>",
}


def test_the_whole_graph_runs_on_s3(
    tmp_path: Path, seaweed_server: Seaweed, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in seaweed_server.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("LAKELOOM_LAKE", f"s3://lake/{tmp_path.name}/with space")
    platform = Platform(tmp_path, monkeypatch)
    for key, text in DOCUMENTS.items():
        platform.write(CORPUS, key, text)

    platform.materialize(CORPUS)
    assert platform.search(CORPUS, "which bird hunts in the dark?")[0]["key"] == "owl.md"
    platform.materialize(CORPUS)
    assert platform.calls.none()

    platform.write(CORPUS, "wren.md", "# Wrens\n\nThe wren sleeps at noon in a teapot.\n")
    platform.materialize(CORPUS)
    assert platform.calls.parsed == ["wren.md"]
    assert platform.search(CORPUS, "who sleeps in a teapot?")[0]["key"] == "wren.md"
    assert trace(platform.state, CORPUS)["ok"]

    assert isinstance(platform.state.lake, S3ObjectStore)
    tables = [item.key for item in platform.state.lake.objects("_lakeloom/warehouse/")]
    assert any(key.endswith(".parquet") for key in tables)
    assert not list(tmp_path.rglob("*.parquet"))
