"""The image's file: linted, pinned, not root's, and built of files that are there and tracked."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = ROOT / "deploy/images/Dockerfile"
TEXT = DOCKERFILE.read_text().replace("\\\n", "")
COPIED = [
    source
    for line in re.findall(r"^COPY (?!--from)(.*)$", TEXT, re.MULTILINE)
    for source in line.split()[:-1]
]


def last_stage() -> str:
    return TEXT.rsplit("\nFROM ", 1)[1]


def test_hadolint_has_nothing_to_say() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    told = subprocess.run([hadolint, DOCKERFILE], capture_output=True, text=True, check=False)
    assert (told.returncode, told.stdout) == (0, "")


def test_what_is_copied_is_there_tracked_and_let_through() -> None:
    ignore = DOCKERFILE.with_name("Dockerfile.dockerignore").read_text().splitlines()
    assert ignore[1] == "*"
    let_through = {line[1:] for line in ignore if line.startswith("!")}
    assert set(COPIED) == let_through
    for source in COPIED:
        tracked = subprocess.run(
            ["git", "ls-files", source], cwd=ROOT, capture_output=True, text=True, check=True
        )
        assert tracked.stdout, source


def test_what_the_package_is_made_of_is_copied() -> None:
    from tomllib import loads

    project = loads((ROOT / "pyproject.toml").read_text())
    packages = project["tool"]["setuptools"]["packages"]["find"]["include"]
    files = {project["project"]["readme"], *project["project"]["license-files"]}
    assert {each.removesuffix("*") for each in packages} | files <= set(COPIED)


def test_every_install_is_pinned() -> None:
    installs = re.findall(r"pip[\"']? install[^&\n]*", TEXT)
    assert len(installs) == 3
    assert all("-c constraints.txt" in install for install in installs)


def test_nobody_runs_it() -> None:
    (user,) = re.findall(r"^USER (.*)$", last_stage(), re.MULTILINE)
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user), "Kubernetes tells numbers from root alone"
    assert "pip install" not in last_stage()


def test_its_command_serves_the_code_location() -> None:
    from json import loads

    (command,) = re.findall(r"^CMD (.*)$", last_stage(), re.MULTILINE)
    assert loads(command)[-1] in (ROOT / "workspace.yaml").read_text()
