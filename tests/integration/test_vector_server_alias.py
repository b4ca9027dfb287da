"""The server's own aliases, as a client sees them that knows nothing of Lakeloom.

No server is at hand: the adapter runs on its client's local mode.
"""

from pathlib import Path

import pytest

from resources.vector_store import Retriever, Served
from resources.vector_store.qdrant_server import ServerStore

pytestmark = pytest.mark.filterwarnings("ignore:.*[Ll]ocal")


def test_the_servers_alias_names_plain_collections_on_local_mode(tmp_path: Path) -> None:
    from qdrant_client import QdrantClient

    client = QdrantClient(path=str(tmp_path))
    store = ServerStore(client)

    def named() -> dict[str, str]:
        return {x.alias_name: x.collection_name for x in client.get_aliases().aliases}

    for name in ("plain", "part"):
        with store.build(name, 2) as builder:
            builder.finish()
    store.gather("whole", ["part"])
    for name, expected in (
        ("plain", {"corpus": "plain"}),
        ("whole", {}),
        ("plain", {"corpus": "plain"}),
    ):
        store.switch("corpus", Served(name, "minilm", Retriever.DENSE, "r"))
        assert named() == expected
    store.switch("corpus", Served("whole", "minilm", Retriever.DENSE, "r"))
    store.forget("corpus", "whole")
    assert named() == {}
    client.close()
