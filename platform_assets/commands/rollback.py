"""`lakeloom rollback`: the alias back to an index that was served before."""

from typing import Any

from platform_assets.commands.state import State
from platform_assets.maintenance.restoring import PREVIOUS, published_state
from platform_assets.vector_indexes.parts import is_there
from resources.vector_store import Retriever, Served


def rollback(state: State, corpus: str, to: str | None = None) -> dict[str, Any]:
    """Switch a corpus to its previous index, after which a second rollback returns.

    Args:
        state: What to work on.
        corpus: Which corpus.
        to: A published state instead, by its record's id or first digits.

    Raises:
        LookupError: no other index was served before, or the one asked for is not there.
        UsageError: there is no such state.
    """
    served, target = state.vectors.served(corpus), state.vectors.previous(corpus)
    if to and to != PREVIOUS:
        target = _state(state, corpus, to)
    if served is None or target is None:
        raise LookupError(f"{corpus} has no earlier index to go back to")
    state.vectors.switch(corpus, target)
    return {
        "ok": True,
        "corpus": corpus,
        "served": target.collection,
        "previous": served.collection,
    }


def _state(state: State, corpus: str, to: str) -> Served:
    record = published_state(state.ledger, state.vectors, corpus, to)
    details = record.details
    if not is_there(state.vectors, details["collection"]):
        raise LookupError(
            f"{details['collection']} is not there any more: restore it first with "
            f"`lakeloom materialize --corpus {corpus} --as-of {record.record_id[:12]}`"
        )
    retriever = Retriever(details["retriever"])
    return Served(details["collection"], details["encoder"], retriever, record.record_id)
