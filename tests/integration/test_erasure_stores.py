"""Erasure on real stores: a versioned bucket, and tables whose snapshots others pin."""

import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from platform_assets.chunks.table import CHUNKS
from platform_assets.cli import main
from platform_assets.commands.state import State
from platform_assets.commands.trace import trace
from platform_assets.documents.table import DOCUMENTS
from platform_assets.erasure.case import cases
from platform_assets.tables import OwnRows, rows_of
from resources.settings import Settings
from resources.warehouse import STAGED
from tests.catalogs import catalog_env
from tests.every_byte import holders
from tests.integration.test_erasure import CORPUS, KEY, MARK, OTHER, SENTENCE, letter, secret
from tests.integration.test_maintenance_tables import Notes, local, rest, s3
from tests.servers.seaweed import Seaweed
from tests.spies import Platform

pytestmark = pytest.mark.slow


class Bucket:
    """A versioned bucket of a real S3 server."""

    def __init__(self, server: Seaweed, name: str) -> None:
        self.name = name
        self.client: Any = boto3.Session().client("s3", endpoint_url=server.endpoint)
        self.client.create_bucket(Bucket=name)
        enabled = {"Status": "Enabled"}
        self.client.put_bucket_versioning(Bucket=name, VersioningConfiguration=enabled)

    def download(self, folder: Path) -> list[str]:
        """Every version of every object into a folder; returns keys of those not the newest."""
        past = []
        for page in self.client.get_paginator("list_object_versions").paginate(Bucket=self.name):
            for number, item in enumerate(page.get("Versions", ())):
                version = {"Key": item["Key"], "VersionId": item["VersionId"]}
                body = self.client.get_object(Bucket=self.name, **version)["Body"].read()
                target = folder / f"{number}-{item['VersionId']}"
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(body)
                past += [] if item["IsLatest"] else [item["Key"]]
        return past


