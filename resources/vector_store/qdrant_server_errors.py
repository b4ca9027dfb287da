"""A Qdrant server that is down, or refuses: one error that says what to set.

Here: the client's errors turned into built-in ones that hold no secret. Not here: the calls.
"""

from functools import wraps
from typing import Any

from resources.settings import VARIABLES, redacted

VARIABLE = VARIABLES["vectors"]
KEY = f"{VARIABLE}_API_KEY"
REFUSALS = (401, 403)


class ClearErrors:
    """A client whose calls raise ConnectionError or PermissionError where the server is at fault.

    Args:
        client: A `QdrantClient`.
        url: Where it connects to, for the message.
    """

    def __init__(self, client: Any, url: str) -> None:
        self._client, self._url = client, url

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._client, name)
        if not callable(found):
            return found

        @wraps(found)
        def call(*args: Any, **options: Any) -> Any:
            try:
                return found(*args, **options)
            except Exception as error:
                if explained := _explained(error, self._url):
                    raise explained from None
                raise

        return call


def _explained(error: Exception, url: str) -> Exception | None:
    from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

    told = f"the vector database {VARIABLE}={redacted(url)}"
    if isinstance(error, ResponseHandlingException):
        return ConnectionError(f"{told} does not answer: {error}")
    if not isinstance(error, UnexpectedResponse):
        return None
    why = f"{error.status_code} {error.reason_phrase}"
    if error.status_code in REFUSALS:
        return PermissionError(f"{told} refuses access ({why}): set {KEY}")
    said = error.content.decode(errors="replace")[:300]
    return ConnectionError(f"{told} does not serve: {why} {said}".rstrip())
