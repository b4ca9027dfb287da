"""Podman and runc: real containers, with a store of their own under build/.

Here: running podman, and the base image. Image registries are out of reach, so the base is a
stand-in: Debian's minimal root by debootstrap, with the Python that runs this under /usr/local, as
the image `python` has it. Not here: what is built on it.
"""

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

BASE = "python:3.11-slim-bookworm"
_STORE = Path(__file__).resolve().parents[2] / "build/containers"
_CONTAINERS = """[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
netns = "host"
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""
_STORAGE = '[storage]\ndriver = "overlay"\ngraphroot = "{0}/images"\nrunroot = "{0}/run"\n'
_LEFT_OUT = shutil.ignore_patterns("site-packages", "__pycache__", "test", "*.a", "idlelib")


def lacking() -> str:
    """What this machine lacks; empty if containers can be run."""
    if os.geteuid():
        return "podman is run as root here"
    missing = [each for each in ("podman", "runc", "debootstrap") if not shutil.which(each)]
    return f"apt-get install {' '.join(missing)}" if missing else ""


def podman(*arguments: str, patience_seconds: float = 540) -> str:
    """Run a command of podman's; its standard output.

    Raises:
        RuntimeError: it failed; the end of what it said is in the message.
    """
    told = subprocess.run(
        ["podman", *arguments],
        env={**os.environ, **_configured()},
        capture_output=True,
        text=True,
        timeout=patience_seconds,
        check=False,
    )
    if told.returncode:
        said = (told.stdout + told.stderr)[-3000:]
        raise RuntimeError(f"podman {arguments[0]} ended with {told.returncode}: {said}")
    return told.stdout


def has_image(name: str) -> bool:
    """Whether the store has an image."""
    return bool(podman("images", "--quiet", name).strip())


def make_base() -> None:
    """See that the stand-in for the base image is in the store."""
    if has_image(BASE):
        return
    root = _STORE / "base"
    shutil.rmtree(root, ignore_errors=True)
    libraries = "ca-certificates,libffi8,libsqlite3-0,libssl3,libreadline8,libbz2-1.0,liblzma5"
    subprocess.run(
        ["debootstrap", "--variant=minbase", f"--include={libraries}", "bookworm", root],
        check=True,
        capture_output=True,
    )
    _add_python(root)
    archive = _STORE / "base.tar"
    subprocess.run(["tar", "-c", "-C", root, "-f", archive, "."], check=True)
    podman("import", str(archive), BASE)
    archive.unlink()
    shutil.rmtree(root)


def _add_python(root: Path) -> None:
    source, target = Path(sys.base_prefix), root / "usr/local"
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    shutil.copytree(source / "lib", target / "lib", dirs_exist_ok=True, ignore=_LEFT_OUT)
    (target / "lib" / version / "site-packages").mkdir()
    shutil.copy2(source / "bin" / version, target / "bin")
    for name in ("python", "python3"):
        (target / "bin" / name).symlink_to(version)
    subprocess.run(["chroot", root, "ldconfig"], check=True)


@cache
def _configured() -> dict[str, str]:
    _STORE.mkdir(parents=True, exist_ok=True)
    files = {"CONTAINERS_CONF": _CONTAINERS, "CONTAINERS_STORAGE_CONF": _STORAGE.format(_STORE)}
    for name, text in files.items():
        (_STORE / name.lower()).write_text(text)
    return {name: str(_STORE / name.lower()) for name in files}
