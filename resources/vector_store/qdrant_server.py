"""A Qdrant server as a vector store.

Here: which collections are finished, and what each alias points at, kept on the server.
Not here: searches and writes (qdrant_server_collection), how the server is run (deploy).

A server cannot rename a collection, and its aliases carry no data. So one collection of the
store's own has a point for each finished collection, plain or gathered, and for each alias. The
server's aliases follow it, for clients that know nothing of Lakeloom, as far as they can: they
name plain collections only, so there is none while a gathered one is served.
"""

import time
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, uuid5

from resources.vector_store import AlreadyBuiltError, Collection, Served
from resources.vector_store import records as r
from resources.vector_store.alias_files import Alias, from_json, to_json
from resources.vector_store.gathered import GatheredCollection
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
        """Names of the finished collections, plain and gathered, sorted."""
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

    def gather(self, name: str, parts: Sequence[str]) -> None:
        """Make a finished collection `name` that consists of others, without copying anything.

        Raises:
            ValueError: the name is no slug, or there are no parts.
            LookupError: a part is not a finished plain collection.
            AlreadyBuiltError: there is another finished collection of that name.
        """
        there = self._read("collection", r.check_name(name))
        for part in r.check_parts(name, parts):
            self._plain(part)
        if there:
            r.check_same_parts(name, self.parts(name), parts)
        else:
            self._write("collection", name, {"parts": list(parts)})

    def parts(self, name: str) -> tuple[str, ...]:
        """The collections that a finished one consists of; of a plain one, itself.

        Raises:
            LookupError: there is no such collection.
        """
        return tuple(self._finished(name).get("parts", [name]))

    def open(self, name: str) -> Collection:
        """Open a finished collection for reading.

        Raises:
            LookupError: there is no such collection, or a part of it is gone.
        """
        names = self.parts(name)
        parts = [self._plain(part) for part in names]
        return parts[0] if names == (name,) else GatheredCollection(parts)

    def drop(self, name: str) -> None:
        """Remove a collection, finished or not; nothing happens if there is none.

        Of a gathered one, the parts stay.
        """
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
        before = self._alias(alias)
        after = before.without(name)
        if after == before:
            return
        self._write("alias", alias, to_json(after))
        if after.current is None and before.current is not None:
            self._follow(alias, None)

    def served(self, alias: str) -> Served | None:
        """What `alias` points at now."""
        return self._alias(alias).current

    def previous(self, alias: str) -> Served | None:
        """What `alias` pointed at before the last switch."""
        return self._alias(alias).previous

    def switch(self, alias: str, target: Served) -> None:
        """Point `alias` at `target` atomically and remember what it pointed at before.

        The server's own alias goes while a gathered collection is served, which it cannot name.

        Raises:
            LookupError: the target is not a finished collection.
        """
        before = self._alias(alias)
        self.open(target.collection)
        self._write("alias", alias, to_json(before.switched(target)))
        plain = self.parts(target.collection) == (target.collection,)
        self._follow(alias, target.collection if plain else None)

    def _follow(self, alias: str, collection: str | None) -> None:
        """Let the server's alias name a plain collection, or be gone."""
        from qdrant_client import models as m

        gone = m.DeleteAliasOperation(delete_alias=m.DeleteAlias(alias_name=alias))
        ends = [m.CreateAlias(collection_name=collection, alias_name=alias)] if collection else []
        there = [m.CreateAliasOperation(create_alias=end) for end in ends]
        self._client.update_collection_aliases([gone, *there])

    def _finished(self, name: str) -> dict[str, Any]:
        """What is noted of a finished collection.

        Raises:
            LookupError: there is no such collection.
        """
        found = self._read("collection", r.check_name(name))
        if not found:
            raise LookupError(f"there is no finished collection {name}")
        return found

    def _plain(self, name: str) -> ServerCollection:
        """A finished collection that is not gathered.

        Raises:
            LookupError: there is no such collection.
        """
        found = self._finished(name)
        if "dimensions" not in found:
            raise LookupError(f"{name} is gathered from others: it cannot be a part")
        return ServerCollection(self._client, name, found["dimensions"])

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
