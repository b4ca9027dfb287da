"""What goes wrong at a Hugging Face hub, in words that say what to do.

Not here: the calls themselves (huggingface.py).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from json import JSONDecodeError
from typing import TYPE_CHECKING

from resources.settings import UsageError

if TYPE_CHECKING:
    from huggingface_hub.errors import HfHubHTTPError

REFUSED = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}


@contextmanager
def explained(what: str, hub: str) -> Iterator[None]:
    """Raise the client's errors as ours, without what they hold of the request.

    Args:
        what: The model that is asked for.
        hub: Its endpoint.

    Raises:
        UsageError: `what` can be no repository.
        LookupError: the hub has no such model or commit.
        PermissionError: the hub refuses the token, or wants one.
        ConnectionError: the hub does not answer, or not as a hub does.
    """
    from httpx2 import HTTPError
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        yield
    except HFValidationError as error:
        raise UsageError(f"{what!r} is no repository's name: {error}") from None
    except (HTTPError, ConnectionError, JSONDecodeError) as error:
        raise _ours(error, what, hub) from None
    except (LocalEntryNotFoundError, RuntimeError) as error:  # a download without an answer, or
        raise _ours(error.__cause__ or error, what, hub) from None  # an upload that failed


def _ours(error: BaseException, what: str, hub: str) -> Exception:
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    if isinstance(error, HfHubHTTPError):
        return _refusal(error, what, hub)
    if isinstance(error, OfflineModeIsEnabled):
        return ConnectionError(f"{what} is asked of {hub}, and HF_HUB_OFFLINE is set: unset it")
    return ConnectionError(
        f"the model hub {hub} does not answer as one ({type(error).__name__}): set LAKELOOM_HUB or "
        "HF_ENDPOINT to a hub that does"
    )


def _refusal(error: "HfHubHTTPError", what: str, hub: str) -> Exception:
    from huggingface_hub.errors import (
        GatedRepoError,
        RemoteEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    if isinstance(error, GatedRepoError):
        return PermissionError(
            f"{what} is gated at {hub}: accept its terms there, and set HF_TOKEN to a token of "
            "the account that did"
        )
    if isinstance(error, RepositoryNotFoundError):
        return LookupError(
            f"{hub} has no {what}, or shows it only to some: set HF_TOKEN to a token that may "
            "read it"
        )
    if isinstance(error, RevisionNotFoundError | RemoteEntryNotFoundError):
        return LookupError(f"{hub} has no {what}: is the commit right?")
    status = error.response.status_code
    if status in REFUSED:
        return PermissionError(
            f"{hub} refuses the token for {what}: HF_TOKEN is missing, wrong, expired or lacks "
            "the right"
        )
    return ConnectionError(f"{hub} answered {status} when asked for {what}: try again later")
