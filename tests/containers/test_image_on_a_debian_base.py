"""The image's own build steps, run for real in a clean root; the base is a stand-in (podman.py)."""

import json
from pathlib import Path

import pytest

from tests.servers.podman import podman

pytestmark = pytest.mark.slow
# What a pod has: nobody's rights, a root that cannot be written to, no way out.
LOCKED = ("--rm", "--read-only", "--read-only-tmpfs=false", "--network=none", "--cap-drop=all")
LOCKED += ("--tmpfs=/tmp", "--workdir=/tmp")
TEXTS = {
    "travel.txt": "Travel must be approved two weeks ahead.\n\nHotels are booked by the office.\n",
    "leave.txt": "Holidays are entered in the calendar.\n\nIllness is reported by telephone.\n",
}


def inside(image: str, *command: str) -> str:
    return podman("run", *LOCKED, image, *command)


def test_nobody_owns_it_and_what_built_it_is_gone(image: str) -> None:
    told = inside(image, "sh", "-c", "id -u; id -g; whoami").split()
    assert told == ["10001", "10001", "lakeloom"]
    assert inside(image, "find", "/opt/lakeloom", "-user", "lakeloom") == ""
    assert inside(image, "sh", "-c", "ls -d /build /opt/lakeloom/bin/uv 2>/dev/null || true") == ""


def test_its_size(image: str) -> None:
    (found,) = json.loads(podman("image", "inspect", image))
    assert found["Size"] < 4e9, f"{found['Size'] / 1e9:.2f} GB"


def test_its_packages_agree(image: str) -> None:
    """Every pinned version is the one that is there."""
    ask = (
        "from importlib.metadata import distributions as all;"
        "print(*(f'{each.name}=={each.version}' for each in all()))"
    )
    pinned = dict(
        line.split("==") for line in Path("constraints.txt").read_text().splitlines() if line
    )
    found = dict(each.lower().split("==") for each in inside(image, "python", "-c", ask).split())
    assert found.pop("lakeloom")
    names = {name.replace("_", "-").replace(".", "-"): version for name, version in found.items()}
    assert {name: version.split("+")[0] for name, version in names.items()} == {
        name: pinned.get(name) for name in names
    }


def test_the_code_location_loads(image: str) -> None:
    inside(image, "dagster", "definitions", "validate", "-m", "platform_assets.definitions")


def test_the_graph_runs_in_it(image: str, tmp_path: Path) -> None:
    texts, home = tmp_path / "texts", tmp_path / "home"
    for folder in (texts, home):
        folder.mkdir()
    for name, text in TEXTS.items():
        (texts / name).write_text(text)
    home.chmod(0o777)
    script = (
        "lakeloom ingest /texts --corpus house >&2"
        " && lakeloom materialize --corpus house --encoder minilm"
        " --select '+key:published_index' >&2"
        " && lakeloom search house 'who books hotels' --json"
    )
    volumes = (f"--volume={texts}:/texts:ro", f"--volume={home}:/var/lib/lakeloom")
    said = podman("run", *LOCKED, *volumes, image, "sh", "-c", script)
    assert json.loads(said)["hits"][0]["key"] == "travel.txt"
