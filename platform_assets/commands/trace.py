"""`lakeloom trace`: the provenance chain of the published index, every link verified."""

from dataclasses import asdict
from typing import Any

from platform_assets.commands.state import State
from platform_assets.tracing import Tracer


def trace(state: State, corpus: str) -> dict[str, Any]:
    """The chain from the alias down to the objects, and whether each link holds.

    Raises:
        LookupError: nothing is published for the corpus.
    """
    tracer = Tracer(state.lake, state.warehouse, state.vectors, state.checkpoints)
    links = tracer.trace(corpus)
    return {"ok": all(link.ok for link in links), "links": [asdict(link) for link in links]}
