"""Catalogs for tests: an empty one of each kind, as the variables that name it."""

from collections.abc import Mapping
from uuid import uuid4

import pytest
from sqlalchemy import create_engine, make_url, text

CATALOGS = ("sqlite", "postgres")


def catalog_env(kind: str, request: pytest.FixtureRequest) -> Mapping[str, str]:
    """Variables of an empty catalog; its server is real and runs as long as the session."""
    if kind == "sqlite":
        return {}
    return {"LAKELOOM_CATALOG": new_database(request.getfixturevalue("postgres_url"))}


def new_database(url: str) -> str:
    """URL of a database that was not there before."""
    name = f"catalog_{uuid4().hex}"
    run_sql(url, f"CREATE DATABASE {name}")
    return make_url(url).set(database=name).render_as_string(hide_password=False)


def run_sql(url: str, statement: str) -> None:
    """Run a statement in a database."""
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(statement))
    engine.dispose()
