"""Evaluation queries and training pairs of a corpus.

Here: the record of a judged query, its id, and the one rule that parts train from test.
`uploaded.py` reads judgements that lie beside a corpus, `derive.py` makes some where there are
none, `mining.py` turns the training part into training pairs.
Not here: measuring retrieval with them (platform_assets/evaluation).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

Split = Literal["train", "test"]

NEGATIVES = 4
"""Hard negatives that are mined for each training query; a recipe takes the first ones."""


@dataclass(frozen=True, slots=True)
class Query:
    """One query and the documents judged relevant to it."""

    query_id: str
    text: str
    split: Split
    judgements: Mapping[str, int]
    """Document key, relative to the corpus, -> relevance grade; only grades above zero."""
    origin: Literal["uploaded", "derived"]


@dataclass(frozen=True, slots=True)
class QuerySet:
    """The queries of a corpus, and what of the given judgements could not be used."""

    queries: tuple[Query, ...]
    unknown_documents: tuple[str, ...] = ()
    """Judged document ids that name no document of the corpus, sorted."""
    unknown_queries: tuple[str, ...] = ()
    """Judged query ids that have no text, sorted."""
    unjudged: int = 0
    """Query texts with no relevant document in the corpus."""
    fault: str | None = None
    """Why what was uploaded could not be used, or not as it was meant."""


def digest(*parts: str) -> str:
    """sha256 in hexadecimal of some strings; the same on every machine and in every run."""
    return sha256("\0".join(parts).encode()).hexdigest()


def split_of(key: str) -> Split:
    """The part a document belongs to: about half of all documents are for training.

    It depends on the key alone, so adding or removing other documents never moves it.
    """
    return "train" if int(digest(key)[:8], 16) % 2 else "test"


def query_id(key: str, text: str) -> str:
    """Stable id of a query that was made from the document `key`."""
    return digest(key, text)[:16]
