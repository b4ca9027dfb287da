"""Whole runs at once in processes of their own, on a home that nobody has used before."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from platform_assets.commands.trace import trace
from platform_assets.documents.table import DOCUMENTS
from tests.catalogs import CATALOGS, catalog_env
from tests.spies import Platform

pytestmark = pytest.mark.slow
PAGES = 6


@pytest.fixture(params=CATALOGS)
def platform(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Platform:
    """A new home, with its tables in each catalog."""
    for name, value in catalog_env(request.param, request).items():
        monkeypatch.setenv(name, value)
    return Platform(tmp_path, monkeypatch)


def started(*corpora: str) -> "subprocess.Popen[str]":
    """`lakeloom materialize` on this test's platform."""
    command = [str(Path(sys.executable).with_name("lakeloom")), "materialize", "--json"]
    chosen = [argument for corpus in corpora for argument in ("--corpus", corpus)]
    return subprocess.Popen(
        [*command, "--encoder", "minilm", *chosen],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_two_runs_for_one_corpus_and_one_for_another(platform: Platform) -> None:
    for corpus in ("one", "other"):
        for page in range(PAGES):
            text = f"# Basin {page} of {corpus}\n\nIt is {page * 7} fathoms deep in {corpus}."
            platform.write(corpus, f"{page}.md", text)
    for run in [started("one"), started("one"), started("other")]:
        out, err = run.communicate()
        assert run.returncode == 0, err
        assert json.loads(out)["ok"]
    for corpus in ("one", "other"):
        assert len(platform.rows(DOCUMENTS, corpus=corpus)) == PAGES
        assert trace(platform.state, corpus)["ok"]
    platform.materialize("one", "other")
    assert platform.calls.none()
