"""Bucket events: notices that objects of a corpus were added, overwritten or deleted.

Here: the protocol; one file for each system implements it. A notice names a corpus and nothing
else: whoever takes it compares the corpus's listing with what was seen, so notices that are lost,
doubled, late or forged can delay work but never change its outcome.
Not here: what is done about a corpus (sensors/bucket_events.py).
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Batch:
    """Notices that were taken together."""

    corpora: frozenset[str] = frozenset()
    """First-level prefixes of the lake that were named; no promise that they are corpora."""
    receipt: str = ""
    """What acknowledges them."""


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

    def put(self, corpora: Collection[str]) -> None:
        """Keep them; they are on the disk when this returns.

        Raises:
            OSError: they could not be kept.
        """
        ...
