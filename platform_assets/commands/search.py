"""`lakeloom search`: hits of the published index."""

from typing import Any

from platform_assets.commands.state import State
from resources.applications.retriever import PublishedRetriever
from resources.encoding import Encoder
from resources.vector_store import Hit, SearchFilter, Served


def retriever_of(state: State, corpus: str) -> PublishedRetriever:
    """The search of a corpus's published index, as applications use it."""

    def load(served: Served) -> Encoder:
        published = state.ledger.get(served.record)
        index = published.upstream[f"vector_index/{corpus}|{served.encoder}"]
        built = state.ledger.get(index.record)
        checkpoint = built.upstream[f"checkpoints/{served.encoder}"]
        return state.checkpoints.load(state.ledger.get(checkpoint.record))

    return PublishedRetriever(state.vectors, corpus, load)


def search(
    state: State, corpus: str, query: str, top: int, where: SearchFilter | None = None
) -> dict[str, Any]:
    """Best hits first.

    Raises:
        LookupError: nothing is published for the corpus.
    """
    retriever = retriever_of(state, corpus)
    hits = retriever.search(query, top, where)
    served = retriever.served
    return {
        "hits": [_plain(hit) for hit in hits],
        "index": {"encoder": served.encoder, "collection": served.collection},
    }


def _plain(hit: Hit) -> dict[str, Any]:
    return {
        "score": hit.score,
        "text": hit.text,
        "key": hit.payload["key"],
        "page": hit.payload["page"],
        "heading": hit.payload["heading"],
        "chunk_id": hit.point_id,
    }
