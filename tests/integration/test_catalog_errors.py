"""What `lakeloom` says of a catalog that cannot be used: one line that names what to set."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import make_url

from platform_assets.cli import main
from tests.catalogs import run_sql
from tests.servers.postgres import folder_of, postgres
from tests.servers.seaweed import ACCESS_KEY, SECRET_KEY, TABLE_BUCKET, Seaweed

SECRET = "planted-s3cret"
Said = Callable[[str], tuple[int, str]]


@pytest.fixture
def said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Said:
    """Exit status and standard error of `lakeloom status` with a catalog and a corpus."""
    monkeypatch.setenv("LAKELOOM_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LAKELOOM_CATALOG_PATIENCE_SECONDS", "0.1")
    (tmp_path / "home" / "lake" / "docs").mkdir(parents=True)
    (tmp_path / "home" / "lake" / "docs" / "a.md").write_text("# A")

    def run(url: str) -> tuple[int, str]:
        monkeypatch.setenv("LAKELOOM_CATALOG", url)
        with pytest.raises(SystemExit) as ended:
            main(["status", "--json"])
        out, err = capsys.readouterr()
        assert not out
        assert SECRET not in err
        assert "LAKELOOM_CATALOG" in err
        return int(ended.value.code or 0), err

    return run


@pytest.mark.parametrize(
    ("url", "status", "why"),
    [
        (f"postgresql+psycopg2://u:{SECRET}@127.0.0.1:1/x", 1, "does not answer"),
        (f"postgresql+psycopg2://u:{SECRET}@127.0.0.1:999999/x", 1, "invalid port"),
        (f"postgresql+asyncpg://u:{SECRET}@127.0.0.1/x", 2, "postgresql+psycopg2://"),
        (f"postgresql+nothing://u:{SECRET}@127.0.0.1/x", 2, "postgresql+psycopg2://"),
        (f"http://u:{SECRET}@127.0.0.1:1", 2, "LAKELOOM_CATALOG_CREDENTIAL"),
        ("http://127.0.0.1:1", 1, "does not answer"),
        (f"mysql://u:{SECRET}@127.0.0.1/x", 2, "begin it with"),
        ("sqlite:////proc/no/catalog.db", 1, "unable to open"),
    ],
)
def test_a_url_that_leads_nowhere(said: Said, url: str, status: int, why: str) -> None:
    ended, err = said(url)
    assert (ended, why in err) == (status, True), err


@pytest.fixture(scope="module")
def guarded() -> Iterator[str]:
    """URL of a real PostgreSQL server that asks one of its users for a password."""
    with postgres() as url:
        rules = folder_of(url) / "pg_hba.conf"
        rules.write_text("local all guarded scram-sha-256\n" + rules.read_text())
        run_sql(url, f"CREATE USER guarded PASSWORD '{SECRET}'")
        run_sql(url, "GRANT ALL ON SCHEMA public TO guarded")
        run_sql(url, "SELECT pg_reload_conf()")
        yield url


@pytest.mark.parametrize(
    ("database", "password", "why"),
    [("postgres", f"not-{SECRET}", "refuses access"), ("nowhere", SECRET, "does not exist")],
)
def test_postgres_refuses(said: Said, guarded: str, database: str, password: str, why: str) -> None:
    url = make_url(guarded).set(username="guarded", password=password, database=database)
    ended, err = said(url.render_as_string(hide_password=False))
    assert (ended, why in err) == (1, True), err


def test_postgres_lets_in_who_knows_the_password(guarded: str, tmp_path: Path) -> None:
    from resources.warehouse.sql_catalog import open_sql_catalog

    url = make_url(guarded).set(username="guarded", password=SECRET)
    catalog = open_sql_catalog(url.render_as_string(hide_password=False), f"file://{tmp_path}")
    assert catalog.list_namespaces() == [("lakeloom",)]


@pytest.mark.parametrize(
    ("variables", "status", "why"),
    [
        ({"CREDENTIAL": f"lakeloom-access:{SECRET}"}, 1, "set LAKELOOM_CATALOG_CREDENTIAL"),
        ({"CREDENTIAL": f"nobody:{SECRET}"}, 1, "set LAKELOOM_CATALOG_CREDENTIAL"),
        ({"CREDENTIAL": ""}, 1, "set LAKELOOM_CATALOG_CREDENTIAL"),
        ({"WAREHOUSE": "nowhere"}, 1, "check LAKELOOM_CATALOG_WAREHOUSE"),
        ({"TOKEN_URL": "http://127.0.0.1:1/tokens"}, 1, "does not answer"),
    ],
    ids=["secret", "client", "no credential", "warehouse", "token url"],
)
def test_rest_refuses(
    said: Said,
    seaweed_server: Seaweed,
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    status: int,
    why: str,
) -> None:
    good = {"CREDENTIAL": f"{ACCESS_KEY}:{SECRET_KEY}", "WAREHOUSE": TABLE_BUCKET}
    for name, value in (good | variables).items():
        monkeypatch.setenv(f"LAKELOOM_CATALOG_{name}", value)
    ended, err = said(seaweed_server.catalog)
    assert (ended, why in err) == (status, True), err
    assert SECRET_KEY not in err
