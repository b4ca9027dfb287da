"""Checkpoints that come back from the lake as they were stored, or not at all."""

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from platform_assets.checkpoints.assets import checkpoints
from platform_assets.checkpoints.store import MANIFEST, CheckpointStore
from platform_assets.checkpoints.stored import as_stored
from platform_assets.provenance import PREFIX, Ledger, Record, canonical, sha256_text
from platform_assets.tracing import Tracer
from resources.object_store import ObjectStore
from tests.checkpoints import write_checkpoint
from tests.spies import Platform


@pytest.fixture
def store(platform: Platform) -> CheckpointStore:
    return platform.state.checkpoints


@pytest.fixture
def lake(platform: Platform) -> ObjectStore:
    return platform.state.lake


def plant(lake: ObjectStore, manifest: dict[str, str]) -> str:
    """A manifest that says what an attacker likes, under the digest that it really has."""
    digest = sha256_text(canonical(manifest))
    lake.put(f"{PREFIX}/checkpoints/{digest}/{MANIFEST}", canonical(manifest).encode())
    return digest


@pytest.mark.parametrize("name", ["../../escaped", "/tmp/escaped", "a/../../escaped", "a\\b", ""])
def test_a_name_that_leads_out_of_the_folder_is_refused(
    store: CheckpointStore, lake: ObjectStore, name: str
) -> None:
    digest = plant(lake, {name: sha256_text("x")})
    with pytest.raises(ValueError, match="is no file's name that stays within"):
        store.folder(digest)
    assert "stays within" in (store.broken(digest) or "")


def test_an_altered_file_is_refused(
    store: CheckpointStore, lake: ObjectStore, tmp_path: Path
) -> None:
    digest = store.put(write_checkpoint(tmp_path / "model"))
    prefix = f"{PREFIX}/checkpoints/{digest}"
    config = lake.get(f"{prefix}/config.json")
    lake.put(f"{prefix}/config.json", config + b" ")
    with pytest.raises(ValueError, match=r"config\.json in the lake was altered"):
        store.folder(digest)
    lake.put(f"{prefix}/config.json", config)
    assert store.folder(digest).is_dir()


def test_a_missing_file_leaves_nothing_behind(
    store: CheckpointStore, lake: ObjectStore, platform: Platform, tmp_path: Path
) -> None:
    digest = store.put(write_checkpoint(tmp_path / "model"))
    lake.delete(f"{PREFIX}/checkpoints/{digest}/model.safetensors")
    with pytest.raises(FileNotFoundError):
        store.folder(digest)
    assert list((platform.state.settings.cache / "checkpoints").iterdir()) == []
    details = {"checkpoint": digest, "encoder_digest": "of another engine"}
    record = Record("checkpoints", "minilm", None, digest, 1, "1", details=details)
    assert store.unfit(record) is None  # it is not here, and not brought to be looked at


def test_a_run_reads_a_checkpoint_again_where_it_is_listed_otherwise_or_was_found_broken(
    store: CheckpointStore, lake: ObjectStore, platform: Platform, tmp_path: Path
) -> None:
    digest = store.put(write_checkpoint(tmp_path / "model"))
    details = {"checkpoint": digest, "encoder_digest": ""}
    Ledger(lake).commit(Record("checkpoints", "minilm", None, digest, 1, "1", details=details))

    def fault(*, alone: bool = False) -> str | None:
        context: Any = SimpleNamespace(has_partition_key=not alone, partition_key="minilm")
        found = as_stored(context, lake, store, checkpoints)
        return None if found.passed else found.description

    assert fault() is None
    (file,) = platform.state.settings.home.rglob(f"{digest}/config.json")
    told, stored = file.stat(), file.read_bytes()
    file.write_bytes(b"X" + stored[1:])
    os.utime(file, ns=(told.st_atime_ns, told.st_mtime_ns))  # as where a disk fails
    assert fault() is None
    for found in (fault(alone=True), fault()):
        assert found == f"minilm: config.json of checkpoint {digest[:12]} was altered"
    file.write_bytes(stored)
    assert fault() is None
    lake.put(f"{PREFIX}/checkpoints/{digest}/config.json", b"{}")
    assert "was altered" in (fault() or "")
    lake.delete(f"{PREFIX}/checkpoints/{digest}/config.json")
    assert "lacks config.json" in (fault() or "")


