"""`lakeloom rollback`: the alias back to the index that was served before."""

from typing import Any

from platform_assets.commands.state import State


def rollback(state: State, corpus: str) -> dict[str, Any]:
    """Switch a corpus to its previous index; a second rollback returns.

    Raises:
        LookupError: no other index was served before.
    """
    served, previous = state.vectors.served(corpus), state.vectors.previous(corpus)
    if served is None or previous is None:
        raise LookupError(f"{corpus} has no earlier index to go back to")
    state.vectors.switch(corpus, previous)
    return {
        "ok": True,
        "corpus": corpus,
        "served": previous.collection,
        "previous": served.collection,
    }
