"""What every object store must do, whatever serves it.

Here: the suite. Not here: the stores it runs on (test_object_store_*.py).
"""

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from resources.object_store import ObjectStore
from resources.object_store.obstore import ObstoreObjectStore

WRITERS = 8
ODD_KEYS = [
    "a b/ c.txt",
    "ü/日本語/🦉.md",
    "x#1?y=2&z.txt",
    "100%/a%20b/%zz",
    "..hidden/notes..txt",
    "a+b/~t'()*!,;=@:$",
    "/".join(["seg" * 20] * 16) + "/" + "z" * 44,
]
"""With a folder of four bytes before it, the last one is as long as S3 allows, 1,024 bytes."""
UNFIT_KEYS = ["a/../b", "../b", "a/./b", "a//b", "/lead", "folder/", "", "tab\tz", "k" * 1025]


def keys(store: ObjectStore, prefix: str = "") -> list[str]:
    return sorted(item.key for item in store.objects(prefix))


def race(act: Callable[[int], bool]) -> int:
    """How many of the racing writers won."""
    with ThreadPoolExecutor(WRITERS) as writers:
        return sum(writers.map(act, range(WRITERS)))


class ObjectStoreSuite:
    """Subclasses give the fixture `store`, an empty bucket."""

    def test_bytes_come_back_with_their_digest(self, store: ObjectStore, tmp_path: Path) -> None:
        store.put("news/a", b"first")
        assert store.get("news/a") == b"first"
        assert store.sha256("news/a") == hashlib.sha256(b"first").hexdigest()
        store.put("news/empty", b"")
        assert store.get("news/empty") == b""
        target = tmp_path / "target"
        store.download("news/a", target)
        assert target.read_bytes() == b"first"
        assert list(tmp_path.iterdir()) == [target]

    def test_a_file_in_parts_comes_back(self, store: ObjectStore, tmp_path: Path) -> None:
        source, target = tmp_path / "source", tmp_path / "target"
        source.write_bytes(b"0123456789abcdef" * 1_500_000)
        store.put("big", source)
        assert store.sha256("big") == hashlib.sha256(source.read_bytes()).hexdigest()
        store.download("big", target)
        assert target.read_bytes() == source.read_bytes()

    @pytest.mark.slow
    def test_an_object_larger_than_memory_streams(
        self, store: ObstoreObjectStore, tmp_path: Path
    ) -> None:
        command = [sys.executable, "-m", "tests.integration.large_object", str(tmp_path)]
        env = {**os.environ, "LAKELOOM_LAKE": store._url}
        moved = subprocess.run(command, check=False, env=env, capture_output=True, text=True)
        for name in ("source", "target"):
            (tmp_path / name).unlink(missing_ok=True)
        store.purge("large")
        assert moved.returncode == 0, moved.stderr[-2000:]

    def test_head_says_what_the_listing_says(self, store: ObjectStore) -> None:
        store.put("news/a", b"first")
        (listed,) = store.objects("news/")
        head = store.head("news/a")
        assert (head.key, head.size, head.etag) == (listed.key, 5, listed.etag)
        store.put("news/a", b"other")
        assert store.head("news/a").etag != listed.etag

    def test_a_missing_object_is_an_error_but_its_removal_is_none(
        self, store: ObjectStore, tmp_path: Path
    ) -> None:
        for read in (store.get, store.sha256, store.head):
            with pytest.raises(FileNotFoundError):
                read("none")
        with pytest.raises(FileNotFoundError):
            store.download("none", tmp_path / "target")
        assert not list(tmp_path.iterdir())
        store.delete("none")
        store.purge("none")
        assert store.versions("none") == []

    def test_a_listing_of_many_keys_is_whole(self, store: ObjectStore) -> None:
        wanted = [f"many/{number % 7}/{number:05}" for number in range(2_500)]
        with ThreadPoolExecutor(WRITERS) as writers:
            list(writers.map(lambda key: store.put(key, b"x"), wanted))
        store.put("manyfold", b"x")
        assert keys(store, "many/") == sorted(wanted)
        assert keys(store, "many/3/") == [key for key in sorted(wanted) if key[5] == "3"]
        assert store.prefixes() == ["many"]

    @pytest.mark.parametrize("key", ODD_KEYS)
    def test_odd_keys_are_kept_as_they_are(self, store: ObjectStore, key: str) -> None:
        store.put(key, key.encode())
        assert keys(store) == [key]
        assert keys(store, key) == [key]
        assert store.prefixes() == key.split("/")[:1] * ("/" in key)
        assert store.get(key) == key.encode()
        assert [item.key for item in store.versions(key)] == [key]
        store.purge(key)
        assert keys(store) == []

    @pytest.mark.parametrize("key", UNFIT_KEYS)
    def test_unfit_keys_are_refused_by_name(self, store: ObjectStore, key: str) -> None:
        for act in (store.get, store.delete, lambda key: store.put(key, b"x"), store.purge):
            with pytest.raises(ValueError, match="cannot hold this key"):
                act(key)
        assert keys(store) == []

    def test_of_racing_creators_one_wins(self, store: ObjectStore) -> None:
        for turn in range(5):
            key = f"turn/{turn}"
            created: list[int] = []

            def create(writer: int, key: str = key, created: list[int] = created) -> bool:
                won = store.create(key, str(writer).encode())
                created.extend([writer] * won)
                return won

            assert race(create) == 1
            assert store.get(key) == str(created[0]).encode()

    def test_of_racing_swappers_one_wins(self, store: ObjectStore) -> None:
        store.put("pointer", b"begin")
        for turn in range(5):
            etag = store.head("pointer").etag
            assert (
                race(lambda n, e=etag, t=turn: store.swap("pointer", f"{t} {n}".encode(), e)) == 1
            )
        assert store.get("pointer").startswith(b"4 ")
        assert not store.swap("none", b"x", etag)

    def test_swaps_lose_no_count(self, store: ObjectStore) -> None:
        store.put("count", b"0")

        def add(_: int) -> bool:
            while True:
                etag = store.head("count").etag
                if store.swap("count", str(int(store.get("count")) + 1).encode(), etag):
                    return True

        for _ in range(3):
            race(add)
        assert store.get("count") == str(3 * WRITERS).encode()