@pytest.mark.parametrize("meanwhile", ["mended", "noted"])
def test_what_happens_while_a_checkpoint_is_read_makes_no_broken_one_whole(
    store: CheckpointStore,
    lake: ObjectStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    meanwhile: str,
) -> None:
    digest = store.put(write_checkpoint(tmp_path / "model"))
    details = {"checkpoint": digest, "encoder_digest": ""}
    Ledger(lake).commit(Record("checkpoints", "minilm", None, digest, 1, "1", details=details))
    key, read = f"{PREFIX}/checkpoints/{digest}/config.json", store.broken
    stored = lake.get(key)
    run: Any = SimpleNamespace(has_partition_key=True, partition_key="minilm")

    def after_a_mend(digest: str) -> str | None:
        lake.put(key, stored)
        return read(digest)

    def after_another_run(_: str) -> str:
        monkeypatch.setattr(store, "broken", read)
        assert as_stored(run, lake, store, checkpoints).passed
        return "the disk has failed since"

    if meanwhile == "mended":
        lake.delete(key)
        monkeypatch.setattr(store, "broken", after_a_mend)
        assert as_stored(run, lake, store, checkpoints).passed
        lake.delete(key)
    else:
        monkeypatch.setattr(store, "broken", after_another_run)
        assert not as_stored(run, lake, store, checkpoints).passed
    monkeypatch.setattr(store, "broken", lambda _: "read")
    assert "read" in (as_stored(run, lake, store, checkpoints).description or "")


def test_another_manifest_under_the_same_digest_is_refused(
    store: CheckpointStore, lake: ObjectStore, tmp_path: Path
) -> None:
    digest = store.put(write_checkpoint(tmp_path / "model"))
    key = f"{PREFIX}/checkpoints/{digest}/{MANIFEST}"
    lake.put(key, lake.get(key).replace(b"config.json", b"confog.json"))
    with pytest.raises(ValueError, match=r"manifest of checkpoint .* was altered"):
        store.folder(digest)
    assert store.broken(digest) == f"the manifest of checkpoint {digest[:12]} was altered"


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("pytorch_model.bin", b"x", "may be a pickle"),
        ("tokenizer_config.json", b'{"auto_map": {"AutoTokenizer": "t.T"}}', "by auto_map"),
        ("modules.json", b'[{"path": "", "type": "custom_st.Transformer"}]', "for custom_st"),
    ],
)
def test_what_could_run_code_is_not_loaded_from_the_lake(
    store: CheckpointStore, tmp_path: Path, name: str, data: bytes, message: str
) -> None:
    folder = write_checkpoint(tmp_path / "model")
    (folder / name).write_bytes(data)
    digest = store.put(folder)
    record = Record("checkpoints", "e", None, "", 1, "1", details={"checkpoint": digest})
    with pytest.raises(ValueError, match=message):
        store.load(record)
    with pytest.raises(ValueError, match=message):
        store.encoder_digest(digest)


def test_a_trace_verifies_the_base_a_checkpoint_was_trained_from(
    platform: Platform, tmp_path: Path
) -> None:
    state = platform.state
    base = state.checkpoints.put(write_checkpoint(tmp_path / "base"))
    trained = write_checkpoint(tmp_path / "trained")
    (trained / "training.json").write_text("{}")
    details = {"checkpoint": state.checkpoints.put(trained), "base": base}
    record = Record("checkpoints", "e", None, "", 1, "1", details=details)
    tracer = Tracer(state.lake, state.warehouse, state.vectors, state.checkpoints)
    assert list(tracer._checkpoint(record)) == []
    state.lake.put(f"{PREFIX}/checkpoints/{base}/config.json", b"{}")
    assert list(tracer._checkpoint(record)) == [
        f"config.json of checkpoint {base[:12]} was altered"
    ]
