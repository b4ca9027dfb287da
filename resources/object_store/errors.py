"""What a store's refusal or silence means to the person who set the variables.

Here: one built-in error for each kind of trouble, naming the variables and holding no secret.
Not here: raising it at the right place (clients.py, obstore.py, s3.py).
"""

import errno
import re
from urllib.parse import urlsplit

from resources.settings import redacted

CREDENTIALS = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (with AWS_SESSION_TOKEN where they are "
    "temporary), or AWS_PROFILE",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS",
    "az": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
}
ENDPOINTS = {
    "s3": "AWS_ENDPOINT_URL and AWS_REGION",
    "gs": "GOOGLE_BASE_URL",
    "az": "AZURE_STORAGE_ENDPOINT",
}
CODE = re.compile(r"<Code>(.*?)</Code>|\(code: (\w+)\)$")
"""A call that removes objects succeeds and says of each what became of it: Azure by HTTP status."""
REFUSALS = re.compile(
    "ExpiredToken|InvalidAccessKeyId|SignatureDoesNotMatch|AccessDenied|InvalidToken|Authentication"
    "|^40[13]$"
)
EXPIRED = re.compile("Generic S3 error: Error performing HEAD .* 400 Bad Request")
"""All that S3 says to a HEAD with an expired token."""
ENCRYPTION = re.compile("encrypt|customer.key", re.IGNORECASE)
ADDRESS = re.compile(r"https?://\S+")
NO_BUCKET = re.compile("NoSuchBucket|ContainerNotFound")
TOO_LONG = re.compile("File name too long|KeyTooLong")
SLOW_DOWN, SERVER_ERROR = 429, 500
NOISE = "\n\nDebug source"
"""Where the readable part of obstore's message ends."""


def explained(url: str, error: Exception) -> Exception:
    """The built-in error for one of obstore's; those that a caller acts on stay as they are."""
    from obstore import exceptions as raised

    text = str(error).split(NOISE)[0]
    found = CODE.search(text)
    code = found[1] or found[2] if found else ""
    if NO_BUCKET.search(code):
        return absent(url)
    if TOO_LONG.search(text):
        return unfit(url, "it is too long, or a name between its slashes is over 255 bytes")
    denied = isinstance(error, raised.PermissionDeniedError | raised.UnauthenticatedError)
    if denied or REFUSALS.search(code) or EXPIRED.search(text):
        return refused(url, code or type(error).__name__)
    if url.startswith("s3:") and ENCRYPTION.search(ADDRESS.sub("", text)):
        return unencrypted(url, code)
    if isinstance(error, raised.GenericError) and not url.startswith("file:"):
        return unreachable(url, text)
    full = "No space left on device" in text
    return OSError(errno.ENOSPC, f"{_store(url)}: No space left on device") if full else error


def said(url: str, code: str, status: int) -> Exception:
    """The built-in error for one of AWS's library, by its code and HTTP status."""
    if NO_BUCKET.search(code):
        return absent(url)
    busy = status == SLOW_DOWN or status >= SERVER_ERROR
    return unreachable(url, code) if busy else refused(url, code)


def absent(url: str) -> ValueError:
    """There is no such bucket."""
    return ValueError(f"{_store(url)} has no such bucket: make it, or set LAKELOOM_LAKE")


def unfit(url: str, why: str) -> ValueError:
    """The store cannot hold an object of that key."""
    return ValueError(f"{_store(url)} cannot hold this key: {why}")


def refused(url: str, why: str) -> PermissionError:
    """The store does not take the credentials, or there are none."""
    hint = CREDENTIALS.get(urlsplit(url).scheme, "the permissions of the folder")
    return PermissionError(f"{_store(url)} refuses access ({why}): set {hint}")


def locked(url: str, count: int, code: str) -> PermissionError:
    """The store keeps versions that were to go."""
    return PermissionError(
        f"{_store(url)} keeps {count} versions that were to be removed ({code}): lift the object "
        "lock or legal hold on them, or let the credentials remove versions"
    )


def unencrypted(url: str, code: str) -> ValueError:
    """The store does not encrypt or decrypt as it was told; its own words may show the key."""
    return ValueError(
        f"{_store(url)} does not take the encryption settings{f' ({code})' * bool(code)}: set "
        "AWS_SERVER_SIDE_ENCRYPTION to AES256, to aws:kms with AWS_SSE_KMS_KEY_ID, or to sse-c "
        "with 32 bytes in base64 in AWS_SSE_CUSTOMER_KEY_BASE64"
    )


def unreachable(url: str, why: str) -> ConnectionError:
    """The store does not answer, or not with what was asked for."""
    hint = ENDPOINTS[urlsplit(url).scheme]
    return ConnectionError(f"{_store(url)} does not serve ({hint} say where it is): {why[:500]}")


def _store(url: str) -> str:
    return f"the object store {redacted(url)}"
