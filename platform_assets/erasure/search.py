"""The search: every byte of the places that are ours, raw and decoded.

Here: reading each file, object and collection once, and what is found in which.
Not here: what becomes of a find (cleaning.py), passages (passages.py), file formats (forms.py).
"""

import hashlib
import io
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

from platform_assets.erasure.forms import HEAD, READ_BYTES, blocks, decoded, form_of
from platform_assets.erasure.passages import Passages
from resources.object_store import ObjectStore
from resources.vector_store import Collection as Points
from resources.vector_store import VectorStore

PAGE = 1_000
"""Points read at a time."""


@dataclass(frozen=True, slots=True)
class Sought:
    """What must not be found."""

    passages: Passages
    contents: Collection[str]
    """sha256 of the erased bytes."""
    sizes: Collection[int]
    """Lengths of the erased bytes: only files of such a length are compared by digest."""


@dataclass(frozen=True, slots=True)
class Find:
    """A place that still holds something."""

    place: str
    item: str
    """File, object or collection."""
    form: str
    """`raw`, `same bytes`, or the form it was decoded from."""
    passages: int


@dataclass(slots=True)
class Searched:
    """What was read of one place."""

    place: str
    items: int = 0
    bytes: int = 0
    decoded: int = 0
    """Bytes that came out of compressed files."""
    unreadable: list[str] = field(default_factory=list)
    """Files whose form promised text that could not all be decoded; what could, and their bytes as
    they are, was searched."""
    found: list[Find] = field(default_factory=list)


def search_folder(place: str, root: Path, sought: Sought) -> Searched:
    """Search every file below a folder, or a single file."""
    done = Searched(place)
    for path in _files(root):
        try:
            with path.open("rb") as file:
                _search_file(done, str(path), file, sought)
        except FileNotFoundError:  # a file of a run that is under way
            continue
    return done


def search_contents(
    place: str, contents: Iterable[tuple[str, BinaryIO]], sought: Sought
) -> Searched:
    """Search what is not on this machine: (name, open file) of every object or file."""
    done = Searched(place)
    for name, file in contents:
        with suppress(FileNotFoundError):  # of a run that is under way
            _search_file(done, name, file, sought)
    return done


def objects_of(lake: ObjectStore, cache: Path) -> Iterator[tuple[str, BinaryIO]]:
    """Every object as a file: in the cache, so that one that a crash leaves is searched as well."""
    cache.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=cache) as folder:
        path = Path(folder) / "object"
        for item in lake.objects():
            with suppress(FileNotFoundError):  # of a run that is under way
                lake.download(item.key, path)
                with path.open("rb") as file:
                    yield item.key, file


def search_collections(place: str, vectors: VectorStore, sought: Sought) -> Searched:
    """Search the points of every collection as a reader sees them, since databases compress.

    What is gathered consists of others, which are searched themselves.
    """
    done = Searched(place)
    for name in vectors.collections():
        if vectors.parts(name) != (name,):
            continue
        done.items += 1
        _search(done, name, "points", _texts(vectors.open(name)), sought)
    return done


def _texts(collection: Points) -> Iterator[bytes]:
    ids = collection.ids()
    for start in range(0, len(ids), PAGE):
        for hit in collection.points(ids[start : start + PAGE]):
            heading = hit.payload.get("heading")
            lines = [hit.text, *(heading if isinstance(heading, list) else ())]
            yield "\n".join(lines).encode()


def _search_file(done: Searched, item: str, file: BinaryIO, sought: Sought) -> None:
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    form = form_of(file.read(HEAD))
    file.seek(0)
    done.items += 1
    done.bytes += size
    if size in sought.sizes and _digest(file) in sought.contents:
        done.found.append(Find(done.place, item, "same bytes", 0))
        return
    file.seek(0)
    _search(done, item, "raw", blocks(file), sought)
    if form:
        file.seek(0)
        try:
            _search(done, item, form, decoded(form, file), sought)
        except ValueError:
            done.unreadable.append(item)


def _digest(file: BinaryIO) -> str:
    digest = hashlib.sha256()
    for block in iter(lambda: file.read(READ_BYTES), b""):
        digest.update(block)
    return digest.hexdigest()


def _search(
    done: Searched, item: str, form: str, texts: Iterable[bytes | memoryview], sought: Sought
) -> None:
    """Search texts and enter what was found, also where they break off."""
    length, count = 0, 0
    try:
        for text in texts:
            length += len(text)
            count += len(sought.passages.found(text))
    finally:
        done.decoded += 0 if form == "raw" else length
        if count:
            done.found.append(Find(done.place, item, form, count))


def _files(root: Path) -> Iterator[Path]:
    paths = [root] if root.is_file() else sorted(root.rglob("*"))
    return (path for path in paths if path.is_file() and not path.is_symlink())
