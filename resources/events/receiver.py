"""The webhook's receiver: a small ASGI app that MinIO and SeaweedFS call.

Here: who may call, what is too large, and the answer, which is 200 only once a notice is on the
disk. Not here: the shapes of notifications (notices.py), the queue (webhook.py).
"""

import hmac
import logging
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from resources.events import NoticeQueue
from resources.events.notices import Lake
from resources.settings import UsageError, redacted

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

logger = logging.getLogger(__name__)

MOST_BYTES = 1024 * 1024
"""Of a body. Notifications of one event have a few kilobytes, S3's largest 256."""


def receiver(queue: NoticeQueue, lake: Lake, token: str) -> "Starlette":
    """The app: notifications are posted to any path, `GET /health` says that it runs.

    Args:
        queue: Where notices go before they are answered.
        lake: Whose notices count; others are answered and dropped.
        token: What callers have to show as `Authorization: Bearer TOKEN`.
    """
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    async def take(request: "Request") -> "Response":
        if not _may_call(request, token):
            return PlainTextResponse("wrong token", 401, {"WWW-Authenticate": "Bearer"})
        if (body := await _body(request)) is None:
            return PlainTextResponse(f"more than {MOST_BYTES} bytes", 413, {"Connection": "close"})
        try:
            names = lake.names(body)
            await run_in_threadpool(queue.put, names)
        except ValueError as error:
            return PlainTextResponse(str(error), 400)
        except OSError as error:
            logger.warning("a notice is refused, its sender may try again: %s", error)
            return PlainTextResponse("the queue cannot be written", 503, {"Retry-After": "5"})
        return PlainTextResponse("kept" if names else "not about a corpus")

    async def health(_: "Request") -> "Response":
        return PlainTextResponse("ok")

    return Starlette(
        routes=[
            Route("/health", health, methods=["GET"]),
            Route("/{path:path}", take, methods=["POST"]),
        ]
    )


def _may_call(request: "Request", token: str) -> bool:
    scheme, _, shown = request.headers.get("authorization", "").partition(" ")
    same = hmac.compare_digest(shown.strip().encode(), token.encode())  # takes equally long always
    return same and scheme.lower() == "bearer"


async def _body(request: "Request") -> bytes | None:
    """The body; None if it is too large, of which no more than the limit is held."""
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > MOST_BYTES:
        return None
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MOST_BYTES:
            return None
    return bytes(body)


def address(url: str) -> tuple[str, int]:
    """Host and port of `webhook://HOST:PORT`.

    Raises:
        UsageError: it is no such URL.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not url.startswith("webhook://") or not host or not port:
        raise UsageError(f"LAKELOOM_EVENTS={redacted(url)!r}: set webhook://HOST:PORT")
    return host, port


def serve(app: "Starlette", host: str, port: int) -> None:
    """Answer calls until the process is asked to end."""
    import uvicorn

    uvicorn.run(app, host=host, port=port, log_level="warning", access_log=False)
