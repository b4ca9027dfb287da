"""What the gate measures of a collection, on a real one and on doubles of it that have a fault.

The engine searches a small collection exactly, so a fault of its approximate index is planted.
"""

from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest

from platform_assets.vector_indexes import measuring
from platform_assets.vector_indexes.measuring import (
    RECALL_FLOOR,
    approximate_recall,
    vector_faults,
)
from resources.encoding import Vectors
from resources.vector_store import Collection, Point
from resources.vector_store.qdrant_edge import EdgeStore
from tests.faulty_vectors import Distorted, Forgetful

DIMENSIONS, POINTS = 16, 40


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    store = EdgeStore(tmp_path_factory.mktemp("index"))
    return built(store, "whole", list(np.random.default_rng(3).normal(size=(POINTS, DIMENSIONS))))


def built(store: EdgeStore, name: str, rows: list[Any]) -> Collection:
    with store.build(name, DIMENSIONS) as builder:
        builder.upsert(
            Point(str(UUID(int=n + 1)), f"{n}", list(row / np.linalg.norm(row)), "", "", {})
            for n, row in enumerate(rows)
        )
        builder.finish()
    return store.open(name)


def test_a_sound_collection_has_full_recall_and_no_fault(collection: Collection) -> None:
    assert approximate_recall(collection) == 1.0
    assert vector_faults(DIMENSIONS, collection) is None


@pytest.mark.parametrize("lost", [1, 4, 10])
def test_recall_is_the_share_of_exact_hits_that_were_found(
    collection: Collection, lost: int
) -> None:
    recall = approximate_recall(Forgetful(collection, lost))
    assert recall == pytest.approx(1 - lost / 10)
    assert recall < RECALL_FLOOR


def test_equal_vectors_are_all_right_answers(tmp_path: Path) -> None:
    row = np.ones(DIMENSIONS)
    collection = built(EdgeStore(tmp_path), "doubled", [row] * 30)
    assert approximate_recall(collection) == 1.0


def test_an_empty_collection_has_nothing_to_find(tmp_path: Path) -> None:
    collection = built(EdgeStore(tmp_path), "empty", [])
    assert approximate_recall(collection) == 1.0
    assert vector_faults(DIMENSIONS, collection) is None


def test_other_dimensions_are_named(collection: Collection) -> None:
    assert vector_faults(DIMENSIONS + 1, collection) == "vectors have 16 dimensions, not 17"


@pytest.mark.parametrize("row", [0, POINTS - 1])
@pytest.mark.parametrize("factor", [0.0, 0.9, 1.1, float("nan")])
def test_one_vector_of_another_length_is_found(
    collection: Collection, row: int, factor: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measuring, "BLOCK", POINTS)

    def distorted(vectors: Vectors) -> Vectors:
        vectors[row] *= factor
        return vectors

    fault = vector_faults(DIMENSIONS, Distorted(collection, distorted))
    assert fault is not None
    assert "not at 1" in fault


def test_every_block_of_vectors_is_looked_at(
    collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measuring, "BLOCK", POINTS - 1)  # the last block is one vector

    def distorted(vectors: Vectors) -> Vectors:
        return vectors * 2 if len(vectors) == 1 else vectors

    assert vector_faults(DIMENSIONS, Distorted(collection, distorted)) is not None
