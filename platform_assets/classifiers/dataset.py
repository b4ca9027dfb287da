"""What a classifier learns from and is measured on: a row a document.

Here: classes, features and the split. Pure; it knows no Dagster and reads no table.
Not here: training (resources/classifiers), measuring (measures.py).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from platform_assets.queries import split_of

FEWEST = 2
"""Training documents that a class must have to be learned."""


@dataclass(frozen=True, slots=True)
class Documents:
    """Documents with vectors, in the order of their ids."""

    ids: tuple[str, ...]
    labels: tuple[str, ...]
    """Class of each document."""
    features: NDArray[np.float32]
    """(documents, dimensions): mean of the vectors of its chunks."""
    training: NDArray[np.bool_]
    """Whether a document is for training; the others measure."""

    def classes(self) -> tuple[str, ...]:
        """Classes with training documents enough, sorted."""
        counts = Counter(np.array(self.labels, dtype=object)[self.training].tolist())
        return tuple(sorted(name for name, count in counts.items() if count >= FEWEST))

    def chosen(self, classes: Sequence[str]) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        """Features and class numbers of the training documents of some classes."""
        number = {name: place for place, name in enumerate(classes)}
        known = np.array([label in number for label in self.labels], dtype=np.bool_)
        rows = np.flatnonzero(self.training & known)
        labels = np.array([number[self.labels[row]] for row in rows], dtype=np.int32)
        return self.features[rows], labels


def documents(listed: pa.Table, embeddings: pa.Table) -> Documents:
    """Put documents together from the tables.

    Args:
        listed: doc_id, key, media_type; a row a document.
        embeddings: doc_id, vector; a row a chunk.
    """
    means = _means(embeddings)
    rows = sorted(
        (row for row in listed.to_pylist() if row["doc_id"] in means), key=lambda row: row["doc_id"]
    )
    features = [means[row["doc_id"]] for row in rows]
    return Documents(
        tuple(row["doc_id"] for row in rows),
        tuple(label_of(row["key"], row["media_type"]) for row in rows),
        np.array(features, dtype=np.float32) if rows else np.empty((0, 0), np.float32),
        np.array([split_of(row["key"]) == "train" for row in rows], dtype=np.bool_),
    )


def label_of(key: str, media_type: str) -> str:
    """The first folder of a key; the type of the content where it lies in none."""
    folder, slash, _ = key.partition("/")
    return folder if slash else media_type


def _means(embeddings: pa.Table) -> Mapping[str, NDArray[np.float32]]:
    """Mean vector of each document."""
    if not embeddings.num_rows:
        return {}
    ids, numbers = np.unique(
        embeddings.column("doc_id").to_numpy(zero_copy_only=False), return_inverse=True
    )
    column = embeddings.column("vector").combine_chunks()
    vectors = column.flatten().to_numpy(zero_copy_only=False).reshape(embeddings.num_rows, -1)
    order = np.argsort(numbers, kind="stable")
    starts = np.searchsorted(numbers[order], np.arange(len(ids)))
    sums = np.add.reduceat(vectors[order].astype(np.float64), starts, axis=0)
    means = (sums / np.bincount(numbers)[:, None]).astype(np.float32)
    return dict(zip(ids.tolist(), means, strict=True))
