"""News by webhook: JSON of our own shape, or Slack's.

Here: the bodies, and delivery with a bounded number of attempts. A webhook's address is a secret
in itself, so errors name its host alone.
Not here: a queue; what cannot be delivered in time is lost here and still stands in the UI and in
the metrics.
"""

import http.client
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import asdict
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from resources.notifications import Failure
from resources.settings import UsageError

TOKEN_VARIABLE = "LAKELOOM_NOTIFY_TOKEN"  # noqa: S105 - a name, no secret
ATTEMPTS = 3
TIMEOUT_SECONDS = 5.0
PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 5.0
"""All attempts together take at most 25 seconds, less than Dagster gives a sensor (60)."""
_AGAIN = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.REQUEST_TIMEOUT)

Body = Callable[[Failure], dict[str, Any]]


def plain(failure: Failure) -> dict[str, Any]:
    """The failure as it is, with `event` to tell it from what may come later."""
    return {"event": "run_failed", **asdict(failure)}


def slack(failure: Failure) -> dict[str, Any]:
    """Slack's incoming webhook: a line for notifications, and blocks for the channel."""
    what = ", ".join(failure.steps) or failure.job
    title = f"Failed: {what}" + (f" [{failure.partition}]" if failure.partition else "")
    run = f"<{failure.link}|{failure.run_id[:8]}>" if failure.link else failure.run_id[:8]
    return {
        "text": title,
        "blocks": [
            {"type": "header", "text": {"type": "plain_text", "text": title[:150]}},
            {
                "type": "section",
                "text": {"type": "mrkdwn", "text": f"```{_escaped(failure.reason)}```"},
            },
            {"type": "context", "elements": [{"type": "mrkdwn", "text": f"run {run}"}]},
        ],
    }


class Webhook:
    """Posts news to a URL."""

    def __init__(self, url: str, body: Body, pause_seconds: float = PAUSE_SECONDS) -> None:
        """Check the address.

        Raises:
            UsageError: it is none.
        """
        host = _host(url)
        if host is None:
            raise UsageError(
                "LAKELOOM_NOTIFY is no webhook's address: set https://HOST/PATH or "
                "slack+https://HOST/PATH, without spaces, user and password; all but ASCII is "
                "percent-encoded"
            )
        self._url, self._host, self._body = url, host, body
        self._pause = pause_seconds

    def tell(self, failure: Failure) -> None:
        """See `Notifier`."""
        data = json.dumps(self._body(failure)).encode()
        for attempt in range(1, ATTEMPTS + 1):
            fault, pause, again = self._post(data)
            if fault is None:
                return
            if not again or attempt == ATTEMPTS:
                raise RuntimeError(
                    f"{self._host} did not take a notice ({attempt} attempts): {fault}; "
                    "see to LAKELOOM_NOTIFY"
                )
            time.sleep(min(pause or self._pause * 2 ** (attempt - 1), LONGEST_PAUSE_SECONDS))

    def _post(self, data: bytes) -> tuple[str | None, float, bool]:
        """Fault, seconds that the receiver asks to wait, and whether trying again may help."""
        request = urllib.request.Request(self._url, data, {"Content-Type": "application/json"})  # noqa: S310 - checked above
        if token := os.environ.get(TOKEN_VARIABLE):
            request.add_header("Authorization", f"Bearer {token}")
        try:
            with _OPENER.open(request, timeout=TIMEOUT_SECONDS):
                return None, 0.0, False
        except urllib.error.HTTPError as error:
            asked = error.headers.get("Retry-After", "")
            again = error.code in _AGAIN or error.code >= HTTPStatus.INTERNAL_SERVER_ERROR
            return f"status {error.code}", float(asked) if asked.isdecimal() else 0.0, again
        except (
            OSError,
            ValueError,
            http.client.HTTPException,
        ) as error:  # the message may hold the address
            return type(error).__name__, 0.0, True


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect is an answer like others: the token goes nowhere else."""

    def redirect_request(self, *_: Any) -> None:
        """Follow nothing."""


_OPENER = urllib.request.build_opener(_NoRedirect)


def _host(url: str) -> str | None:
    """Whom an address names; None if nothing can be posted to it."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:  # its message may hold the address
        return None
    fit = url.isprintable() and " " not in url and (parts.path + parts.query).isascii()
    known = parts.scheme in ("http", "https") and "@" not in parts.netloc
    return parts.hostname if fit and known else None


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
