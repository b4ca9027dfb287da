"""An Iceberg REST catalog: Polaris, Nessie, Lakekeeper, Unity, SeaweedFS and others.

Here: opening one, by OAuth2 client credentials. Where tables lie is the catalog's business; the
variables of their object store are those of the lake. Not here: tables and commits (iceberg.py).
"""

import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from pyiceberg.catalog.rest import RestCatalog
from requests import PreparedRequest, Response, Session
from requests.adapters import HTTPAdapter

from resources.settings import UsageError
from resources.warehouse.catalog_faults import (
    CREDENTIAL,
    NAMESPACE,
    VARIABLE,
    WAREHOUSE,
    patiently,
)
from resources.warehouse.object_io import file_properties

SCOPE = f"{VARIABLE}_SCOPE"
TOKEN_URL = f"{VARIABLE}_TOKEN_URL"
CONNECT_SECONDS, ANSWER_SECONDS = 10, 60


def open_rest_catalog(url: str, env: Mapping[str, str] = os.environ) -> RestCatalog:
    """The catalog at a URL.

    Args:
        url: Its base, before `/v1/`.
        env: Credential, warehouse, scope and token URL, all optional.

    Raises:
        UsageError: the URL holds a secret.
        ConnectionError: the catalog did not answer in time, or has no such warehouse.
        PermissionError: it does not take the credential.
    """
    properties = _properties(url, env)

    def opened() -> RestCatalog:
        catalog = TimedRestCatalog(NAMESPACE, **properties)
        catalog.create_namespace_if_not_exists(NAMESPACE)
        return catalog

    return patiently(opened, properties)


class TimedRestCatalog(RestCatalog):
    """pyiceberg's client, which by itself waits for an answer for ever."""

    def _create_session(self) -> Session:
        session = super()._create_session()
        for scheme in ("http://", "https://"):
            session.mount(scheme, _TimedAdapter())
        return session


class _TimedAdapter(HTTPAdapter):
    def send(self, request: PreparedRequest, *args: Any, **options: Any) -> Response:
        options["timeout"] = options.get("timeout") or (CONNECT_SECONDS, ANSWER_SECONDS)
        return super().send(request, *args, **options)


def _properties(url: str, env: Mapping[str, str]) -> dict[str, str]:
    if "@" in urlsplit(url).netloc:
        raise UsageError(f"{VARIABLE} holds a user or a password: set {CREDENTIAL} instead")
    named = {
        "warehouse": env.get(WAREHOUSE),
        "credential": env.get(CREDENTIAL),
        "scope": env.get(SCOPE),
        "oauth2-server-uri": env.get(TOKEN_URL) or f"{url.rstrip('/')}/v1/oauth/tokens",
    }
    given = {name: value for name, value in named.items() if value}
    return {"uri": url, **given, **file_properties("s3:")}
