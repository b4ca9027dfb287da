"""Search by alias on the embedded engine, with a small encoder that counts letters."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest

from resources.applications.retriever import PublishedRetriever
from resources.encoding import Tokenizer, Vectors
from resources.vector_store import Point, Retriever, SearchFilter, Served
from resources.vector_store.qdrant_edge import EdgeStore

LETTERS = "abcdefghijklmnopqrstuvwxyz"


class LetterEncoder:
    """Counts of letters, from `first` on, as a unit vector."""

    digest = "letters"
    dimensions = len(LETTERS)

    def __init__(self, first: int = 0) -> None:
        self._letters = LETTERS[first:] + LETTERS[:first]

    @property
    def tokenizer(self) -> Tokenizer:
        raise NotImplementedError

    def encode(
        self, texts: Sequence[str], progress: Callable[[int], None] | None = None
    ) -> Vectors:
        del progress
        rows = [[text.lower().count(x) + 1e-3 for x in self._letters] for text in texts]
        counts = np.asarray(rows, dtype=np.float32)
        unit: Vectors = counts / np.linalg.norm(counts, axis=1, keepdims=True)
        return unit


class Loader:
    """Loads encoders by the place of their first letter and remembers what was asked for."""

    def __init__(self) -> None:
        self.loaded: list[str] = []

    def __call__(self, served: Served) -> LetterEncoder:
        self.loaded.append(served.record)
        return LetterEncoder(int(served.encoder))


def publish(store: EdgeStore, served: Served, texts: Sequence[str]) -> None:
    encoder = LetterEncoder(int(served.encoder))
    with store.build(served.collection, encoder.dimensions) as builder:
        builder.upsert(
            Point(str(UUID(int=n + 1)), t, row, t, t, {"key": f"{t[0]}/x", "heading": [t]})
            for n, (t, row) in enumerate(zip(texts, encoder.encode(texts).tolist(), strict=True))
        )
        builder.finish()
    store.switch("corpus", served)


@pytest.fixture
def store(tmp_path: Path) -> EdgeStore:
    return EdgeStore(tmp_path)


def test_nothing_published_says_what_to_run(store: EdgeStore) -> None:
    retriever = PublishedRetriever(store, "corpus", Loader())
    with pytest.raises(LookupError, match=r"run `lakeloom materialize --corpus corpus`"):
        retriever.search("anything")


def test_hits_come_by_the_served_encoder(store: EdgeStore) -> None:
    publish(store, Served("one", "0", Retriever.DENSE, "r1"), ["aaab", "zzzy", "mmm"])
    retriever = PublishedRetriever(store, "corpus", Loader())
    assert retriever.search("zzz", top=2)[0].text == "zzzy"
    assert [h.text for h in retriever.search("zzz", 5, SearchFilter(key_prefix="a/"))] == ["aaab"]
    assert retriever.search("  \n") == []


def test_a_published_index_is_followed_and_its_encoder_loaded_once(store: EdgeStore) -> None:
    loader = Loader()
    publish(store, Served("one", "0", Retriever.DENSE, "r1"), ["alpha"])
    retriever = PublishedRetriever(store, "corpus", loader)
    assert [h.text for _ in range(3) for h in retriever.search("alpha")] == ["alpha"] * 3
    publish(store, Served("two", "5", Retriever.HYBRID, "r2"), ["bravo"])
    assert [h.text for _ in range(3) for h in retriever.search("bravo")] == ["bravo"] * 3
    assert retriever.served.collection == "two"
    back = store.previous("corpus")
    assert back is not None
    store.switch("corpus", back)
    assert [h.text for h in retriever.search("alpha")] == ["alpha"]
    assert loader.loaded == ["r1", "r2", "r1"]


def test_bm25_loads_no_encoder(store: EdgeStore) -> None:
    loader = Loader()
    publish(store, Served("one", "0", Retriever.BM25, "r1"), ["red apples", "green pears"])
    hits = PublishedRetriever(store, "corpus", loader).search("apple")
    assert [h.text for h in hits] == ["red apples"]
    assert loader.loaded == []


class Late(EdgeStore):
    """A reader's store: something happens after it looked for a collection, before it loads it."""

    def __init__(self, root: Path, happens: Callable[[], None]) -> None:
        super().__init__(root)
        self._happens = happens

    def _loaded(self, wanted: Any) -> Any:
        self._happens()
        return super()._loaded(wanted)


def test_an_index_dropped_while_it_is_opened_gives_way_to_the_one_published_since(
    store: EdgeStore, tmp_path: Path
) -> None:
    publish(store, Served("one", "0", Retriever.DENSE, "r1"), ["alpha"])

    def publish_anew() -> None:
        if "one" in store.collections():
            publish(store, Served("two", "5", Retriever.DENSE, "r2"), ["alphas"])
            store.drop("one")

    retriever = PublishedRetriever(Late(tmp_path, publish_anew), "corpus", Loader())
    assert [hit.text for hit in retriever.search("alpha")] == ["alphas"]


def test_an_index_dropped_while_it_is_opened_is_not_there(store: EdgeStore, tmp_path: Path) -> None:
    publish(store, Served("one", "0", Retriever.DENSE, "r1"), ["alpha"])
    reader = Late(tmp_path, lambda: store.drop("one"))
    with pytest.raises(LookupError, match="one was dropped while it was opened"):
        PublishedRetriever(reader, "corpus", Loader()).search("alpha")
    with pytest.raises(LookupError, match="there is no finished collection one"):
        reader.open("one")


def publish_and_drop(root: Path, count: int) -> None:
    """Publish one index after another and drop each as soon as the next is published."""
    store = EdgeStore(root)
    for number in range(1, count + 1):
        publish(store, Served(f"n{number}", "0", Retriever.HYBRID, f"r{number}"), ["alpha"])
        store.drop(f"n{number - 1}")


@pytest.mark.slow
def test_searches_hold_and_nothing_dropped_comes_back(store: EdgeStore, tmp_path: Path) -> None:
    """As every `lakeloom search` does, each opens the index that is published."""
    publish(store, Served("n0", "0", Retriever.HYBRID, "r0"), ["alpha"])
    code = f"import {__name__} as t; t.publish_and_drop(t.Path({str(tmp_path)!r}), 25)"
    with subprocess.Popen([sys.executable, "-c", code]) as other:
        while other.poll() is None:
            retriever = PublishedRetriever(EdgeStore(tmp_path), "corpus", Loader())
            assert [hit.text for hit in retriever.search("alpha")] == ["alpha"]
    assert other.returncode == 0
    assert store.collections() == ["n25"]
