"""The event sensor on a real lake and the webhook's real queue, ticked as the daemon does."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from platform_assets.partitions import corpora
from resources.events.webhook import WebhookQueue
from resources.object_store.obstore import ObstoreObjectStore
from sensors.bucket_events import bucket_events
from sensors.bucket_uploads import bucket_uploads
from sensors.listings import LISTING_TAG


class Watch:
    """Both sensors with their cursors; what they request becomes a run that waits."""

    def __init__(self, home: Path, instance: dg.DagsterInstance) -> None:
        self.home, self.instance = home, instance
        self.lake = ObstoreObjectStore(f"file://{home}/lake")
        self.queue = WebhookQueue(home / "events.db")
        self.cursors: dict[str, str | None] = {}
        self.runs: list[dg.DagsterRun] = []

    def tick(
        self, sensor: dg.SensorDefinition = bucket_events, *, stored: bool = True
    ) -> list[str]:
        """Corpora for which a run is requested; `stored` is false if the daemon dies first."""
        resources: dict[str, Any] = {"lake": self.lake}
        if sensor is bucket_events:
            resources["events"] = self.queue
        with dg.build_sensor_context(
            self.instance, cursor=self.cursors.get(sensor.name), resources=resources
        ) as context:
            result: Any = sensor(context)
        if stored:
            self.cursors[sensor.name] = result.cursor
            for request in result.dynamic_partitions_requests:
                self.instance.add_dynamic_partitions(
                    request.partitions_def_name, request.partition_keys
                )
            for request in result.run_requests:
                self._start(sensor.name, request)
        return [request.partition_key for request in result.run_requests]

    def finish(self) -> None:
        """End every run."""
        while self.runs:
            self.instance.report_run_canceled(self.runs.pop())

    def _start(self, sensor: str, request: dg.RunRequest) -> None:
        @dg.job
        def work() -> None: ...

        tags = {
            LISTING_TAG: request.tags[LISTING_TAG],
            "dagster/partition": request.partition_key or "",
            "dagster/sensor_name": sensor,
        }
        status = dg.DagsterRunStatus.STARTED
        self.runs.append(self.instance.create_run_for_job(work, status=status, tags=tags))


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Watch]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Watch(tmp_path, instance)


def test_only_what_a_notice_names_is_looked_at(watch: Watch) -> None:
    watch.lake.put("birds/owl.md", b"# Owl")
    watch.lake.put("fish/eel.md", b"# Eel")
    watch.queue.put(["birds"])
    assert watch.tick() == ["birds"]
    assert watch.tick() == []


def test_polling_finds_what_no_notice_told(watch: Watch) -> None:
    watch.lake.put("birds/owl.md", b"# Owl")
    assert watch.tick() == []
    assert watch.tick(bucket_uploads) == ["birds"]


@pytest.mark.parametrize("late", [bucket_uploads, bucket_events])
def test_what_one_sensor_requested_the_other_does_not(
    watch: Watch, late: dg.SensorDefinition
) -> None:
    early = bucket_events if late is bucket_uploads else bucket_uploads
    for text in (b"# Owl", b"# Barn owl"):
        watch.lake.put("birds/owl.md", text)
        watch.queue.put(["birds"])
        assert watch.tick(early) == ["birds"]
        assert watch.tick(late) == []
        watch.finish()
        assert watch.tick(late) == []
        assert watch.tick(early) == []


def test_polling_finds_what_a_failed_run_of_an_event_left(watch: Watch) -> None:
    watch.lake.put("birds/owl.md", b"# Owl")
    watch.queue.put(["birds"])
    assert watch.tick(bucket_events) == ["birds"]
    watch.instance.report_run_failed(watch.runs.pop())
    assert watch.tick(bucket_uploads) == ["birds"]


def test_a_notice_about_nothing_new_starts_nothing(watch: Watch) -> None:
    watch.lake.put("birds/owl.md", b"# Owl")
    for _ in range(3):
        watch.queue.put(["birds"])
        watch.tick()
        watch.finish()
    assert watch.instance.get_runs_count() == 1


def test_a_forged_notice_makes_no_corpus(watch: Watch) -> None:
    watch.queue.put(["ghosts", "Birds And Fish", "..", "_lakeloom"])
    assert watch.tick() == []
    assert watch.instance.get_dynamic_partitions(corpora.name or "") == []


def test_a_busy_corpus_is_looked_at_when_its_run_has_ended(watch: Watch) -> None:
    watch.lake.put("birds/owl.md", b"# Owl")
    watch.queue.put(["birds"])
    assert watch.tick() == ["birds"]
    watch.lake.put("birds/jay.md", b"# Jay")
    watch.queue.put(["birds"])
    assert [watch.tick(), watch.tick()] == [[], []]
    assert watch.queue.receive().corpora == frozenset()  # it waits in the cursor instead
    watch.finish()
    assert watch.tick() == ["birds"]


def test_a_tick_that_was_not_stored_is_repeated(watch: Watch) -> None:
    watch.lake.put("birds/owl.md", b"# Owl")
    watch.queue.put(["birds"])
    assert watch.tick(stored=False) == ["birds"]
    assert watch.tick() == ["birds"]


def test_a_deleted_corpus_is_seen(watch: Watch) -> None:
    watch.lake.put("birds/owl.md", b"# Owl")
    watch.queue.put(["birds"])
    watch.tick()
    watch.finish()
    watch.lake.delete("birds/owl.md")
    watch.queue.put(["birds"])
    assert watch.tick() == ["birds"]


def test_the_cursor_does_not_grow_with_objects_or_notices(watch: Watch) -> None:
    sizes = []
    for number in range(4):
        for each in range(10**number):
            watch.lake.put(f"birds/{each}.md", str(number).encode())
            watch.queue.put(["birds"])
        watch.tick()
        watch.finish()
        sizes.append(len(watch.cursors["bucket_events"] or ""))
    assert set(sizes) == {sizes[0]}
    assert json.loads(watch.cursors["bucket_events"] or "")["seen"].keys() == {"birds"}
