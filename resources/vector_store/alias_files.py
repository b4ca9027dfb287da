"""Aliases for a database that has none: one small file each, replaced atomically.

Here: what an alias points at and pointed at before, and its JSON form.
Not here: whether a collection may be served.
"""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from resources.vector_store import Retriever, Served


@dataclass(frozen=True, slots=True)
class Alias:
    """The two ends of an alias."""

    current: Served | None = None
    previous: Served | None = None

    def switched(self, target: Served) -> "Alias":
        """The alias after a switch.

        A new record of the index that is served already replaces the old one; the way back
        still leads to the other index.
        """
        if self.current and _index(self.current) == _index(target):
            return Alias(target, self.previous)
        return Alias(target, self.current)

    def without(self, name: str) -> "Alias":
        """The alias with nothing where a collection was."""
        ends = (self.current, self.previous)
        return Alias(*(None if end and end.collection == name else end for end in ends))


def to_json(alias: Alias) -> dict[str, Any]:
    """Plain values for a file or a database payload."""
    return asdict(alias)


def from_json(value: dict[str, Any]) -> Alias:
    """The inverse of `to_json`."""
    return Alias(_served(value["current"]), _served(value["previous"]))


def _index(served: Served) -> tuple[str, Retriever]:
    return served.collection, served.retriever


def _served(value: dict[str, str] | None) -> Served | None:
    if value is None:
        return None
    return Served(
        value["collection"], value["encoder"], Retriever(value["retriever"]), value["record"]
    )


class AliasFiles:
    """Aliases as JSON files in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, alias: str) -> Alias:
        """What the alias points at; pointing nowhere if it was never switched."""
        try:
            text = (self._folder / f"{alias}.json").read_text(encoding="utf-8")
        except FileNotFoundError:
            return Alias()
        return from_json(json.loads(text))

    def write(self, alias: str, value: Alias) -> None:
        """Replace the file; readers see the old content or the new, also after a power cut."""
        self._folder.mkdir(parents=True, exist_ok=True)
        replace_file(self._folder / f"{alias}.json", json.dumps(to_json(value), indent=2))


def replace_file(path: Path, text: str) -> None:
    """Write a file durably and atomically."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}~")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    fsync(path.parent)


def fsync(path: Path) -> None:
    """Bring a file, or the names in a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
