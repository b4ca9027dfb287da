"""Building a shard so that a crash loses at most the wave being written.

Here: the workspace of a build, its lock, waves, taking up what a crash left, finishing.
Not here: which collections are finished (qdrant_edge), the engine's requests (qdrant_edge_shard).

    shard/      the shard under construction; moved away as a whole when it is finished, then with
                fingerprints.json, what its points are
    wave.json   ids of the wave being written, there only while it is
    new/        the empty shard, or the copy of a collection, to start from, until it is complete
    lock        held while a build or a drop is under way
    dropped/    a finished collection on its way out
"""

import fcntl
import json
import logging
import os
import shutil
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from resources.process_lock import among_readers_of
from resources.vector_store import Point
from resources.vector_store import records as r
from resources.vector_store.alias_files import fsync, replace_file
from resources.vector_store.qdrant_edge_shard import (
    count,
    create_shard,
    dimensions_of,
    fingerprints,
    load_shard,
)
from resources.vector_store.sparse_copy import copy_tree

if TYPE_CHECKING:
    from qdrant_edge import EdgeShard, UpdateOperation

FINGERPRINTS = "fingerprints.json"
PATIENCE_SECONDS = 3_600
"""How long a run waits for another one that builds the same collection."""
_log = logging.getLogger(__name__)


