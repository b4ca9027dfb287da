"""The embedded Qdrant engine as a vector store: a folder, no server.

Here: where collections lie, which are finished, and aliases.
Not here: building one (qdrant_edge_build), the engine's requests (qdrant_edge_shard).

    collections/NAME/   finished shards, never changed again
    gathered/NAME.json  names of the collections that a gathered one consists of
    building/NAME/      the workspace of a build
    aliases/NAME.json   what an alias points at
"""

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from resources.process_lock import alone_in, among_readers_of
from resources.vector_store import AlreadyBuiltError, Collection, Served
from resources.vector_store import records as r
from resources.vector_store.alias_files import AliasFiles, fsync, replace_file
from resources.vector_store.gathered import GatheredCollection
from resources.vector_store.qdrant_edge_build import EdgeBuilder, Workspace
from resources.vector_store.qdrant_edge_shard import EdgeCollection, dimensions_of, load_shard


class _Identity(NamedTuple):
    """What tells a finished plain collection from an earlier one of its name."""

    name: str
    inode: int
    dimensions: int


class EdgeStore:
    """Collections of the embedded engine in one folder.

    Args:
        root: Folder of the store; made when something is first written.
    """

    def __init__(self, root: Path) -> None:
        self._collections = root / "collections"
        self._gathered = root / "gathered"
        self._building = root / "building"
        self._aliases = AliasFiles(root / "aliases")
        self._opened: dict[_Identity, EdgeCollection] = {}

    def collections(self) -> list[str]:
        """Names of the finished collections, plain and gathered, sorted."""
        gathered = (path.name.removesuffix(".json") for path in self._gathered.glob("*.json"))
        return sorted([*(path.name for path in self._collections.glob("*")), *gathered])

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
        if target.exists() or self._gathering(name).exists():
            workspace.remove()
            raise AlreadyBuiltError(name)
        try:
            return EdgeBuilder(workspace, dimensions, source, target)
        except BaseException:
            workspace.unlock()
            raise

    def gather(self, name: str, parts: Sequence[str]) -> None:
        """Make a finished collection `name` that consists of others, without copying anything.

        Raises:
            ValueError: the name is no slug, or there are no parts.
            LookupError: a part is not a finished plain collection.
            AlreadyBuiltError: there is another finished collection of that name.
        """
        path = self._gathering(r.check_name(name))
        for part in r.check_parts(name, parts):
            self._identity(part)
        if name in self.collections():
            r.check_same_parts(name, self.parts(name), parts)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, json.dumps(list(parts), indent=2))

    def parts(self, name: str) -> tuple[str, ...]:
        """The collections that a finished one consists of; of a plain one, itself.

        Raises:
            LookupError: there is no such collection.
        """
        try:
            text = self._gathering(r.check_name(name)).read_text(encoding="utf-8")
        except FileNotFoundError:
            self._identity(name)
            return (name,)
        return tuple(json.loads(text))

    def open(self, name: str) -> Collection:
        """Open a finished collection for reading; what was opened last stays open.

        Raises:
            LookupError: there is no such collection, or a part of it is gone.
        """
        names = self.parts(name)
        wanted = [self._identity(part) for part in names]
        if not self._opened.keys() >= set(wanted):
            self._opened = {each: self._opened.get(each) or self._loaded(each) for each in wanted}
        parts = [self._opened[each] for each in wanted]
        return parts[0] if names == (name,) else GatheredCollection(parts)

    def drop(self, name: str) -> None:
        """Remove a collection, finished or not; readers that have it open keep it.

        Of a gathered one, the parts stay.

        Raises:
            RuntimeError: another run does not come to an end with building it.
        """
        path = self._collections / r.check_name(name)
        if self._gathering(name).exists():
            self._gathering(name).unlink()
            fsync(self._gathered)
        workspace = Workspace(self._building / name)
        workspace.clear()
        if path.exists():
            # Where the engine finds no folder when it opens one, it makes half of it anew.
            with alone_in(path):
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
        for part in self.parts(target.collection):
            self._identity(part)
        self._aliases.write(alias, before.switched(target))

    def _gathering(self, name: str) -> Path:
        return self._gathered / f"{name}.json"

    def _identity(self, name: str) -> _Identity:
        """A finished plain collection as it is now.

        Raises:
            LookupError: there is no such collection.
        """
        path = self._collections / r.check_name(name)
        with suppress(FileNotFoundError):  # it may be dropped meanwhile
            inode, dimensions = path.stat().st_ino, dimensions_of(path)
            if dimensions is not None:
                return _Identity(name, inode, dimensions)
        raise LookupError(f"there is no finished collection {name}")

    def _loaded(self, wanted: _Identity) -> EdgeCollection:
        path = self._collections / wanted.name
        with suppress(FileNotFoundError), among_readers_of(path):
            if self._identity(wanted.name) == wanted:
                return EdgeCollection(load_shard(path), wanted.dimensions)
        raise LookupError(f"collection {wanted.name} was dropped while it was opened")
