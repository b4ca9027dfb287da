"""Reasons fit to be stored: what an error says, without the secrets of this process.

Here: finding them, by the names of environment variables and inside URLs.
Not here: where a reason is stored (mlflow_runs.py).
"""

import os
import re
from collections.abc import Iterator, Mapping
from urllib.parse import unquote, urlsplit

from resources.settings import VARIABLES

_NAMES = re.compile(
    r"(PASSWORD|SECRET|TOKEN|(API|ACCESS|ACCOUNT)_KEY|CREDENTIALS?)$", re.IGNORECASE
)
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
    yield from (value for name, value in env.items() if _NAMES.search(name))
    for url in (env.get(variable, "") for variable in VARIABLES.values()):
        if password := urlsplit(url).password:
            yield from (password, unquote(password))
