"""A Qdrant server as a vector store.

Here: which collections are finished, and what each alias points at, kept on the server.
Not here: searches and writes (qdrant_server_collection), how the server is run (deploy).

A server cannot rename a collection, and its aliases carry no data. So one collection of the
store's own has a point for each finished collection and for each alias; the server's aliases
follow it, for clients that know nothing of Lakeloom.
"""

import time
from functools import cached_property
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, uuid5

from resources.vector_store import AlreadyBuiltError, Served
from resources.vector_store import records as r
from resources.vector_store.alias_files import Alias, from_json, to_json
from resources.vector_store.qdrant_server_collection import (
    ServerBuilder,
    ServerCollection,
    copy_points,
    create_collection,
    pages,
)
from resources.vector_store.qdrant_server_errors import ClearErrors

if TYPE_CHECKING:
    from qdrant_client import QdrantClient

_STATE = "LAKELOOM"
"""Name of the store's own collection; capitals keep it apart from every slug."""

_INDEXING_SECONDS = 3_600


class ServerStore:
    """Collections on a Qdrant server of the client's own version or later.

    Args:
        client: A connected client; `QdrantClient(path=...)` serves for trying things out.
    """

    def __init__(self, client: "QdrantClient") -> None:
        self._client = client

    def collections(self) -> list[str]:
        """Names of the finished collections, sorted."""
        points = [x.payload or {} for page in pages(self._client, self._state) for x in page]
        return sorted(x["name"] for x in points if x["kind"] == "collection")

    def build(self, name: str, dimensions: int, clone_from: str | None = None) -> ServerBuilder:
        """Start or take up again the building of a collection.

        Raises:
            ValueError: the name is no slug.
            AlreadyBuiltError: the collection is finished.
        """
        if self._read("collection", r.check_name(name)):
            raise AlreadyBuiltError(name)
        source = self._read("collection", r.check_name(clone_from)) if clone_from else {}
        if self._dimensions_being_built(name) != dimensions:
            self.drop(name)
            create_collection(self._client, name, dimensions)
            if source.get("dimensions") == dimensions:
                copy_points(self._client, source["name"], name)
        return ServerBuilder(self._client, name, dimensions, self._mark_finished)

    def open(self, name: str) -> ServerCollection:
        """Open a finished collection for reading.

        Raises:
            LookupError: there is no such collection.
        """
        found = self._read("collection", r.check_name(name))
        if not found:
            raise LookupError(f"there is no finished collection {name}")
        return ServerCollection(self._client, name, found["dimensions"])

    def drop(self, name: str) -> None:
        """Remove a collection, finished or not; nothing happens if there is none."""
        key = _point_id("collection", r.check_name(name))
        self._client.delete(self._state, [key])
        if self._client.collection_exists(name):
            self._client.delete_collection(name)

    def unfinished(self) -> list[str]:
        """Names of collections whose building was begun and not finished, sorted."""
        known = {*self.collections(), self._state}
        listed = self._client.get_collections().collections
        return sorted(found.name for found in listed if found.name not in known)

    def forget(self, alias: str, name: str) -> None:
        """Let `alias` point nowhere where it points, or would go back, to collection `name`."""
        from qdrant_client import models as m

        before = self._alias(alias)
        after = before.without(name)
        if after == before:
            return
        self._write("alias", alias, to_json(after))
        if after.current is None and before.current is not None:
            gone = m.DeleteAliasOperation(delete_alias=m.DeleteAlias(alias_name=alias))
            self._client.update_collection_aliases([gone])

    def served(self, alias: str) -> Served | None:
        """What `alias` points at now."""
        return self._alias(alias).current

    def previous(self, alias: str) -> Served | None:
        """What `alias` pointed at before the last switch."""
        return self._alias(alias).previous

    def switch(self, alias: str, target: Served) -> None:
        """Point `alias` at `target` atomically and remember what it pointed at before.

        Raises:
            LookupError: the target is not a finished collection.
        """
        from qdrant_client import models as m

        before = self._alias(alias)
        self.open(target.collection)
        self._write("alias", alias, to_json(before.switched(target)))
        end = m.CreateAlias(collection_name=target.collection, alias_name=alias)
        self._client.update_collection_aliases(
            [
                m.DeleteAliasOperation(delete_alias=m.DeleteAlias(alias_name=alias)),
                m.CreateAliasOperation(create_alias=end),
            ]
        )

    def _alias(self, alias: str) -> Alias:
        found = self._read("alias", r.check_name(alias))
        return from_json(found) if found else Alias()

    def _dimensions_being_built(self, name: str) -> int | None:
        if not self._client.collection_exists(name):
            return None
        vectors: Any = self._client.get_collection(name).config.params.vectors
        return int(vectors[r.DENSE].size)

    def _mark_finished(self, name: str, dimensions: int) -> None:
        """Wait until the server has built its indexes, then make the collection readable."""
        from qdrant_client.models import CollectionStatus

        give_up = time.monotonic() + _INDEXING_SECONDS
        while self._client.get_collection(name).status != CollectionStatus.GREEN:
            if time.monotonic() > give_up:
                raise TimeoutError(f"the server did not index {name} in {_INDEXING_SECONDS} s")
            time.sleep(0.2)
        self._write("collection", name, {"dimensions": dimensions})

    @cached_property
    def _state(self) -> str:
        if not self._client.collection_exists(_STATE):
            self._client.create_collection(_STATE, vectors_config={})
        return _STATE

    def _read(self, kind: str, name: str) -> dict[str, Any]:
        found = self._client.retrieve(self._state, [_point_id(kind, name)])
        return (found[0].payload or {}) if found else {}

    def _write(self, kind: str, name: str, value: dict[str, Any]) -> None:
        from qdrant_client.models import PointStruct

        payload = {"kind": kind, "name": name, **value}
        point = PointStruct(id=_point_id(kind, name), vector={}, payload=payload)
        self._client.upsert(self._state, [point], wait=True)


def connect(url: str, api_key: str | None = None) -> ServerStore:
    """The store on the server at `url`, whose errors say what to set."""
    from qdrant_client import QdrantClient

    client: Any = ClearErrors(QdrantClient(url=url, api_key=api_key), url)
    return ServerStore(client)


def _point_id(kind: str, name: str) -> str:
    return str(uuid5(NAMESPACE_URL, f"lakeloom:{kind}:{name}"))
