"""Backup and restore with the commands of docs/operations.md, word by word."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.spies import Platform

pytestmark = pytest.mark.slow

PAGE = Path(__file__).resolve().parents[2] / "docs" / "operations.md"
CORPUS = "lighthouses"


def blocks() -> list[str]:
    """The shell blocks of the section: back up, restore, give the new place the old name."""
    section = PAGE.read_text().split("\n## Backup and restore\n")[1].split("\n## ")[0]
    found = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    assert len(found) == 3
    return found


class Site:
    """A home, its backup, and a shell in which the page's commands run."""

    def __init__(self, home: Path, backup: Path) -> None:
        self.home, self.backup = home, backup

    def shell(self, script: str, **more: str) -> subprocess.CompletedProcess[str]:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        env = {"LAKELOOM_HOME": str(self.home), "BACKUP": str(self.backup), "CORPUS": CORPUS}
        return subprocess.run(
            ["bash", "-e", "-c", script],
            env={**os.environ, **env, **more, "PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )

    def answer(self, command: str) -> dict[str, Any]:
        done = self.shell(f"lakeloom {command} --json")
        found: dict[str, Any] = json.loads(done.stdout or "{}")
        return found


@pytest.fixture
def site(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Site:
    for name in ("Eddystone", "Kopu", "Fastnet"):
        text = f"# The lighthouse of {name}\n\nThe lamp of {name} was lit before the others.\n"
        platform.write(CORPUS, f"{name}.md", text)
    platform.materialize(CORPUS, select="+key:published_index")
    backup = tmp_path_factory.mktemp("backup") / "lakeloom.tar.gz"
    return Site(platform.state.settings.home, backup)


def test_a_home_is_backed_up_and_restored(site: Site, tmp_path_factory: Any) -> None:
    back_up, restore, rename = blocks()
    hits = site.answer(f"search {CORPUS} 'lamp of Fastnet'")["hits"]
    assert hits[0]["key"] == "Fastnet.md"
    assert site.shell(back_up).returncode == 0
    lost = tmp_path_factory.mktemp("lost") / "home"
    site.home.rename(lost)

    done = site.shell(restore)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["ok"]
    select = "--encoder minilm --select +key:published_index"
    answer = site.answer(f"materialize --corpus {CORPUS} {select}")
    worked = {row["asset"] for row in answer["assets"] if any(row["work"].values())}
    assert answer["ok"]
    assert worked <= {"raw_objects"}, "files have other times, their content is the same"

    elsewhere = Site(tmp_path_factory.mktemp("elsewhere") / "home", site.backup)
    site.home.rename(lost.with_name("again"))
    assert elsewhere.shell(restore).returncode == 1, "tables name the files of the old place"
    assert elsewhere.answer(f"search {CORPUS} 'lamp of Fastnet'")["hits"] == hits
    assert elsewhere.shell(rename, OLD_HOME=str(site.home)).returncode == 0
    assert elsewhere.answer(f"trace {CORPUS}")["ok"]