@pytest.fixture
def bucket(seaweed_server: Seaweed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Bucket:
    for name, value in seaweed_server.env.items():
        monkeypatch.setenv(name, value)
    bucket = Bucket(seaweed_server, f"versioned-{zlib.crc32(bytes(tmp_path))}")
    monkeypatch.setenv("LAKELOOM_LAKE", f"s3://{bucket.name}")
    return bucket


def test_a_versioned_bucket_keeps_no_version(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform = Platform(tmp_path / "home", monkeypatch)
    for corpus in (CORPUS, OTHER):
        platform.write(corpus, "whales.md", letter("whales", corpus))
    platform.write(CORPUS, KEY, secret("Once it said something else."))
    platform.materialize(CORPUS, OTHER, select="+key:published_index")
    platform.write(CORPUS, KEY, secret(SENTENCE))
    platform.materialize(CORPUS, OTHER, select="+key:published_index")
    staged = tmp_path / "pairs.parquet"  # of a training whose run and pod were killed
    pq.write_table(pa.table({"query": [SENTENCE]}), staged, compression="zstd")
    platform.state.lake.put("_lakeloom/staging/checkpoints/tuned/0/pairs.parquet", staged)
    before, after = tmp_path / "before", tmp_path / "after"
    assert bucket.download(before)
    assert holders(before, [MARK]).keys() >= {"raw", "parquet"}
    with pytest.raises(SystemExit) as ended:
        main(["erase", CORPUS, KEY, "--json"])
    assert ended.value.code == 0
    staged.unlink()
    past = bucket.download(after)
    assert {key.split("/")[1] for key in past} == {"erasures"}  # its own record, overwritten
    assert holders(after, [MARK, KEY]) == {}
    assert holders(tmp_path / "home", [MARK, KEY]) == {}
    for corpus in (CORPUS, OTHER):
        assert trace(platform.state, corpus)["ok"]
    assert platform.search(CORPUS, "a note of whales")[0]["key"] == "whales.md"


def test_a_version_under_an_object_lock_stays_and_the_command_says_so(
    bucket: Bucket,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    client: Any = bucket.client
    client.create_bucket(Bucket="locked-lake", ObjectLockEnabledForBucket=True)
    monkeypatch.setenv("LAKELOOM_LAKE", "s3://locked-lake")
    monkeypatch.setenv("LAKELOOM_HOME", str(tmp_path / "home"))
    until = datetime.now(UTC) + timedelta(days=1)
    lock = {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": until}
    where = {"Bucket": "locked-lake", "Key": f"{CORPUS}/{KEY}"}
    client.put_object(**where, **lock, Body=secret(SENTENCE).encode())
    with pytest.raises(SystemExit) as ended:
        main(["erase", CORPUS, KEY])
    assert ended.value.code == 1
    assert "keeps 1 versions" in (said := capsys.readouterr().err)
    assert "object lock" in said
    with pytest.raises(client.exceptions.NoSuchKey):  # it is hidden, as by any deletion
        client.get_object(**where)
    (case,) = cases(State(Settings.from_env()).lake, CORPUS)
    assert case.state == "marked"


def test_tables_in_a_catalog_of_their_own_are_searched_too(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in catalog_env("rest", request).items():
        monkeypatch.setenv(name, value)
    platform = Platform(tmp_path / "home", monkeypatch)
    state = platform.state
    for key in ("first.md", "second.md"):
        platform.write(CORPUS, key, secret(SENTENCE.replace("Tuesday", key)))
    platform.materialize(CORPUS, select="+key:chunks")
    written = in_flight_elsewhere(state)
    with pytest.raises(SystemExit) as ended:
        main(["erase", CORPUS, "first.md", "--json"])
    assert ended.value.code == 0
    iceberg = state.warehouse._table(CHUNKS)
    assert f"{STAGED}elsewhere" in iceberg.metadata.refs
    assert iceberg.io.new_input(written).exists()
    (case,) = cases(state.lake, CORPUS)
    places = {place["place"]: place for place in case.searched}
    assert places["tables"]["items"] > 0
    assert places["tables"]["decoded"] > 0
    assert any(layer.startswith("catalog") for layer in case.not_searched)
    texts = tmp_path / "tables"
    for number, (_, file) in enumerate(state.warehouse.files(DOCUMENTS)):
        texts.mkdir(exist_ok=True)
        (texts / str(number)).write_bytes(file.read())
    assert holders(texts, ["first.md"]) == {}
    assert "parquet" in holders(texts, ["second.md"])


def in_flight_elsewhere(state: Any) -> str:
    """What a run on another machine has written of another corpus; returns the uncommitted file."""
    scope, nothing = {"corpus": OTHER}, CHUNKS.schema.empty_table()
    state.warehouse.replace(CHUNKS, scope, ["d"], nothing, branch=f"{STAGED}elsewhere")
    iceberg = state.warehouse._table(CHUNKS)
    location = f"{iceberg.location()}/data/about-to-be-committed.parquet"
    with iceberg.io.new_output(location).create() as out:
        pq.write_table(nothing, out)
    return str(location)


@pytest.fixture(params=[local, s3, rest], ids=lambda made: made.__name__)
def notes(request: pytest.FixtureRequest, tmp_path: Path) -> Notes:
    name = request.node.name.removeprefix("test_").split("[")[0]
    made: Callable[..., Any] = request.param
    return Notes(made(tmp_path, lambda: request.getfixturevalue("seaweed_server")), name)


def test_a_pinned_snapshot_stays_for_others_alone(notes: Notes) -> None:
    notes.write("mine", "a secret that was edited")
    notes.write("theirs", "as they had it", corpus="d")
    pinned = notes.write("mine", "a secret")
    notes.write("theirs", "as they have it", corpus="d")
    notes.write("mine", "nothing")
    warehouse, table, mine = notes.warehouse, notes.table, {"corpus": "c"}
    past = warehouse.history(table, mine, ["page", "text"], ["mine"])
    assert set(past["text"].to_pylist()) == {"a secret that was edited", "a secret", "nothing"}
    assert not warehouse.history(table, mine, ["text"], ["never"]).num_rows
    warehouse.expire(table, {pinned}, datetime.max.replace(tzinfo=UTC))
    assert warehouse.snapshots(table) == [pinned, warehouse.snapshot(table)]
    removed = warehouse.forget(table, mine, ())
    assert removed.files == 1
    assert removed.bytes > 0
    theirs = warehouse.scan(table, {"corpus": "d"}, ["text"], snapshot=pinned)
    assert theirs["text"].to_pylist() == ["as they had it"]
    assert notes.texts() == ["nothing"]
    with pytest.raises(FileNotFoundError):
        notes.texts(pinned)
    left = warehouse.history(table, mine, ["text"], ["mine"])
    assert left["text"].to_pylist() == ["nothing"]
    assert warehouse.forget(table, mine, ()).files == 0
    assert warehouse.forget(table, {"corpus": "d"}, {pinned}).files == 0


def test_what_a_run_has_staged_elsewhere_stays_whole(notes: Notes) -> None:
    notes.write("mine", "a secret")
    notes.write("mine", "nothing")
    own = OwnRows(notes.warehouse, notes.table, {"corpus": "c"}, branch=f"{STAGED}elsewhere")
    rows = [{"page": "other", "note": "other", "text": "staged", "fingerprint": "1"}]
    own.replace(["other"], rows_of(notes.table, rows))
    assert notes.warehouse.forget(notes.table, {"corpus": "c"}, ()).files == 1
    own.publish()
    assert notes.texts() == ["nothing", "staged"]


def test_manifests_repeat_no_text(notes: Notes) -> None:
    notes.write("page", "a secret")
    for manifest in notes.iceberg().current_snapshot().manifests(notes.iceberg().io):
        for entry in manifest.fetch_manifest_entry(notes.iceberg().io):
            assert not entry.data_file.lower_bounds
            assert not entry.data_file.upper_bounds
