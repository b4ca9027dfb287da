"""The commands of docs/operations.md for object stores, on a real S3 server."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers.seaweed import ACCESS_KEY, SECRET_KEY, Seaweed

DOCS = (Path(__file__).resolve().parents[2] / "docs/operations.md").read_text()
SECTION = DOCS.partition("## Object stores\n")[2].partition("\n## ")[0]


@pytest.mark.slow
def test_the_steps_for_seaweedfs_and_minio_work(tmp_path: Path, seaweed_server: Seaweed) -> None:
    (block,) = re.findall(r"```sh\n(.*?)```", SECTION, re.DOTALL)
    documents = tmp_path / "my-documents"
    documents.mkdir()
    (documents / "account.md").write_text("# Resetting A Password\n\nChoose a new one.\n")
    here = {
        "http://127.0.0.1:8333": seaweed_server.endpoint,
        "AWS_ACCESS_KEY_ID=...": f"AWS_ACCESS_KEY_ID={ACCESS_KEY}",
        "AWS_SECRET_ACCESS_KEY=...": f"AWS_SECRET_ACCESS_KEY={SECRET_KEY}",
        "~/my-documents": shlex.quote(str(documents)),
    }
    for shown, real in here.items():
        assert shown in block
        block = block.replace(shown, real)
    programs = str(Path(sys.executable).parent)
    env = {"PATH": f"{programs}:{os.environ['PATH']}", "LAKELOOM_HOME": str(tmp_path / "home")}
    search = "lakeloom search handbook 'how do I choose a new password'"
    script = f"set -e\n{block}\n{search}"
    done = subprocess.run(
        ["bash", "-c", script], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "account.md" in done.stdout
    assert SECRET_KEY not in done.stdout + done.stderr
