"""Catalogs for tests: an empty one of each kind, as the variables that name it and its lake."""

from collections.abc import Mapping
from uuid import uuid4

import pytest
from sqlalchemy import create_engine, make_url, text

from tests.servers.seaweed import ACCESS_KEY, BUCKET, SECRET_KEY, TABLE_BUCKET, Seaweed

PASSWORD = "planted-catalog-password"
CATALOGS = ("sqlite", "postgres", "rest")


def catalog_env(kind: str, request: pytest.FixtureRequest) -> Mapping[str, str]:
    """SQLite on a folder, Postgres on S3 or REST on S3; servers are real, and the session's own."""
    if kind == "sqlite":
        return {}
    server: Seaweed = request.getfixturevalue("seaweed_server")
    lake = {**server.env, "LAKELOOM_LAKE": f"s3://{BUCKET}/{uuid4().hex}"}
    if kind == "rest":
        return lake | rest_env(server)
    return lake | {"LAKELOOM_CATALOG": new_database(request.getfixturevalue("postgres_url"))}


def rest_env(server: Seaweed) -> dict[str, str]:
    """Variables of a server's REST catalog, without the tables that earlier tests left."""
    from resources.warehouse.rest_catalog import open_rest_catalog

    env = {
        "LAKELOOM_CATALOG": server.catalog,
        "LAKELOOM_CATALOG_WAREHOUSE": TABLE_BUCKET,
        "LAKELOOM_CATALOG_CREDENTIAL": f"{ACCESS_KEY}:{SECRET_KEY}",
    }
    catalog = open_rest_catalog(server.catalog, env)
    for name in catalog.list_tables("lakeloom"):
        catalog.drop_table(name)
    return env


def new_database(url: str) -> str:
    """URL of a database that was not there before."""
    name = f"catalog_{uuid4().hex}"
    run_sql(url, f"CREATE DATABASE {name}")
    made = make_url(url).set(database=name, password=PASSWORD)
    return made.render_as_string(hide_password=False)


def run_sql(url: str, statement: str) -> None:
    """Run a statement in a database."""
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(statement))
    engine.dispose()
