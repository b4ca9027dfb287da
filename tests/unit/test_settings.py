"""Settings, the registry and what must never be shown."""

import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from resources.registry import connect_engine, connect_lake, connect_vectors, open_export
from resources.settings import VARIABLES, Settings, UsageError, redacted
from resources.systems import SYSTEMS
from resources.warehouse.sql_catalog import open_sql_catalog

ROOT = Path(__file__).parents[2]


def test_every_layer_has_a_default_that_needs_no_server(tmp_path: Path) -> None:
    settings = Settings.from_env({"LAKELOOM_HOME": str(tmp_path)})
    for layer in VARIABLES:
        scheme = str(getattr(settings, layer)).split(":")[0]
        assert scheme in SYSTEMS[layer]
        assert scheme not in ("http", "https")


@pytest.mark.parametrize("name", ["c#", "a?b", "a%41"])
def test_a_home_that_no_url_can_hold_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="set LAKELOOM_HOME to another folder"):
        Settings.from_env({"LAKELOOM_HOME": str(tmp_path / name)})
    assert "a b" in Settings.from_env({"LAKELOOM_HOME": str(tmp_path / "a b")}).lake


def test_a_variable_picks_the_system() -> None:
    assert Settings.from_env({"LAKELOOM_LAKE": "s3://bucket"}).lake == "s3://bucket"


def test_an_unknown_system_names_the_variable_and_what_there_is(tmp_path: Path) -> None:
    env = {"LAKELOOM_HOME": str(tmp_path), "LAKELOOM_VECTORS": "oracle://me:secret@host/db"}
    with pytest.raises(ValueError, match=r"LAKELOOM_VECTORS.*edge://") as caught:
        connect_vectors(Settings.from_env(env))
    assert "secret" not in str(caught.value)


def test_a_connection_is_made_once(tmp_path: Path) -> None:
    settings = Settings.from_env({"LAKELOOM_HOME": str(tmp_path)})
    assert connect_lake(settings) is connect_lake(settings)


@pytest.mark.parametrize(
    ("module", "extra", "use"),
    [
        ("deltalake", "delta", lambda: open_export("delta", "/nowhere")),
        ("psycopg2", "postgres", lambda: open_sql_catalog("postgresql+psycopg2://h/d", "file:///")),
    ],
)
def test_what_is_not_installed_is_named_with_what_brings_it(
    monkeypatch: pytest.MonkeyPatch, module: str, extra: str, use: Callable[[], object]
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    command = f".venv/bin/pip install -c constraints.txt -e '.[{extra}]'"
    with pytest.raises(UsageError) as raised:
        use()
    assert command in str(raised.value)
    assert command in "".join(page.read_text() for page in (ROOT / "docs").glob("*.md"))
    offered = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert extra in offered["optional-dependencies"]


def test_redaction_keeps_host_and_path_alone() -> None:
    assert redacted("postgresql://me:pw@db:5432/x?sslkey=k") == "postgresql://db:5432/x"


def test_workers_of_a_cluster_need_a_lake_and_a_catalog_that_they_reach(tmp_path: Path) -> None:
    env = {"LAKELOOM_HOME": str(tmp_path), "LAKELOOM_ENGINE": "ray://head:6379?workers=4"}
    with pytest.raises(UsageError, match="set LAKELOOM_CATALOG and LAKELOOM_LAKE to servers"):
        connect_engine(Settings.from_env(env))
    servers = {"LAKELOOM_LAKE": "s3://b", "LAKELOOM_CATALOG": "postgresql+psycopg2://h/c"}
    connect_engine(Settings.from_env(env | servers))
    connect_engine(Settings.from_env(env | {"LAKELOOM_ENGINE": "ray://?workers=2"}))
