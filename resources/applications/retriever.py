"""Search of whatever index is published for a corpus.

Here: following the alias, opening the collection and loading the encoder it was built with.
Not here: protocols for other programs (their own files beside this one), publishing.
"""

from collections.abc import Callable
from dataclasses import dataclass

from resources.encoding import Encoder
from resources.vector_store import (
    Collection,
    Hit,
    Retriever,
    SearchFilter,
    SearchRequest,
    Served,
    VectorStore,
)


@dataclass(frozen=True, slots=True)
class _Index:
    served: Served
    collection: Collection
    encoder: Encoder | None


class PublishedRetriever:
    """Searches the published index of one corpus and follows it when it is published anew.

    Args:
        store: The vector database.
        corpus: Name of the corpus, which is the alias of its published index.
        load_encoder: Loads the encoder that the served index was built with, which need not be
            the newest of its name; called when the alias has moved, never for BM25.
    """

    def __init__(
        self, store: VectorStore, corpus: str, load_encoder: Callable[[Served], Encoder]
    ) -> None:
        self._store = store
        self._corpus = corpus
        self._load_encoder = load_encoder
        self._index: _Index | None = None

    @property
    def served(self) -> Served:
        """What is published now.

        Raises:
            LookupError: nothing is.
        """
        served = self._store.served(self._corpus)
        if served is None:
            raise LookupError(
                f"corpus {self._corpus} has no published index: "
                f"run `lakeloom materialize --corpus {self._corpus}`"
            )
        return served

    def search(self, query: str, top: int = 10, where: SearchFilter | None = None) -> list[Hit]:
        """Best hits first, by the published encoder and retriever; none for a blank query.

        Raises:
            LookupError: nothing is published for the corpus.
        """
        index = self._current()
        if not query.strip():
            return []
        vector = None if index.encoder is None else index.encoder.encode([query])[0].tolist()
        return index.collection.search(
            SearchRequest(vector, query, index.served.retriever, top, where)
        )

    def _current(self) -> _Index:
        """What is published, open; if it is dropped while it is opened, what is published then."""
        served = self.served
        try:
            self._index = self._opened(served)
        except LookupError:
            if self.served == served:
                raise
            self._index = self._opened(self.served)
        return self._index

    def _opened(self, served: Served) -> _Index:
        if self._index and self._index.served == served:
            return self._index
        collection = self._store.open(served.collection)
        bm25 = served.retriever is Retriever.BM25
        return _Index(served, collection, None if bm25 else self._load_encoder(served))
