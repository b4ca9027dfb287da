"""The image, built once for all tests in containers."""

import os
from pathlib import Path

import pytest

from tests.servers.podman import BASE, lacking, make_base, podman

ROOT = Path(__file__).resolve().parents[2]
IMAGE = "lakeloom:checked"
CERTIFICATES = "/etc/ssl/certs"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of this folder is run by its own make target alone."""
    why = lacking() if os.environ.get("LAKELOOM_TEST_CONTAINERS") else "`make test-containers`"
    if why:
        for item in items:
            if item.path.is_relative_to(Path(__file__).parent):
                item.add_marker(pytest.mark.skip(reason=why))


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> str:
    """deploy/images/Dockerfile as it is, on the stand-in base; podman's cache makes it quick again.

    This machine's registry settings are lent to the build: certificates, and a folder of wheels,
    which is where its build of torch comes from.
    """
    make_base()
    folder = tmp_path_factory.mktemp("settings")
    wheels = os.environ.get("PIP_FIND_LINKS", "")
    found = 'find-links = ["/mnt"]\n' if wheels else ""
    (folder / "uv.toml").write_text(f"system-certs = true\n{found}")
    (folder / "pip.conf").write_text(f"[global]\ncert = {CERTIFICATES}/ca-certificates.crt\n")
    lent = [
        f"{folder}/uv.toml:/etc/uv/uv.toml:ro",
        f"{folder}/pip.conf:/etc/pip.conf:ro",
        f"{CERTIFICATES}:{CERTIFICATES}:ro",
        *([f"{wheels}:/mnt:ro"] if wheels else []),
    ]
    dockerfile = ROOT / "deploy/images/Dockerfile"
    podman(
        *("build", "--pull-never", "--layers", "--file", str(dockerfile), "--tag", IMAGE),
        *("--ignorefile", f"{dockerfile}.dockerignore", "--build-arg", f"PYTHON={BASE[7:]}"),
        *("--build-arg", "TORCH_BACKEND=", *(f"--volume={each}" for each in lent), str(ROOT)),
    )
    return IMAGE
