"""While a command works on a corpus, neither sensor nor automation starts anything on it."""

import json
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import dagster as dg
import psutil
import pytest

from platform_assets.holds import KEY, WAITING, held, hold
from platform_assets.marked_executor import marked_executor
from platform_assets.partitions import corpora
from resources.object_store.folder import FolderObjectStore
from sensors.bucket_uploads import bucket_uploads
from tests.unit.test_abandoned_runs import SAY_TAG


def told(_: str) -> None:
    pytest.fail("nothing was to be waited for")


def test_a_command_holds_its_corpora_until_it_ends() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        with hold(instance, ["birds"], told):
            assert held(instance, ["birds", "fish"]) == {"birds"}
        assert held(instance, ["birds", "fish"]) == set()


def test_two_commands_hold_one_corpus_until_both_have_ended() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        with hold(instance, ["birds"], told):
            other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
            mark = f"{socket.gethostname()} {other.pid} {psutil.Process(other.pid).create_time()}"
            storage = instance.daemon_cursor_storage
            own = json.loads(storage.get_cursor_values({f"{KEY}birds"})[f"{KEY}birds"])
            storage.set_cursor_values({f"{KEY}birds": json.dumps([*own, mark])})
        assert held(instance, ["birds"]) == {"birds"}
        other.communicate(b"\n")
        assert held(instance, ["birds"]) == set()


def test_a_command_that_was_killed_holds_nothing() -> None:
    command = [sys.executable, "-c", SAY_TAG]
    mark = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    with dg.DagsterInstance.ephemeral() as instance:
        instance.daemon_cursor_storage.set_cursor_values({f"{KEY}birds": json.dumps([mark])})
        assert held(instance, ["birds"]) == set()


def test_the_sensor_leaves_a_held_corpus_alone(tmp_path: Path) -> None:
    lake = FolderObjectStore(f"file://{tmp_path}")
    for corpus in ("birds", "fish"):
        lake.put(f"{corpus}/a.md", b"# A")
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(corpora.name or "", ["birds", "fish"])
        with (
            hold(instance, ["birds"], told),
            dg.build_sensor_context(instance, resources={"lake": lake}) as context,
        ):
            result = bucket_uploads(context)
        assert isinstance(result, dg.SensorResult)
        assert [run.partition_key for run in result.run_requests or ()] == ["fish"]


done: list[str] = []


@dg.op
def record() -> None:
    done.append("done")


@dg.job(executor_def=marked_executor)
def recording() -> None:
    record()


def test_a_run_that_was_queued_waits_for_the_command_and_not_both_for_each_other(
    tmp_path: Path,
) -> None:
    tags = {"dagster/partition": "birds"}
    done.clear()
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:

        def launched() -> None:
            job = dg.reconstructable(recording)
            assert dg.execute_job(job, instance, tags=tags).success

        def waits() -> bool:
            return any(run.tags.get(WAITING) == "yes" for run in instance.get_runs())

        run = threading.Thread(target=launched)
        with hold(instance, ["birds"], told):
            run.start()
            while not waits():
                assert run.is_alive()
                time.sleep(0.05)
            with hold(instance, ["birds"], told):  # nor does another command wait for it
                assert done == []
        run.join(60)
        assert done == ["done"]
        assert not waits()


def test_a_command_waits_for_the_daemons_run_of_its_corpus() -> None:
    tags = {"dagster/partition": "birds|minilm"}
    lines: list[str] = []
    waiting = threading.Event()

    def show(line: str) -> None:
        lines.append(line)
        waiting.set()

    @dg.job
    def work() -> None: ...

    with dg.DagsterInstance.ephemeral() as instance:
        started = dg.DagsterRunStatus.STARTED
        run = instance.create_run_for_job(work, tags=tags, status=started)

        def end() -> None:
            waiting.wait(60)
            instance.report_run_failed(run)

        ending = threading.Thread(target=end)
        ending.start()
        with hold(instance, ["birds"], show):
            ended = instance.get_run_by_id(run.run_id)
            assert ended is not None
            assert ended.is_finished
        ending.join()
        assert lines == ["waiting for the daemon, which works on birds"]
