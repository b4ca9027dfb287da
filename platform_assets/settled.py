"""Notes about pieces of a partition, which hold until a piece changes.

A piece (a slice of a table, a part of an index) is told by its state: the same state, the same
content. What was found out of a piece is written beside its state, so that whoever comes next looks
only at pieces in another state. A lost note costs a full look, never a wrong answer.
Not here: which slices an asset looks at (slices.py), what is found out.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from platform_assets.provenance import PREFIX, canonical
from resources.object_store import ObjectStore

FORM = "3"
"""Raise it where what is noted or asked of pieces changes: earlier notes count no more."""
Value = dict[str, Any]
"""What was found out of a piece, as JSON holds it."""


@dataclass(frozen=True, slots=True)
class Settled:
    """What is known of some pieces, and which have to be looked at."""

    known: dict[str, Value]
    """Piece -> what was noted of it in its present state."""
    open: tuple[str, ...]
    """The other pieces."""
    _lake: ObjectStore
    _key: str
    _noted: str

    @classmethod
    def read(cls, lake: ObjectStore, name: str, states: Mapping[str, str]) -> "Settled":
        """The note called `name` (`asset/partition`), held against the pieces as they are.

        Args:
            lake: Where notes are.
            name: Of the note.
            states: Piece -> its present state.
        """
        key = f"{PREFIX}/settled/{name}.{FORM}.json"
        try:
            noted = lake.get(key).decode()
        except FileNotFoundError:
            noted = "[]"
        same = {
            piece: value for piece, state, value in json.loads(noted) if states.get(piece) == state
        }
        return cls(same, tuple(piece for piece in states if piece not in same), lake, key, noted)

    def keep(self, states: Mapping[str, str], values: Mapping[str, Value]) -> None:
        """Write the note anew, with the pieces that have a state and a value; not if it is equal.

        Args:
            states: Piece -> the state that its value holds for.
            values: Piece -> what was found out of it.
        """
        pieces = sorted(states.keys() & values)
        now = canonical([(piece, states[piece], values[piece]) for piece in pieces])
        if now != self._noted:
            self._lake.put(self._key, now.encode())

    def forget(self) -> None:
        """Have all pieces looked at the next time, whatever another run noted meanwhile."""
        self._lake.put(self._key, b"[]")