class EdgeBuilder:
    """A shard under construction. Its lock is held until `finish`, the end of `with`, or death."""

    def __init__(
        self, workspace: "Workspace", dimensions: int, source: Path | None, target: Path
    ) -> None:
        self._workspace = workspace
        self._dimensions = dimensions
        self._target = target
        self._shard, noted = _shard_for(workspace, dimensions, source)
        self._stored: dict[str, str] = {}
        self._undo_broken_wave()
        self._stored = noted or fingerprints(self._shard)

    def __enter__(self) -> Self:
        """Return the builder itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let the shard and the lock go; an unfinished build stays, to be taken up again."""
        self._shard.close()
        self._workspace.unlock()

    def fingerprints(self) -> dict[str, str]:
        """Point id -> fingerprint of every point already stored."""
        return dict(self._stored)

    def upsert(self, points: Iterable[Point]) -> None:
        """Store one wave of points durably."""
        import qdrant_edge as q

        wave = r.check_wave(points, self._dimensions)
        sparse = r.bm25().embed_document
        stored = [
            q.Point(
                p.point_id,
                {r.DENSE: [float(x) for x in p.vector], r.BM25: sparse(p.sparse_text)},
                r.stored_payload(p),
            )
            for p in wave
        ]
        self._apply(q.UpdateOperation.upsert_points(stored), [p.point_id for p in wave])
        self._stored.update({p.point_id: p.fingerprint for p in wave})

    def delete(self, point_ids: Sequence[str]) -> None:
        """Remove points durably; ids that are not there are passed over."""
        import qdrant_edge as q

        self._apply(q.UpdateOperation.delete_points(list(point_ids)), list(point_ids))
        for point_id in point_ids:
            self._stored.pop(point_id, None)

    def _apply(self, operation: "UpdateOperation", point_ids: list[str]) -> None:
        if not point_ids:
            return
        replace_file(self._workspace.wave, json.dumps(point_ids))
        self._shard.update(operation)
        self._shard.flush()
        self._workspace.wave.unlink()

    def _undo_broken_wave(self) -> None:
        """Delete the points of a wave that a crash cut off: any of them may be half written."""
        try:
            point_ids = json.loads(self._workspace.wave.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return
        self.delete(point_ids)

    def finish(self) -> None:
        """Build the approximate index, then move the shard to the finished ones.

        The engine tidies a shard when it is first opened again. That is done here, before anyone
        reads it, so that readers in several processes change no byte under each other.
        """
        self._shard.optimize()
        self._shard.flush()
        self._shard.close()
        load_shard(self._workspace.shard).close()
        note = {"collection": self._target.name, "points": self._stored}
        (self._workspace.shard / FINGERPRINTS).write_text(json.dumps(note), encoding="utf-8")
        self._workspace.move_to(self._target)


class Workspace:
    """The folder of one build, locked against a second builder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.shard = folder / "shard"
        self.wave = folder / "wave.json"
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self._locked():
            if time.monotonic() > deadline:
                raise RuntimeError(
                    f"collection {folder.name} is being built by another run: wait for it to end"
                )
            time.sleep(0.2)

    def _locked(self) -> bool:
        """Take the lock; not if another run has it, or had it and removed it with the folder."""
        path = self.folder / "lock"
        self.folder.mkdir(parents=True, exist_ok=True)
        with suppress(BlockingIOError, FileNotFoundError):
            self._lock = path.open("w")
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.stat().st_ino == os.fstat(self._lock.fileno()).st_ino:
                return True
        return False

    def unlock(self) -> None:
        """Let others build; calling it again does nothing."""
        self._lock.close()

    def clear(self) -> None:
        """Delete what a build or a drop left in the folder."""
        for left in ("shard", "new", "dropped"):
            shutil.rmtree(self.folder / left, ignore_errors=True)
        self.wave.unlink(missing_ok=True)

    def remove(self) -> None:
        """Delete the folder and let the lock go; who waits for it may hold the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.unlock()

    def move_to(self, target: Path) -> None:
        """Make the shard a finished collection, atomically and durably."""
        _sync(self.shard)
        target.parent.mkdir(parents=True, exist_ok=True)
        self.shard.rename(target)
        fsync(target.parent)
        self.remove()


def _shard_for(
    workspace: Workspace, dimensions: int, source: Path | None
) -> "tuple[EdgeShard, dict[str, str]]":
    """The shard that a crash left behind, or else a new one with the points of `source`.

    With the fingerprints of its points, if they were noted of `source`: to read them from the
    points takes eight times as long.
    """
    if left := _take_up(workspace, dimensions):
        return left, {}
    noted = _begin(workspace, dimensions, source)
    shard = load_shard(workspace.shard)
    return shard, noted if len(noted) == count(shard) else {}


def _take_up(workspace: Workspace, dimensions: int) -> "EdgeShard | None":
    """The shard that a crash left behind, if it can be used."""
    if dimensions_of(workspace.shard) != dimensions:
        return None
    shutil.rmtree(workspace.shard / "temp_segments", ignore_errors=True)  # of a broken optimize()
    try:
        return load_shard(workspace.shard)
    except RuntimeError:
        _log.warning("building %s begins anew: its shard is damaged", workspace.folder.name)
        return None


def _begin(workspace: Workspace, dimensions: int, source: Path | None) -> dict[str, str]:
    """Make a new shard, with the points of `source` if it fits; returns what is noted of them."""
    workspace.clear()
    fresh = workspace.folder / "new"
    noted: dict[str, str] = {}
    if source is None or not _copied(source, fresh, dimensions):
        create_shard(fresh, dimensions)
    else:
        noted = _noted(fresh / FINGERPRINTS, source.name)
    (fresh / FINGERPRINTS).unlink(missing_ok=True)
    _sync(fresh)  # so that what is taken up after a power cut is whole
    fresh.rename(workspace.shard)
    return noted


def _noted(note: Path, collection: str) -> dict[str, str]:
    """Point id -> fingerprint, if the note is of this collection; else nothing.

    One of another collection came with a copy that an earlier version made.
    """
    with suppress(OSError, ValueError, TypeError, KeyError):
        found = json.loads(note.read_text(encoding="utf-8"))
        if found["collection"] == collection:
            return dict(found["points"])
    return {}


def _copied(source: Path, target: Path, dimensions: int) -> bool:
    """Whether there was a collection of these dimensions to copy."""
    with suppress(FileNotFoundError), among_readers_of(source):
        if dimensions_of(source) == dimensions:
            copy_tree(source, target)
            return True
    return False


def _sync(folder: Path) -> None:
    """Make a folder durable with all that is in it."""
    for path in (*folder.rglob("*"), folder):
        fsync(path)
