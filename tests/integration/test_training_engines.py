"""Every engine that is installed, with two processes: same losses, same weights, no orphans.

`make test-engines` installs them all.
"""

import importlib.util
import json
import math
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import psutil
import pytest
from safetensors.numpy import load_file

from resources import registry
from resources.settings import Settings
from resources.training import Heard, TrainingJob, TrainingResult, launch, unheard
from tests.checkpoints import write_checkpoint
from tests.trainings import SETTINGS, STEPS, write_pairs

pytestmark = pytest.mark.slow

MARK = "LAKELOOM_TRAINING"
ONE_PROCESS = "accelerate://"
LOSS_BOUND = 1e-5
"""Largest difference of a step's loss, as a share of it: the sums are the same, their order is not.
"""
WEIGHT_BOUND = 0.01
"""How far apart two trainings may end, as a share of the way they went."""
ENGINES = [
    pytest.param(
        url,
        id=re.sub(r"\W+", "-", url),
        marks=pytest.mark.skipif(
            importlib.util.find_spec(package) is None, reason=f"{package} is not installed"
        ),
    )
    for package, url in (
        ("accelerate", "accelerate://?processes=2"),
        ("deepspeed", "deepspeed://?processes=2&stage=2"),
        ("deepspeed", "deepspeed://?processes=2&stage=3"),
        ("ray", "ray://?workers=2"),
        ("pyspark", "spark://?workers=2"),
    )
]
ENDLESS = """
import sys
from pathlib import Path
from pydantic import TypeAdapter
from resources.training import TrainingJob
from tests.integration.test_training_engines import materialize

materialize(sys.argv[1], TypeAdapter(TrainingJob).validate_json(sys.argv[2]))
"""


def make_job(folder: Path, **settings: Any) -> TrainingJob:
    """A small real model and pairs that are hard enough for the loss to move."""
    base = write_checkpoint(folder / "base")
    pairs = write_pairs(folder / "pairs.parquet")
    hyperparameters = SETTINGS | {"save_steps": 100} | settings
    return TrainingJob(base, pairs, folder / "out", folder / "state", hyperparameters)


def materialize(engine: str, job: TrainingJob, heard: Heard = unheard) -> TrainingResult:
    """Train in a Dagster run with the engine of a LAKELOOM_TRAINER."""
    trainer = registry.connect_trainer(replace(Settings.from_env(), trainer=engine))
    results: list[TrainingResult] = []

    @dg.asset
    def trained(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
        results.append(trainer.train(job, context, heard))
        return dg.MaterializeResult()

    dg.materialize([trained])
    return results[0]


def weights(folder: Path) -> dict[str, Any]:
    """All but the biases of keys: softmax ignores them, so what moves them is rounding alone."""
    found: dict[str, Any] = load_file(folder / "model.safetensors")
    return {name: value for name, value in found.items() if not name.endswith("key.bias")}


def distance(one: dict[str, Any], other: dict[str, Any]) -> float:
    return math.sqrt(
        sum(float(np.square(one[name] - other[name]).sum()) for name in one.keys() & other.keys())
    )


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainingJob, TrainingResult]:
    """The training that the others must agree with."""
    job = make_job(tmp_path_factory.mktemp("reference"))
    return job, materialize(ONE_PROCESS, job)


@pytest.mark.parametrize("engine", ENGINES)
def test_two_processes_train_as_one_and_what_they_saved_is_what_they_had(
    engine: str, tmp_path: Path, reference: tuple[TrainingJob, TrainingResult]
) -> None:
    job = make_job(tmp_path)
    heard: list[tuple[int, float]] = []
    result = materialize(engine, job, heard.extend)
    assert (result.world_size, result.steps) == (2, STEPS)
    assert tuple(heard) == result.losses

    expected_job, expected = reference
    losses = zip(result.losses, expected.losses, strict=True)
    difference = max(abs(one - other) / other for (_, one), (_, other) in losses)
    assert difference <= LOSS_BOUND, (result.losses, expected.losses)
    found, other, begun = map(weights, (job.output, expected_job.output, job.base_model))
    assert found.keys() == other.keys() >= begun.keys()
    apart = distance(found, other) / distance(begun, found)
    print(f"{engine}: losses within {difference:.1g}, weights {apart:.1g}")  # noqa: T201
    assert apart <= WEIGHT_BOUND

    again = replace(job, output=tmp_path / "again")
    heard.clear()
    assert materialize(engine, again, heard.extend).steps == 0  # all of it was in the saved state
    assert tuple(heard) == result.losses
    assert (again.output / "model.safetensors").read_bytes() == (
        job.output / "model.safetensors"
    ).read_bytes()


