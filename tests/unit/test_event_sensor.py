"""The event sensor on a real lake and the webhook's real queue, ticked as the daemon does."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from platform_assets.partitions import corpora
from platform_assets.raw_objects.listings import LISTING_METADATA, listing_digest, object_number
from resources.events import MOST_KEYS
from resources.events.webhook import WebhookQueue
from resources.object_store.obstore import ObstoreObjectStore
from sensors.bucket_events import bucket_events
from sensors.bucket_uploads import bucket_uploads
from sensors.listings import LARGE


class Watch:
    """Both sensors with their cursors; what they request becomes a run that waits."""

    def __init__(self, home: Path, instance: dg.DagsterInstance) -> None:
        self.home, self.instance = home, instance
        self.lake = ObstoreObjectStore(f"file://{home}/lake")
        self.queue = WebhookQueue(home / "events.db")
        self.cursors: dict[str, str | None] = {}
        self.runs: list[dg.DagsterRun] = []
        self.requests: list[dg.RunRequest] = []
        self.rows = 1

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
        """Let every run end well."""
        while self.runs:
            run = self.runs.pop()
            event = dg.DagsterEvent(dg.DagsterEventType.RUN_SUCCESS.value, run.job_name)
            self.instance.report_dagster_event(event, run.run_id)

    def materialize(self, corpus: str) -> None:
        """What a manifest says of itself, as if it had `rows`."""
        numbers = (object_number(x.key, x.etag, x.size) for x in self.lake.objects(f"{corpus}/"))
        metadata = {LISTING_METADATA: listing_digest(numbers), "dagster/row_count": self.rows}
        self.instance.report_runless_asset_event(
            dg.AssetMaterialization("raw_objects", partition=corpus, metadata=metadata)
        )

    def _start(self, sensor: str, request: dg.RunRequest) -> None:
        @dg.job
        def work() -> None: ...

        self.requests.append(request)
        self.materialize(request.partition_key or "")  # the first thing that a run does
        tags = {
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
    watch.queue.put(["birds/owl.md"])
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
        watch.queue.put(["birds/owl.md"])
        assert watch.tick(early) == ["birds"]
        assert watch.tick(late) == []
        watch.finish()
        assert watch.tick(late) == []
        assert watch.tick(early) == []


def test_polling_finds_what_a_failed_run_of_an_event_left(watch: Watch) -> None:
    watch.lake.put("birds/owl.md", b"# Owl")
    watch.queue.put(["birds/owl.md"])
    assert watch.tick(bucket_events) == ["birds"]
    watch.instance.report_run_failed(watch.runs.pop())
    assert watch.tick(bucket_uploads) == ["birds"]


def test_a_notice_about_nothing_new_starts_nothing(watch: Watch) -> None:
    watch.lake.put("birds/owl.md", b"# Owl")
    for _ in range(3):
        watch.queue.put(["birds/owl.md"])
        watch.tick()
        watch.finish()
    assert watch.instance.get_runs_count() == 1


def test_a_forged_notice_makes_no_corpus(watch: Watch) -> None:
    watch.queue.put(["ghosts/", "Birds And Fish/x.md", "../x.md", "_lakeloom/x"])
    assert watch.tick() == []
    assert watch.instance.get_dynamic_partitions(corpora.name or "") == []


def config(watch: Watch) -> object:
    """What the last run that was requested is told."""
    return watch.requests[-1].run_config


def only(*keys: str) -> object:
    return {"ops": {"raw_objects": {"config": {"keys": sorted(keys)}}}}


def test_of_a_large_corpus_the_named_objects_are_looked_at(watch: Watch) -> None:
    """It is not even listed: of this lake no listing would have it."""
    watch.rows = LARGE + 1
    watch.materialize("birds")
    watch.instance.add_dynamic_partitions(corpora.name or "", ["birds"])
    watch.queue.put(["birds/owl.md", "birds/nests/jay.md"])
    assert watch.tick() == ["birds"]
    assert config(watch) == only("nests/jay.md", "owl.md")
    watch.queue.put(["birds/owl.md"])
    watch.queue.put(["birds/wren.md"])
    assert watch.tick() == []  # they wait
    watch.finish()
    assert watch.tick() == ["birds"]
    assert config(watch) == only("owl.md", "wren.md")
    assert len({request.run_key for request in watch.requests}) == 2


def test_a_small_corpus_is_listed(watch: Watch) -> None:
    watch.rows = LARGE
    watch.materialize("birds")
    watch.lake.put("birds/owl.md", b"# Owl")
    watch.queue.put(["birds/owl.md"])
    assert watch.tick() == ["birds"]
    assert config(watch) == {}


@pytest.mark.parametrize("names", [["birds/"], [f"birds/{x}.md" for x in range(MOST_KEYS + 1)]])
def test_a_large_corpus_is_listed_where_all_or_much_is_named(
    watch: Watch, names: list[str]
) -> None:
    watch.rows = LARGE + 1
    watch.materialize("birds")
    watch.lake.put("birds/owl.md", b"# Owl")
    watch.queue.put(names)
    assert watch.tick() == ["birds"]
    assert config(watch) == {}


@pytest.mark.parametrize("end", ["failed", "canceled"])
def test_what_a_lost_run_was_told_of_is_found_by_the_next(watch: Watch, end: str) -> None:
    watch.rows = LARGE + 1
    watch.materialize("birds")
    for name in ("owl", "jay"):
        watch.lake.put(f"birds/{name}.md", name.encode())
        watch.queue.put([f"birds/{name}.md"])
        assert watch.tick() == ["birds"]
        getattr(watch.instance, f"report_run_{end}")(watch.runs.pop())
    assert [request.run_config for request in watch.requests] == [only("owl.md"), {}]


def test_polling_starts_nothing_for_what_named_objects_brought(watch: Watch) -> None:
    watch.rows = LARGE + 1
    watch.materialize("birds")
    assert watch.tick(bucket_uploads) == []
    watch.lake.put("birds/owl.md", b"# Owl")
    watch.queue.put(["birds/owl.md"])
    assert watch.tick() == ["birds"]
    watch.finish()
    assert watch.tick(bucket_uploads) == []


def test_a_busy_corpus_is_looked_at_when_its_run_has_ended(watch: Watch) -> None:
    watch.lake.put("birds/owl.md", b"# Owl")
    watch.queue.put(["birds/owl.md"])
    assert watch.tick() == ["birds"]
    watch.lake.put("birds/jay.md", b"# Jay")
    watch.queue.put(["birds/owl.md"])
    assert [watch.tick(), watch.tick()] == [[], []]
    assert watch.queue.receive().names == frozenset()  # it waits in the cursor instead
    watch.finish()
    assert watch.tick() == ["birds"]


def test_a_tick_that_was_not_stored_is_repeated(watch: Watch) -> None:
    watch.lake.put("birds/owl.md", b"# Owl")
    watch.queue.put(["birds/owl.md"])
    assert watch.tick(stored=False) == ["birds"]
    assert watch.tick() == ["birds"]


def test_a_deleted_corpus_is_seen(watch: Watch) -> None:
    watch.lake.put("birds/owl.md", b"# Owl")
    watch.queue.put(["birds/owl.md"])
    watch.tick()
    watch.finish()
    watch.lake.delete("birds/owl.md")
    watch.queue.put(["birds/owl.md"])
    assert watch.tick() == ["birds"]


def test_the_cursor_does_not_grow_with_objects_or_notices(watch: Watch) -> None:
    sizes = []
    for number in range(4):
        for each in range(10**number):
            watch.lake.put(f"birds/{each}.md", str(number).encode())
            watch.queue.put(["birds/owl.md"])
        watch.tick()
        watch.finish()
        sizes.append(len(watch.cursors["bucket_events"] or ""))
    assert set(sizes) == {sizes[0]}
    assert json.loads(watch.cursors["bucket_events"] or "")["seen"].keys() == {"birds"}


@pytest.mark.parametrize("sensor", [bucket_events, bucket_uploads])
def test_what_a_run_by_hand_left_undone_is_found(watch: Watch, sensor: dg.SensorDefinition) -> None:
    """It brought the manifest in line, and failed after that."""
    watch.lake.put("birds/owl.md", b"# Owl")

    @dg.asset(name="raw_objects", partitions_def=corpora)
    def manifest() -> dg.MaterializeResult[None]:
        items = watch.lake.objects("birds/")
        listing = listing_digest(object_number(x.key, x.etag, x.size) for x in items)
        return dg.MaterializeResult(metadata={LISTING_METADATA: listing, "dagster/row_count": 1})

    @dg.asset(deps=[manifest], partitions_def=corpora)
    def documents() -> None:
        raise ValueError("a fault of the moment")

    watch.instance.add_dynamic_partitions(corpora.name or "", ["birds"])
    dg.materialize(
        [manifest, documents], instance=watch.instance, partition_key="birds", raise_on_error=False
    )
    watch.queue.put(["birds/owl.md"])
    assert watch.tick(sensor) == ["birds"]


def test_other_keys_are_another_run_though_the_cursor_was_reset(watch: Watch) -> None:
    watch.rows = LARGE + 1
    watch.lake.put("birds/owl.md", b"# Owl")
    watch.materialize("birds")
    for name in ("owl", "jay"):
        watch.queue.put([f"birds/{name}.md"])
        assert watch.tick() == ["birds"]
        watch.finish()
        watch.queue.acknowledge("1000")
        watch.cursors.clear()
    assert len({request.run_key for request in watch.requests}) == 2
