"""A catalog that is down, or refuses: patience with the one, a clear error for the other.

Here: which errors may pass by themselves, calls that are tried again for a while, and the built-in
error that tells a person what to set. No error holds a secret. Not here: the catalogs, one file
each; conflicts between writers (iceberg.py).
"""

import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar
from urllib.parse import unquote, urlsplit

from resources.settings import VARIABLES, UsageError, redacted

NAMESPACE = "lakeloom"
"""Name of the catalog and of the one namespace that holds the tables."""
VARIABLE = VARIABLES["catalog"]
CREDENTIAL = f"{VARIABLE}_CREDENTIAL"
WAREHOUSE = f"{VARIABLE}_WAREHOUSE"
PATIENCE = f"{VARIABLE}_PATIENCE_SECONDS"
PATIENCE_SECONDS = 120
"""How long a call to a catalog that does not answer is tried again."""
_PASSING = re.compile(
    "locked|refused|reset|closed|timed? ?out|starting up|shutting down|too many|connection slots"
    "|accepting|unreachable|terminat|temporary failure",
    re.IGNORECASE,
)
"""What databases say when another attempt may do; they have no code for it when one connects."""
_REFUSING = re.compile(
    "authentication failed|no password|permission denied|AccessDenied|UnrecognizedClient"
    "|InvalidClientToken|SignatureDoesNotMatch|ExpiredToken|Unable to locate credentials",
    re.IGNORECASE,
)

Answer = TypeVar("Answer")
_log = logging.getLogger(__name__)


def patiently(call: Callable[[], Answer], properties: Mapping[str, str]) -> Answer:
    """The answer of a call to a catalog, which is made again while the catalog is down.

    Args:
        call: What to ask; it is safe to ask twice.
        properties: The catalog's own.

    Raises:
        ConnectionError: the catalog did not answer in time.
        PermissionError: it does not take the credentials.
    """
    from tenacity import (
        RetryCallState,
        Retrying,
        retry_if_exception,
        stop_after_delay,
        wait_random_exponential,
    )

    def say(state: RetryCallState) -> None:
        if state.attempt_number == 1:
            _log.warning("%s does not answer and is asked again for a while", VARIABLE)

    attempts = Retrying(
        retry=retry_if_exception(is_passing),
        wait=wait_random_exponential(multiplier=0.2, max=5),
        stop=stop_after_delay(_patience()),
        before_sleep=say,
        reraise=True,
    )
    with clear_errors(properties):
        return attempts(call)


@contextmanager
def clear_errors(properties: Mapping[str, str]) -> Iterator[None]:
    """Turns what a catalog's client raises into one error that says what to set."""
    try:
        yield
    except Exception as error:
        if explained := _explained(error, properties):
            raise explained from None
        raise


def is_passing(error: BaseException) -> bool:
    """Whether a catalog that is down, restarting or overloaded may have caused an error."""
    from botocore.exceptions import HTTPClientError
    from pyiceberg.exceptions import (
        CommitStateUnknownException,
        ServerError,
        ServiceUnavailableError,
        TooManyRequestsError,
    )
    from requests.exceptions import ConnectionError as NoConnectionError
    from requests.exceptions import Timeout
    from sqlalchemy.exc import DBAPIError

    if isinstance(error, DBAPIError):
        return error.connection_invalidated or bool(_PASSING.search(str(error.orig)))
    overloaded = ServerError | ServiceUnavailableError | TooManyRequestsError
    silent = NoConnectionError | Timeout | HTTPClientError | CommitStateUnknownException
    return isinstance(error, overloaded | silent)


def _explained(error: Exception, properties: Mapping[str, str]) -> Exception | None:
    """The built-in error for one of a catalog; None for what is not about the catalog itself."""
    from botocore.exceptions import BotoCoreError, ClientError
    from pyiceberg.exceptions import NoSuchNamespaceError, RESTError
    from sqlalchemy.exc import DBAPIError

    theirs = DBAPIError | RESTError | NoSuchNamespaceError | BotoCoreError | ClientError
    if not isinstance(error, theirs | OSError):
        return None
    told = f"the catalog {VARIABLE}={redacted(properties['uri'])}"
    why = _scrubbed(error, properties)
    if is_passing(error):
        return ConnectionError(f"{told} does not answer: {why}")
    if isinstance(error, OSError):
        return None
    if hint := _hint(error):
        return PermissionError(f"{told} refuses access ({why}): set {hint}")
    place = f"; check {WAREHOUSE}" if urlsplit(properties["uri"]).scheme.startswith("http") else ""
    return ConnectionError(f"{told} does not serve: {why}{place}")


def _hint(error: Exception) -> str | None:
    """What to set where a catalog does not take the credentials."""
    from botocore.exceptions import ClientError, NoCredentialsError
    from pyiceberg.exceptions import ForbiddenError, OAuthError, UnauthorizedError
    from sqlalchemy.exc import DBAPIError

    if isinstance(error, OAuthError | UnauthorizedError | ForbiddenError):
        return f"{CREDENTIAL} to CLIENT:SECRET"
    if isinstance(error, DBAPIError) and _REFUSING.search(str(error.orig)):
        return f"{VARIABLE} to a URL with the right user and password"
    if isinstance(error, ClientError | NoCredentialsError) and _REFUSING.search(str(error)):
        return "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
    return None


def _scrubbed(error: Exception, properties: Mapping[str, str]) -> str:
    """The first line of what a client says, without the secrets it was given."""
    text = str(getattr(error, "orig", None) or error).strip().split("\n")[0][:500]
    credential = properties.get("credential", "")
    password = urlsplit(properties["uri"]).password or ""
    for secret in filter(None, (credential, credential.partition(":")[2], password)):
        for spelling in (secret, unquote(secret)):
            text = text.replace(spelling, "***")
    return text


def _patience() -> float:
    text = os.environ.get(PATIENCE) or str(PATIENCE_SECONDS)
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"{PATIENCE}={text!r} is no number of seconds") from None
