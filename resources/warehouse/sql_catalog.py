"""The Iceberg catalog in a SQL database: SQLite or Postgres.

Here: opening one. Its tables lie in the lake. Not here: tables and commits (iceberg.py).
"""

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from resources.settings import UsageError, installing
from resources.warehouse.catalog_faults import NAMESPACE, VARIABLE, patiently
from resources.warehouse.object_io import file_properties

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog

LOCK_SECONDS = 30
"""How long SQLite waits for another process to end its commit."""


def open_sql_catalog(uri: str, warehouse: str) -> "Catalog":
    """A catalog in a database whose tables lie under the `warehouse` location.

    Args:
        uri: `sqlite:///FILE` or `postgresql+psycopg2://USER:PASSWORD@HOST/DATABASE`.
        warehouse: Location in the lake.

    Raises:
        UsageError: the URL is none, or its driver is not installed.
        ConnectionError: the database did not answer in time.
        PermissionError: it does not take the user or the password.
    """
    from sqlalchemy.exc import ArgumentError, IntegrityError, ProgrammingError
    from tenacity import (
        Retrying,
        retry_if_exception_message,
        retry_if_exception_type,
        stop_after_attempt,
        wait_random,
    )

    from resources.warehouse.knowing_catalog import KnowingCatalog

    if uri.startswith("sqlite:///"):
        with suppress(OSError):  # SQLite says it better
            Path(uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
        uri = f"{uri}?timeout={LOCK_SECONDS}"
    place = {"uri": uri, "warehouse": warehouse, "pool_pre_ping": "true"}
    properties = place | file_properties(warehouse)

    def opened() -> "Catalog":
        catalog = KnowingCatalog(NAMESPACE, **properties)
        catalog.create_namespace_if_not_exists(NAMESPACE)
        return catalog

    # Of several processes that open a new catalog at once, all but one fail to make its tables.
    lost = retry_if_exception_type((IntegrityError, ProgrammingError))
    attempts = Retrying(
        retry=lost | retry_if_exception_message(match=".*already exists"),
        stop=stop_after_attempt(5),
        wait=wait_random(0, 1),
        reraise=True,
    )
    try:
        return patiently(lambda: attempts(opened), properties)
    except (ArgumentError, ModuleNotFoundError) as error:
        raise UsageError(
            f"{VARIABLE} cannot be used ({type(error).__name__}): it is sqlite:///FILE or "
            "postgresql+psycopg2://USER:PASSWORD@HOST/DATABASE, which needs "
            + installing("postgres")
        ) from None
