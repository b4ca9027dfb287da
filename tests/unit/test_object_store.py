"""The local folder as an object store."""

import hashlib
import os
from pathlib import Path

import pytest

from resources.object_store.folder import FolderObjectStore

KEYS = ["news/a b.txt", "news/ü/x#1%.md", "news/deep/er/file", "newsletter/a.txt", "other/z"]


@pytest.fixture
def store(tmp_path: Path) -> FolderObjectStore:
    store = FolderObjectStore(f"file://{tmp_path}/with space")
    for key in KEYS:
        store.put(key, key.encode())
    return store


def test_a_listing_holds_the_keys_of_a_prefix(store: FolderObjectStore) -> None:
    assert sorted(item.key for item in store.objects("news/")) == sorted(KEYS[:3])
    assert sorted(item.key for item in store.objects()) == sorted(KEYS)
    assert {item.size for item in store.objects("other/")} == {7}
    assert store.prefixes() == ["news", "newsletter", "other"]


def test_bytes_come_back_and_have_their_digest(store: FolderObjectStore, tmp_path: Path) -> None:
    for key in KEYS:
        assert store.get(key) == key.encode()
        assert store.sha256(key) == hashlib.sha256(key.encode()).hexdigest()
    source = tmp_path / "source"
    source.write_bytes(b"x" * 20_000_000)
    store.put("big/file", source)
    assert store.sha256("big/file") == hashlib.sha256(source.read_bytes()).hexdigest()


def test_an_overwrite_changes_the_etag(store: FolderObjectStore) -> None:
    before = next(store.objects("other/"))
    store.put("other/z", b"other bytes")
    assert next(store.objects("other/")).etag != before.etag


def test_a_missing_object_is_an_error_but_its_removal_is_none(store: FolderObjectStore) -> None:
    for read in (store.get, store.sha256):
        with pytest.raises(FileNotFoundError):
            read("news/none")
    store.delete("news/none")
    store.delete("other/z")
    assert not list(store.objects("other/"))


def test_a_listing_says_what_the_client_says_of_each_object(store: FolderObjectStore) -> None:
    for item in store.objects():
        assert item == store.head(item.key)


@pytest.mark.parametrize("name", ["new\nline.txt", os.fsdecode(b"caf\xe9.txt"), "notes#1"])
def test_a_name_that_no_key_can_say_hides_no_other(
    store: FolderObjectStore, tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "with space/news" / name).write_text("x")
    assert sorted(item.key for item in store.objects("news/")) == sorted(KEYS[:3])
    assert "is left out" in caplog.text
    caplog.text.encode()  # fit for any log


def test_links_are_followed_but_not_in_circles(store: FolderObjectStore, tmp_path: Path) -> None:
    lake = tmp_path / "with space"
    (lake / "other/loop").symlink_to(lake / "other")
    (lake / "other/gone").symlink_to(lake / "nowhere")
    (lake / "linked").symlink_to(lake / "news")
    assert [item.key for item in store.objects("other/")] == ["other/z"]
    assert sorted(item.key for item in store.objects("linked/")) == sorted(
        f"linked/{key.removeprefix('news/')}" for key in KEYS[:3]
    )


def test_a_folder_that_cannot_be_read_is_not_an_empty_one(
    store: FolderObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: str) -> None:
        raise PermissionError("denied")

    monkeypatch.setattr("os.scandir", refuse)  # the tests may run as root, whom no mode stops
    with pytest.raises(PermissionError):
        list(store.objects("news/"))
