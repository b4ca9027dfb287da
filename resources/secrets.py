"""Reasons fit to be stored: what an error says, without the secrets of this process.

Here: finding them, by the names of environment variables and inside URLs.
Not here: where a reason is stored (tracking/mlflow_runs.py, training/launch.py).
"""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from urllib.parse import parse_qsl, unquote, urlsplit

from resources.settings import VARIABLES

_NAMES = re.compile(
    r"(PASSWORD|SECRET|TOKEN|(API|ACCESS|ACCOUNT)_KEY|CREDENTIALS?|CONNECTION_STRING)$",
    re.IGNORECASE,
)
_IN_CONNECTION_STRING = re.compile(r"(?:Key|Signature|Password)=([^;]+)", re.IGNORECASE)
_IN_URL = re.compile(r"(\w://)[^/\s'\"]+@")
_SHORTEST = 4
"""A shorter value is no secret, and part of too many words."""
_SHORTEST_OF_WEBHOOK = 16
"""A shorter path or parameter of a webhook is a word, like /lakeloom or mode=json."""


def without_secrets(text: str, env: Mapping[str, str] | None = None) -> str:
    """The text with passwords, tokens and keys replaced by ***."""
    for secret in sorted(_secrets(os.environ if env is None else env), key=len, reverse=True):
        if len(secret) >= _SHORTEST:
            text = text.replace(secret, "***")
    return _IN_URL.sub(r"\1***@", text)


def _secrets(env: Mapping[str, str]) -> Iterator[str]:
    for name, value in env.items():
        if _NAMES.search(name):
            yield from (value, *_IN_CONNECTION_STRING.findall(value))
    for url in (env.get(variable, "") for variable in VARIABLES.values()):
        with suppress(ValueError):  # it is no URL, and its whole error is what will be seen
            if password := urlsplit(url).password:
                yield from (password, unquote(password))
    with suppress(ValueError):
        yield from _of_webhook(env.get(VARIABLES["notify"], ""))


def _of_webhook(url: str) -> Iterator[str]:
    """Whoever knows the path or the query of a webhook may post to it."""
    parts = urlsplit(url)
    yield parts.query
    values = (value for _, value in parse_qsl(parts.query))
    for text in (parts.path.strip("/"), *values):
        if len(text) >= _SHORTEST_OF_WEBHOOK:
            yield text
