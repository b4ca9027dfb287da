"""Bucket events: notices that objects of a corpus were added, overwritten or deleted.

Here: the protocol; one file for each system implements it. A notice says where to look and nothing
else: whoever takes it asks the store, so notices that are lost, doubled, late or forged can delay
work but never change its outcome.
Not here: what is done about a name (sensors/bucket_events.py).
"""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Protocol

MOST_KEYS = 100
"""Objects of a corpus that are named one by one. Of more, a listing of a few pages says more."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Notices that were taken together."""

    names: frozenset[str] = frozenset()
    """What was named, no promise that it is there: objects, `corpus/key`, or all of a `corpus/`."""
    receipt: str = ""
    """What acknowledges them."""


def by_corpus(names: Iterable[str]) -> dict[str, frozenset[str]]:
    """Corpus -> keys within it; none where all of it was named, or more than `MOST_KEYS`."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for name in names:
        corpus, _, key = name.partition("/")
        found[corpus].add(key)
    return {
        corpus: frozenset() if "" in keys or len(keys) > MOST_KEYS else frozenset(keys)
        for corpus, keys in found.items()
    }


def names_of(corpus: str, keys: Iterable[str]) -> list[str]:
    """The opposite of `by_corpus`."""
    return [f"{corpus}/{key}" for key in keys] or [f"{corpus}/"]


class BucketEvents(Protocol):
    """A queue of notices. What is not acknowledged is handed out again."""

    def receive(self) -> Batch:
        """Notices that wait, a bounded number of them; an empty batch if there are none."""
        ...

    def acknowledge(self, receipt: str) -> None:
        """Forget the notices of a batch.

        Nothing happens for a receipt that is not known, or no more: its notices come back, or
        went before.
        """
        ...


class NoticeQueue(Protocol):
    """Where a receiver keeps notices."""

    def put(self, names: Collection[str]) -> None:
        """Keep them; they are on the disk when this returns.

        Raises:
            OSError: they could not be kept.
        """
        ...
