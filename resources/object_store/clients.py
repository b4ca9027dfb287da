"""obstore's clients by URL, as each system's standard variables configure them.

Here: opening a client, for the lake's objects and for the files of its tables alike, so that
credentials, encryption and patience are the same for both; and errors that say what to set.
Not here: reading and writing (obstore.py, resources/warehouse/object_io.py).
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote, urlsplit

from resources.object_store.errors import explained, refused
from resources.settings import UsageError

if TYPE_CHECKING:
    import obstore.store
    from tenacity import AttemptManager, Retrying

T = TypeVar("T")

PATIENCE = "LAKELOOM_LAKE_PATIENCE_SECONDS"
PATIENCE_SECONDS = 60
"""How long a call that fails is tried again; a request's signature is good for five minutes."""
LONGEST_PAUSE = timedelta(seconds=5)
OURS = ("AWS_", "AZURE_", "GOOGLE_", PATIENCE)
"""Beginnings of the variables that decide on a client."""
S3_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
OTHER_ENDPOINTS = ("AZURE_STORAGE_ENDPOINT", "GOOGLE_BASE_URL")


def open_client(url: str) -> "obstore.store.ObjectStore":
    """The client of a bucket, or of a folder within one."""
    parts = urlsplit(url)
    if parts.scheme == "file":
        from obstore.store import LocalStore

        folder = Path(unquote(parts.path))
        folder.mkdir(parents=True, exist_ok=True)
        return LocalStore(folder)
    decisive = {name: value for name, value in os.environ.items() if name.startswith(OURS)}
    return _remote(url, tuple(sorted(decisive.items())))


@lru_cache(maxsize=16)
def _remote(url: str, variables: tuple[tuple[str, str], ...]) -> "obstore.store.ObjectStore":
    """One client for each bucket and environment: it keeps connections open."""
    from obstore.store import from_url

    env = dict(variables)
    # Whoever sets an endpoint of http:// chose to do without TLS.
    plain = any(env.get(name, "").startswith("http:") for name in (*S3_ENDPOINTS, *OTHER_ENDPOINTS))
    with clear_errors(url):
        return from_url(
            url,
            retry_config={
                "retry_timeout": timedelta(seconds=_patience(env)),
                "max_retries": 1000,  # time is what bounds them
                "backoff": {"max_backoff": LONGEST_PAUSE},
            },
            client_options={"allow_http": plain},
            **(_s3_credentials(url, env) if url.startswith("s3:") else {}),
        )


def s3_place(env: Mapping[str, str] = os.environ) -> tuple[str | None, str | None]:
    """Endpoint and region, for libraries of AWS that read only some of these variables."""
    endpoint = next((env[name] for name in S3_ENDPOINTS if env.get(name)), None)
    return endpoint, env.get("AWS_REGION") or env.get("AWS_DEFAULT_REGION") or None


def _patience(env: Mapping[str, str]) -> float:
    text = env.get(PATIENCE) or str(PATIENCE_SECONDS)
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"{PATIENCE}={text!r} is no number of seconds") from None


def _s3_credentials(url: str, env: Mapping[str, str]) -> dict[str, Any]:
    """Profiles, roles and single sign-on are left to AWS's library; plain keys need no import."""
    keys = env.get("AWS_ACCESS_KEY_ID") and not env.get("AWS_PROFILE")
    if keys or env.get("AWS_SKIP_SIGNATURE"):
        return {}
    import boto3
    from botocore.exceptions import BotoCoreError
    from obstore.auth.boto3 import Boto3CredentialProvider

    try:
        session = boto3.Session(region_name=s3_place(env)[1])
        # AWS's library renews what has less than ten minutes to go.
        provider = Boto3CredentialProvider(session, ttl=timedelta(minutes=5))
    except (BotoCoreError, ValueError) as error:
        raise refused(url, str(error)) from None
    return {"credential_provider": provider}


def attempts() -> "Retrying":
    """Attempts at what may be done twice, while the store does not answer and patience lasts.

    obstore tries again by itself, but not where an answer broke off or a write's fate is unknown.
    """
    from tenacity import (
        Retrying,
        retry_if_exception_type,
        stop_after_delay,
        wait_random_exponential,
    )

    return Retrying(
        retry=retry_if_exception_type(ConnectionError),
        wait=wait_random_exponential(multiplier=0.1, max=LONGEST_PAUSE.total_seconds()),
        stop=stop_after_delay(_patience(os.environ)),
        reraise=True,
    )


def be_patient_anew(attempt: "AttemptManager") -> None:
    """Let patience begin now: there was progress, so this is no longer what was waited for."""
    attempt.retry_state.start_time = time.monotonic()
    attempt.retry_state.attempt_number = 1


def served(url: str, act: Callable[[], T]) -> T:
    """What `act` returns, which may be done twice; with clear errors."""

    def once() -> T:
        with clear_errors(url):
            return act()

    return attempts()(once)


@contextmanager
def clear_errors(url: str) -> Iterator[None]:
    """Turns what a client raises into one error that says what to set."""
    from obstore.exceptions import BaseError

    try:
        yield
    except (BaseError, FileNotFoundError) as error:
        raise explained(url, error) from None