@pytest.mark.parametrize("engine", ENGINES[:3])
def test_one_process_that_is_short_of_memory_is_followed_by_all(
    engine: str,
    tmp_path: Path,
    reference: tuple[TrainingJob, TrainingResult],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By engines that start the worker themselves."""
    monkeypatch.setattr(launch, "WORKER", "tests.faults.poor_worker")
    job = make_job(tmp_path)
    if engine.startswith("deepspeed"):
        with pytest.raises(dg.Failure, match=r"memory ran out .* of 8 texts of .*: lower"):
            materialize(engine, job)
        return
    found, expected = materialize(engine, job).losses, reference[1].losses
    assert np.allclose([loss for _, loss in found], [loss for _, loss in expected], LOSS_BOUND)
    (told,) = job.state.glob("*/*/progress.json")
    assert json.loads(told.read_text())["micro_batch"] == 2, "of eight texts, halved twice"


class Watch(threading.Thread):
    """Sees every process of the trainings of this test, and acts once one is under way."""

    def __init__(self, job: TrainingJob, act: Callable[[list[psutil.Process]], None]) -> None:
        super().__init__(daemon=True)
        self.seen: set[psutil.Process] = set()
        self._job, self._act = job, act

    def run(self) -> None:
        """Wait for the first saved state."""
        while not list(self._job.state.glob("*/step-*[0-9]")):
            self.seen.update(marked())
            time.sleep(0.2)
        found = list(marked())
        self.seen.update(found)
        self._act(found)


def marked() -> Iterator[psutil.Process]:
    """Processes of this user's trainings that descend from this test."""
    for process in psutil.process_iter():
        try:
            if process.environ().get("LAKELOOM_TEST") == str(os.getpid()) and MARK in (
                process.environ()
            ):
                yield process
        except psutil.Error:
            continue


def lives(process: psutil.Process) -> bool:
    """Whether it still runs; one that ended and was not fetched by its new parent does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def is_second_worker(process: psutil.Process) -> bool:
    """Whether a process is rank 1, or one of the two of Ray, which tells nobody its rank."""
    told = process.environ()
    torch = "LOCAL_RANK" in told and told["RANK"] == "1"
    return torch or "RayTrainWorker" in " ".join(process.cmdline())


@pytest.mark.parametrize("engine", ENGINES)
def test_lost_worker_fails_the_run_and_leaves_nobody(
    engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKELOOM_TEST", str(os.getpid()))
    job = make_job(tmp_path, steps=10**6, save_steps=1)

    def kill_one(found: list[psutil.Process]) -> None:
        [*filter(is_second_worker, found), *found][0].kill()

    watch = Watch(job, kill_one)
    watch.start()
    with pytest.raises(dg.Failure, match="the training ended with status") as failure:
        materialize(engine, job)
    told = str(failure.value)
    assert "SIGKILL" in told or "its worker process has died" in told, told  # Ray's words
    assert len(watch.seen) > 2
    assert not [process for process in watch.seen if lives(process)]


@pytest.mark.parametrize("engine", ENGINES)
def test_nobody_outlives_a_killed_run(
    engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pydantic import TypeAdapter

    monkeypatch.setenv("LAKELOOM_TEST", str(os.getpid()))
    job = make_job(tmp_path, steps=10**6, save_steps=1)
    message = TypeAdapter(TrainingJob).dump_json(job).decode()
    launcher = subprocess.Popen([sys.executable, "-c", ENDLESS, engine, message])
    watch = Watch(job, lambda _: launcher.kill())
    watch.start()
    assert launcher.wait() == -9
    watch.join()
    _, alive = psutil.wait_procs(watch.seen, timeout=120)
    for process in alive:
        process.kill()
    assert not alive
    assert watch.seen
