"""The bucket sensor on a real lake: what it requests, and that it requests nothing twice."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from platform_assets.partitions import corpora
from resources.object_store import ObjectStore
from resources.object_store.obstore import ObstoreObjectStore
from sensors.bucket_uploads import bucket_uploads
from sensors.listings import UPLOAD_ASSETS, changed


class Watch:
    """The sensor with its cursor, its lake and an instance, ticked by hand as the daemon does."""

    def __init__(self, lake: ObjectStore, instance: dg.DagsterInstance) -> None:
        self.lake, self.instance = lake, instance
        self.cursor: str | None = None
        self.keys: list[str] = []

    def tick(self) -> list[str]:
        """Corpora for which a run is requested."""
        with dg.build_sensor_context(
            self.instance, cursor=self.cursor, resources={"lake": self.lake}
        ) as context:
            result: Any = bucket_uploads(context)
        for request in result.dynamic_partitions_requests:
            self.instance.add_dynamic_partitions(
                request.partitions_def_name, request.partition_keys
            )
        self.cursor = result.cursor
        self.keys += [request.run_key for request in result.run_requests]
        return [request.partition_key for request in result.run_requests]

    def partitions(self) -> set[str]:
        return set(self.instance.get_dynamic_partitions(corpora.name or ""))


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Watch]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Watch(ObstoreObjectStore(f"file://{tmp_path}/lake"), instance)


def test_a_new_prefix_becomes_a_partition_with_a_run(watch: Watch) -> None:
    watch.lake.put("birds/owl.md", b"# Owl")
    watch.lake.put("fish/eel.md", b"# Eel")
    assert watch.tick() == ["birds", "fish"]
    assert watch.partitions() == {"birds", "fish"}


def test_the_same_state_requests_nothing_twice(watch: Watch) -> None:
    watch.lake.put("birds/owl.md", b"# Owl")
    watch.tick()
    assert watch.tick() == []


def test_a_tick_repeated_after_a_crash_has_the_same_run_key(watch: Watch) -> None:
    watch.lake.put("birds/owl.md", b"# Owl")
    cursor = watch.cursor
    watch.tick()
    watch.cursor = cursor  # the daemon died before it stored the new one
    assert watch.tick() == ["birds"]
    assert len(set(watch.keys)) == 1


def test_added_overwritten_and_deleted_objects_are_seen(watch: Watch) -> None:
    watch.lake.put("birds/owl.md", b"# Owl")
    watch.lake.put("fish/eel.md", b"# Eel")
    watch.tick()
    watch.lake.put("birds/jay.md", b"# Jay")
    assert watch.tick() == ["birds"]
    watch.lake.put("birds/jay.md", b"# Yaj")  # as long as before
    assert watch.tick() == ["birds"]
    watch.lake.delete("birds/jay.md")
    assert watch.tick() == ["birds"]
    watch.lake.delete("birds/owl.md")  # the whole corpus is gone
    assert watch.tick() == ["birds"]
    assert watch.tick() == []
    assert len(set(watch.keys)) == len(watch.keys)


def test_a_state_that_comes_back_is_requested_again(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two uploads that leave the listing as it was once must not hit the old run's key."""
    states = iter("aba")
    monkeypatch.setattr("sensors.listings.listing_digest", lambda *_: next(states).rjust(64, "0"))
    watch.lake.put("birds/owl.md", b"# Owl")
    assert [watch.tick() for _ in range(3)] == [["birds"]] * 3
    assert len(set(watch.keys)) == 3


def test_an_upload_while_the_daemon_is_down_is_seen_after_it(watch: Watch) -> None:
    watch.lake.put("birds/owl.md", b"# Owl")
    watch.tick()
    watch.lake.put("birds/owl.md", b"# Barn owl")
    watch.lake.put("fish/eel.md", b"# Eel")
    later = Watch(watch.lake, watch.instance)  # another process, with the stored cursor
    later.cursor = watch.cursor
    assert later.tick() == ["birds", "fish"]


def test_a_known_corpus_that_vanished_unseen_is_requested(watch: Watch) -> None:
    watch.instance.add_dynamic_partitions(corpora.name or "", ["birds"])
    assert watch.tick() == ["birds"]


def test_our_own_prefix_and_bad_names_are_no_corpora(watch: Watch) -> None:
    for key in ("_lakeloom/latest/x", "Birds And Fish/owl.md", "top-level.md"):
        watch.lake.put(key, b"x")
    assert watch.tick() == []
    assert watch.partitions() == set()


def test_a_corpus_a_run_works_on_waits_for_its_end(watch: Watch) -> None:
    watch.lake.put("birds/owl.md", b"# Owl")
    watch.lake.put("fish/eel.md", b"# Eel")

    @dg.op
    def anything() -> None: ...

    @dg.job
    def work() -> None:
        anything()

    run = watch.instance.create_run_for_job(
        work,
        status=dg.DagsterRunStatus.STARTED,
        tags={"dagster/partition": "birds|minilm"},
    )
    assert watch.tick() == ["fish"]
    watch.instance.report_run_canceled(run)
    assert watch.tick() == ["birds"]


def test_a_run_takes_the_assets_that_need_no_encoder(watch: Watch) -> None:
    watch.lake.put("birds/owl.md", b"# Owl")
    with dg.build_sensor_context(watch.instance, resources={"lake": watch.lake}) as context:
        result: Any = bucket_uploads(context)
    (request,) = result.run_requests
    assert {key.to_user_string() for key in request.asset_selection} == set(UPLOAD_ASSETS)


def test_the_cursor_does_not_grow_with_the_objects(watch: Watch) -> None:
    watch.lake.put("birds/0.md", b"x")
    watch.tick()
    before = len(watch.cursor or "")
    for number in range(50):
        watch.lake.put(f"birds/{number}.md", b"y")
    watch.tick()
    assert len(watch.cursor or "") == before
    ((digest, times),) = json.loads(watch.cursor or "").values()
    assert (len(digest), times) == (64, 2)


def test_the_digest_does_not_depend_on_the_order_of_the_listing(watch: Watch) -> None:
    class Backwards:
        def objects(self, prefix: str) -> Iterator[Any]:
            yield from reversed(list(watch.lake.objects(prefix)))

    for key in ("a", "b", "c"):
        watch.lake.put(f"birds/{key}", key.encode())
    backwards: Any = Backwards()
    assert changed(backwards, ["birds"], {}) == changed(watch.lake, ["birds"], {})
