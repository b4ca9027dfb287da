"""`lakeloom events`: the receiver of the webhook that tells of uploads."""

import os
from collections.abc import Callable
from typing import Any

from platform_assets.commands.state import State

TOKEN_VARIABLE = "LAKELOOM_EVENTS_TOKEN"  # noqa: S105 - a name, no secret


def events(state: State, show: Callable[[str], None]) -> dict[str, Any]:
    """Listen at `LAKELOOM_EVENTS` until stopped; notices wait in a file under LAKELOOM_HOME.

    Raises:
        UsageError: there is nothing to listen at, or no token that callers must show.
    """
    from resources.events.notices import Lake
    from resources.events.receiver import address, receiver, serve
    from resources.registry import connect_notice_queue
    from resources.settings import UsageError, redacted

    host, port = address(state.settings.events)
    if not (token := os.environ.get(TOKEN_VARIABLE)):
        raise UsageError(f"{TOKEN_VARIABLE} is empty: set it to the token that callers show")
    queue = connect_notice_queue(state.settings)
    show(f"listening at http://{host}:{port} for notices of {redacted(state.settings.lake)}")
    serve(receiver(queue, Lake.of(state.settings.lake), token), host, port)
    return {"ok": True, "listened": f"{host}:{port}"}
