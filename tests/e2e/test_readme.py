"""The README's commands: those for one's own documents are run, targets and settings exist."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from resources.settings import VARIABLES

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
COMMANDS = [
    line.split("#")[0].strip()
    for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
    if line.strip()
]


def test_every_make_target_in_the_docs_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {shlex.split(command)[1] for command in COMMANDS if command.startswith("make ")}
    assert named
    assert named <= targets


def test_every_layer_is_in_the_settings_table() -> None:
    table = re.findall(r"^\| `(LAKELOOM_\w+)`", README, re.MULTILINE)
    assert set(VARIABLES.values()) <= set(table)


@pytest.mark.slow
def test_the_steps_for_your_own_documents_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = tmp_path / "my-documents"
    documents.mkdir()
    (documents / "account.md").write_text(
        "# Resetting Your Account Password\n\nOpen the settings and choose a new password.\n"
    )
    (documents / "travel.txt").write_text("Expenses for travel are refunded within thirty days.\n")
    (documents / "leave.html").write_text(
        "<h1>Asking For Parental Leave</h1><p>Tell your manager eight weeks before.</p>"
    )
    monkeypatch.setenv("LAKELOOM_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    steps = [c for c in COMMANDS if c.startswith("lakeloom ") and c != "lakeloom ui"]
    assert len(steps) >= 5
    for step in steps:
        words = shlex.split(step.replace("~/my-documents", str(documents)))
        lakeloom = Path(sys.executable).with_name(words[0])
        done = subprocess.run([lakeloom, *words[1:]], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{step}\n{done.stdout}\n{done.stderr}"
        if words[1] == "search":
            assert done.stdout.index("account.md") < done.stdout.index("choose a new password")
