"""`lakeloom ingest`: a folder into the lake as a corpus; only what differs is copied."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from platform_assets.commands.state import State, open_instance, register
from platform_assets.erasure.tombstones import MESSAGE, Refusals, refusals
from platform_assets.partitions import check_corpus_name
from platform_assets.raw_objects.table import document_id
from resources.digests import sha256_file
from resources.settings import UsageError


def ingest(state: State, folder: Path, corpus: str, *, mirror: bool) -> dict[str, Any]:
    """Copy new and changed files; with `mirror`, remove objects that are no file of the folder.

    Hidden files and folders stay out.

    Raises:
        UsageError: the folder is none, is empty, or the name cannot be a corpus's.
    """
    check_corpus_name(corpus)
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder: name one that holds your documents")
    files = {path.relative_to(folder).as_posix(): path for path in _files(folder)}
    if not files and not mirror:
        raise UsageError(f"{folder} holds no files")
    prefix = f"{corpus}/"
    there = {item.key.removeprefix(prefix): item.size for item in state.lake.objects(prefix)}
    copied = [
        key
        for key, path in sorted(files.items())
        if there.get(key) != path.stat().st_size or not _same(state, prefix + key, path)
    ]
    erased = refusals(state.lake, corpus)
    refused = {key: MESSAGE for key in copied if _is_erased(corpus, key, files[key], erased)}
    welcome = (key for key in copied if key not in refused)
    refused |= {key: why for key in welcome if (why := _refused(state, prefix + key, files[key]))}
    removed = sorted(there.keys() - files.keys()) if mirror else []
    for key in removed:
        state.lake.delete(prefix + key)
    register(open_instance(state.settings), [corpus])
    return {
        "ok": not refused,
        "corpus": corpus,
        "files": len(files),
        "copied": len(copied) - len(refused),
        "removed": len(removed),
        "refused": {_readable(key): why for key, why in refused.items()},
    }


def _refused(state: State, key: str, path: Path) -> str | None:
    """Copy a file; why the store would not take it, such as a key it cannot hold."""
    if not _is_text(key):
        return "its name is not UTF-8 text"
    try:
        state.lake.put(key, path)
    except Exception as error:  # noqa: BLE001 - stores raise errors of their own
        return f"{type(error).__name__}: {error}"
    return None


def _is_erased(corpus: str, key: str, path: Path, erased: Refusals) -> bool:
    """Whether a tombstone keeps a file out, by its key or its bytes."""
    known = bool(erased.documents) and _is_text(key)
    return known and erased.cover(document_id(corpus, key), sha256_file(path))


def _is_text(name: str) -> bool:
    """Whether a file's name is UTF-8; Python holds other bytes as lone surrogates."""
    return _readable(name) == name


def _readable(name: str) -> str:
    return name.encode(errors="surrogateescape").decode(errors="backslashreplace")


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.is_file() and not hidden:
            yield path


def _same(state: State, key: str, path: Path) -> bool:
    return sha256_file(path) == state.lake.sha256(key)
