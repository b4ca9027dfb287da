"""`lakeloom materialize --as-of`: which past published state is to be restored."""

from dataclasses import replace

from platform_assets.commands.materialize import RESTORED, Request
from platform_assets.commands.state import State
from platform_assets.maintenance.restoring import published_state
from resources.settings import UsageError


def as_of(state: State, request: Request, wanted: str) -> Request:
    """The request that restores the index of a published state.

    Raises:
        UsageError: there is no such state, or something else is asked for as well.
    """
    if request.select or len(request.corpora) != 1:
        raise UsageError("--as-of restores the index of one corpus: give one --corpus, no --select")
    published = published_state(state.ledger, state.vectors, request.corpora[0], wanted)
    return replace(request, select=f"key:{RESTORED}", as_of=published.record_id)
