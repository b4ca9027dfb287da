"""The embedded Qdrant engine as a vector store: a folder, no server.

Here: where collections lie, which are finished, and aliases.
Not here: building one (qdrant_edge_build), the engine's requests (qdrant_edge_shard).

    collections/NAME/   finished shards, never changed again
    building/NAME/      the workspace of a build
    aliases/NAME.json   what an alias points at
"""

from pathlib import Path

from resources.vector_store import AlreadyBuiltError, Served
from resources.vector_store import records as r
from resources.vector_store.alias_files import AliasFiles
from resources.vector_store.qdrant_edge_build import EdgeBuilder, Workspace, shard_for
from resources.vector_store.qdrant_edge_shard import EdgeCollection, dimensions_of, load_shard


class EdgeStore:
    """Collections of the embedded engine in one folder.

    Args:
        root: Folder of the store; made when something is first written.
    """

    def __init__(self, root: Path) -> None:
        self._collections = root / "collections"
        self._building = root / "building"
        self._aliases = AliasFiles(root / "aliases")
        self._opened: tuple[tuple[str, int], EdgeCollection] | None = None

    def collections(self) -> list[str]:
        """Names of the finished collections, sorted."""
        if not self._collections.exists():
            return []
        return sorted(path.name for path in self._collections.iterdir())

    def build(self, name: str, dimensions: int, clone_from: str | None = None) -> EdgeBuilder:
        """Start or take up again the building of a collection.

        Raises:
            ValueError: the name is no slug.
            AlreadyBuiltError: the collection is finished.
            RuntimeError: another run does not come to an end with it.
        """
        target = self._collections / r.check_name(name)
        source = self._collections / r.check_name(clone_from) if clone_from else None
        workspace = Workspace(self._building / name)
        if target.exists():
            workspace.remove()
            raise AlreadyBuiltError(name)
        try:
            shard = shard_for(workspace, dimensions, source)
            return EdgeBuilder(workspace, shard, dimensions, target)
        except BaseException:
            workspace.unlock()
            raise

    def open(self, name: str) -> EdgeCollection:
        """Open a finished collection for reading, or return it if it was the last one opened.

        Raises:
            LookupError: there is no such collection.
        """
        path = self._collections / r.check_name(name)
        dimensions = dimensions_of(path)
        if dimensions is None:
            raise LookupError(f"there is no finished collection {name}")
        identity = (name, path.stat().st_ino)
        if self._opened is None or self._opened[0] != identity:
            self._opened = (identity, EdgeCollection(load_shard(path), dimensions))
        return self._opened[1]

    def drop(self, name: str) -> None:
        """Remove a collection, finished or not; readers that have it open keep it.

        Raises:
            RuntimeError: another run does not come to an end with building it.
        """
        path = self._collections / r.check_name(name)
        workspace = Workspace(self._building / name)
        workspace.clear()
        if path.exists():
            path.rename(workspace.folder / "dropped")
        workspace.remove()

    def unfinished(self) -> list[str]:
        """Names of collections whose building was begun and not finished, sorted."""
        return sorted(path.name for path in self._building.glob("*"))

    def forget(self, alias: str, name: str) -> None:
        """Let `alias` point nowhere where it points, or would go back, to collection `name`."""
        before = self._aliases.read(r.check_name(alias))
        if before != before.without(name):
            self._aliases.write(alias, before.without(name))

    def served(self, alias: str) -> Served | None:
        """What `alias` points at now."""
        return self._aliases.read(r.check_name(alias)).current

    def previous(self, alias: str) -> Served | None:
        """What `alias` pointed at before the last switch."""
        return self._aliases.read(r.check_name(alias)).previous

    def switch(self, alias: str, target: Served) -> None:
        """Point `alias` at `target` atomically and remember what it pointed at before.

        Raises:
            LookupError: the target is not a finished collection.
        """
        before = self._aliases.read(r.check_name(alias))
        if target.collection not in self.collections():
            raise LookupError(f"there is no finished collection {target.collection}")
        self._aliases.write(alias, before.switched(target))
