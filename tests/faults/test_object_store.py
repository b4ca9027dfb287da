"""A lake on S3 that spoils a share of the calls, or goes away: whole states, clear errors.

The server is real; a proxy before it gives the faults.
"""

import itertools
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from platform_assets.chunks.table import CHUNKS
from platform_assets.commands.trace import trace
from platform_assets.documents.table import DOCUMENTS
from resources.object_store.clients import PATIENCE
from resources.warehouse.object_io import WHOLE_BYTES, object_file_io
from tests.servers.faulty_proxy import Fault, FaultyProxy, faulty_proxy, none, share
from tests.servers.seaweed import SECRET_KEY, Seaweed, seaweed
from tests.spies import Platform

CORPUS = "birds"
KINDS = ("500", "503", "reset", "lost", "truncated")
TO_SEARCH = "not (key:evaluation_plots or key:promoted_encoder)"
TO_CHUNKS = "key:raw_objects or key:documents or key:chunks"


def document(number: int, word: str) -> str:
    return f"# Bird {number}\n\nThe {word} bird number {number} builds its nest in a tree.\n"


class Lake:
    """A platform whose lake lies behind the proxy."""

    def __init__(self, platform: Platform, proxy: FaultyProxy, server: Seaweed) -> None:
        self.platform, self.proxy, self.server = platform, proxy, server
        self.reports: list[Any] = []
        for number in range(4):
            platform.write(CORPUS, f"{number}.md", document(number, "shy"))

    def run(self, select: str) -> dict[str, Any]:
        self.platform.calls.clear()
        report = self.platform.answer(CORPUS, select=select)
        self.reports.append(report)
        return report

    def texts(self) -> list[str]:
        return [row["text"] for row in self.platform.rows(CHUNKS, corpus=CORPUS)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seaweed]:
    with seaweed(tmp_path_factory.mktemp("faulty")) as running:
        yield running


@pytest.fixture
def lake(tmp_path: Path, server: Seaweed, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lake]:
    with faulty_proxy(server.endpoint) as proxy:
        env = {**server.env, "AWS_ENDPOINT_URL": proxy.endpoint}
        for name, value in {**env, "LAKELOOM_LAKE": f"s3://lake/{tmp_path.name}"}.items():
            monkeypatch.setenv(name, value)
        yield Lake(Platform(tmp_path / "home", monkeypatch), proxy, server)


def test_a_share_of_spoilt_calls_changes_nothing_but_the_time(lake: Lake) -> None:
    lake.proxy.fault = share(0.1, *KINDS)
    report = lake.run(TO_SEARCH)
    assert report["ok"], [row for row in report["assets"] if row["failed"]]
    assert all(lake.proxy.calls[kind] for kind in KINDS)
    lake.proxy.fault = none
    hits = {hit["text"] for hit in lake.platform.search(CORPUS, "where are the nests?")}
    assert len(hits) == len(lake.texts()) == len(set(lake.texts()))
    assert trace(lake.platform.state, CORPUS)["ok"]
    assert lake.run(TO_SEARCH)["ok"]
    assert lake.platform.calls.none()


def test_what_the_client_does_not_try_again_is_tried_again(lake: Lake, tmp_path: Path) -> None:
    store, spoilt = lake.platform.state.lake, Counter[str]()

    def first_of_each(method: str, path: str) -> str | None:
        kind = "list" if "list-type" in path else "parts" if method == "POST" else ""
        spoilt[kind] += 1
        return {"list": "truncated", "parts": "reset"}.get(kind) if spoilt[kind] == 1 else None

    lake.proxy.fault = first_of_each
    assert {item.key for item in store.objects(CORPUS)} == {f"{CORPUS}/{n}.md" for n in range(4)}
    spoilt.clear()
    assert store.prefixes() == [CORPUS]
    (tmp_path / "large").write_bytes(b"x" * 12_000_000)
    store.put("large", tmp_path / "large")
    assert store.head("large").size == 12_000_000
    assert lake.proxy.calls["truncated"] == 2
    assert lake.proxy.calls["reset"] == 1


def test_a_long_listing_survives_a_broken_page_at_its_end(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = lake.platform.state.lake
    keys = {f"many/{number:04}" for number in range(1_200)}
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda key: store.put(key, b"x"), keys))
    monkeypatch.setenv(PATIENCE, "1")
    pages = itertools.count(1)

    def last_page(_: str, path: str) -> str | None:
        return "truncated" if "list-type" in path and next(pages) == 2 else None

    lake.proxy.fault = last_page
    listed = store.objects("many/")
    found = [next(listed).key]
    time.sleep(1.5)  # longer than patience
    assert {*found, *(item.key for item in listed)} == keys
    assert lake.proxy.calls["truncated"] == 1


def test_a_large_file_of_a_table_is_written_and_read_through_spoilt_calls(lake: Lake) -> None:
    table = pa.table({"number": range(1_500_000)})
    place = "s3://lake/large.parquet"
    lake.proxy.fault = share(0.2, *KINDS)
    io = object_file_io({})
    for _ in range(3):
        with io.new_output(place).create(overwrite=True) as file:
            pq.write_table(table, file, compression="none", use_dictionary=False)
        assert len(io.new_input(place)) > WHOLE_BYTES
        with io.new_input(place).open() as file:
            assert pq.read_table(file).equals(table)
    assert all(lake.proxy.calls[kind] for kind in KINDS)


@pytest.mark.parametrize("kind", ["500", "reset", "expired"])
def test_a_lake_that_goes_away_is_one_clear_error_and_leaves_whole_states(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, kind: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert lake.run(TO_CHUNKS)["ok"]
    monkeypatch.setenv(PATIENCE, "1")
    for number in (1, 2):
        lake.platform.write(CORPUS, f"{number}.md", document(number, "bold"))
    lake.proxy.fault = after_table_files(2, kind)
    failed = [row["failed"] for row in lake.run(TO_CHUNKS)["assets"] if row["failed"]]
    assert failed
    assert "the object store s3://lake" in failed[0]
    assert "AWS_" in failed[0]
    lake.proxy.fault = none
    for table in (DOCUMENTS, CHUNKS):
        keys = [row["doc_id"] for row in lake.platform.rows(table, corpus=CORPUS)]
        assert len(keys) == len(set(keys)) == 4
    assert lake.run(TO_CHUNKS)["ok"]
    assert sorted("bold" in text for text in lake.texts()) == [False, False, True, True]
    assert_no_secret(lake, *capfd.readouterr())


def after_table_files(count: int, kind: str) -> Fault:
    """A fault for every call once so many data files of tables were begun."""
    begun: list[str] = []

    def fault(method: str, path: str) -> str | None:
        if method == "PUT" and path.partition("?")[0].endswith(".parquet"):
            begun.append(path)
        return kind if len(begun) >= count else None

    return fault


def assert_no_secret(lake: Lake, *printed: str) -> None:
    """The server's secret is in nothing that was said or kept."""
    said = (str(lake.reports), "\n".join(lake.platform.lines), *printed)
    assert not [text for text in said if SECRET_KEY in text]
    secret = SECRET_KEY.encode()
    kept = (lake.platform.state.settings.home, lake.server.data)
    files = [path for folder in kept for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 20
    assert not [path for path in files if secret in path.read_bytes()]
