"""Reasons fit to be stored: what an error says, without the secrets of this process.

Here: finding them, by the names of environment variables and inside URLs.
Not here: where a reason is stored (tracking/mlflow_runs.py, training/launch.py).
"""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from urllib.parse import unquote, urlsplit

from resources.settings import VARIABLES

_NAMES = re.compile(
    r"(PASSWORD|SECRET|TOKEN|(API|ACCESS|ACCOUNT)_KEY|CREDENTIALS?|CONNECTION_STRING)$",
    re.IGNORECASE,
)
_IN_CONNECTION_STRING = re.compile(r"(?:Key|Signature|Password)=([^;]+)", re.IGNORECASE)
_IN_URL = re.compile(r"(\w://)[^/\s'\"]+@")
_SHORTEST = 4
"""A shorter value is no secret, and part of too many words."""


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
    with suppress(ValueError):  # whoever knows the path of a webhook may post to it
        yield urlsplit(env.get(VARIABLES["notify"], "")).path.strip("/")
