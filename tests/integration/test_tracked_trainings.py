"""Trainings by the graph and what MLflow has of them: well ended, failed, killed, while it is down.

The server is real; a recipe of six steps trains the real base model.
"""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import psutil
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from platform_assets import live_losses
from platform_assets.checkpoints import recipes
from platform_assets.commands.state import open_instance
from platform_assets.definitions import build_defs
from resources import registry
from resources.tracking import Training
from resources.tracking.mlflow_session import EXPERIMENT
from resources.training import launch
from sensors.ended_trainings import cancelled_trainings, failed_trainings
from tests.servers import free_ports
from tests.servers.mlflow import mlflow_server
from tests.spies import Platform

pytestmark = pytest.mark.slow

CORPUS = "quarry"
TUNED = "minilm-tuned"
RECIPES = Path(__file__).parents[1] / "faults" / "recipes.toml"
STONES = (
    "agate", "basalt", "chalk", "dolomite", "emery", "flint", "gneiss", "hornfels", "ironstone",
    "jasper", "kaolin", "limestone", "marble", "novaculite", "obsidian", "porphyry", "quartzite",
)  # fmt: skip
TRAIN = "key:checkpoints"
STEPS, SAVED = 60, 20
"""Of a training that takes some seconds, and between two of its saved states."""


class Quarry:
    """A corpus with training pairs, and an MLflow server that is not up yet."""

    def __init__(self, home: Path, patch: pytest.MonkeyPatch) -> None:
        [self.port] = free_ports(1)
        self.folder = home / "server"
        patch.setenv("LAKELOOM_TRACKING", f"http://127.0.0.1:{self.port}")
        patch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        patch.setattr(recipes, "RECIPES", RECIPES)
        self.platform = Platform(home / "home", patch)
        for stone in STONES:
            text = f"# Working {stone} in the quarry\n\nThe {stone} is split along its bed.\n\n"
            self.platform.write(CORPUS, f"{stone}.md", text)
        self.platform.materialize(CORPUS, select="+key:training_pairs")

    def checkpoint(self, **overrides: Any) -> dict[str, Any]:
        """Materialise the trained encoder's checkpoint; its row in the report."""
        answer = self.platform.answer(CORPUS, encoders=[TUNED], select=TRAIN, **overrides)
        row: dict[str, Any] = answer["assets"][0]
        return row

    def metadata(self) -> dict[str, Any]:
        """Of the last materialisation."""
        instance = open_instance(self.platform.state.settings)
        found = instance.fetch_materializations(dg.AssetKey("checkpoints"), limit=1).records[0]
        assert found.asset_materialization
        return {name: value.value for name, value in found.asset_materialization.metadata.items()}

    def runs(self) -> list[Run]:
        """All runs that the server has, the last one first."""
        client = MlflowClient(tracking_uri=self.platform.state.settings.tracking)
        experiment = client.get_experiment_by_name(EXPERIMENT)
        return list(client.search_runs([experiment.experiment_id])) if experiment else []

    def losses(self, run: Run) -> list[int]:
        """Steps whose losses the server has of a run, as often as it has them, sorted."""
        client = MlflowClient(tracking_uri=self.platform.state.settings.tracking)
        history = client.get_metric_history(run.info.run_id, "loss")
        return sorted(point.step for point in history)


@pytest.fixture(scope="module")
def quarry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Quarry]:
    with pytest.MonkeyPatch.context() as patch:
        yield Quarry(tmp_path_factory.mktemp("tracked"), patch)


@pytest.fixture(scope="module")
def while_down(quarry: Quarry) -> dict[str, Any]:
    """The row of a training while the server is down."""
    return quarry.checkpoint()


@pytest.fixture(scope="module")
def server(quarry: Quarry, while_down: dict[str, Any]) -> Iterator[str]:
    """The server, up from the moment that training is over."""
    assert while_down
    with mlflow_server(quarry.folder, quarry.port) as url:
        yield url


def test_a_training_outlives_a_tracking_that_is_down(
    quarry: Quarry, while_down: dict[str, Any]
) -> None:
    assert while_down["failed"] is None
    assert while_down["work"]["trained_steps"] == 6
    [said] = [line for line in while_down["warnings"] if "tracked" in line]
    assert "1 trainings wait for the experiment tracking" in said
    assert any("tracking at LAKELOOM_TRACKING" in line for line in quarry.platform.lines)
    record = quarry.platform.state.ledger.require("checkpoints", TUNED)
    assert record.details["trained"] == "yes"


def test_the_next_materialisation_makes_it_good(quarry: Quarry, server: str) -> None:
    row = quarry.checkpoint()
    assert (row["failed"], row["warnings"]) == (None, [])
    assert row["work"]["trained_steps"] == 0
    (run,) = quarry.runs()
    assert run.info.status == "FINISHED"
    assert run.data.params["learning_rate"] == "0.0001"
    assert "mlflow.parentRunId" not in run.data.tags
    record = quarry.platform.state.ledger.require("checkpoints", TUNED)
    (used,) = run.inputs.dataset_inputs
    assert used.dataset.name == f"training_pairs/{CORPUS}"
    pairs = quarry.platform.state.ledger.require("training_pairs", CORPUS)
    assert f'"snapshot": "{pairs.snapshot}"' in used.dataset.source
    version = registry.connect_tracking(quarry.platform.state.settings).version_of(
        TUNED, record.details["checkpoint"]
    )
    found = quarry.metadata()
    assert found["mlflow run"].startswith(f"{server}/#/experiments/")
    assert found["mlflow run"].endswith(run.info.run_id)
    assert found["mlflow version"].endswith(f"/versions/{version}")
    assert quarry.checkpoint()["warnings"] == []
    assert len(quarry.runs()) == 1


@pytest.mark.usefixtures("server")
def test_a_training_that_fails_is_a_failed_run_with_the_reason(
    quarry: Quarry, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = len(quarry.runs())
    monkeypatch.setenv("WORKERS_TOKEN", "no_such_worker")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(launch, "WORKER", "resources.training.no_such_worker")
        patch.setattr("platform_assets.checkpoints.assets.CODE_VERSION", "another")
        assert "ended with status 1" in quarry.checkpoint()["failed"]
    runs = quarry.runs()
    assert len(runs) == before + 1
    assert runs[0].info.status == "FAILED"
    assert "ended with status 1" in runs[0].data.tags["failure"]
    assert "***" in runs[0].data.tags["failure"]
    assert "no_such_worker" not in runs[0].data.tags["failure"]


class Onlooker(threading.Thread):
    """Follows the newest run as MLflow's UI does, and kills its worker after a step."""

    def __init__(self, quarry: Quarry, step: int) -> None:
        super().__init__(daemon=True)
        self.seen: list[int] = []
        """Steps that the running training had, each time it had more."""
        self._quarry, self._step = quarry, step
        self._before = {run.info.run_id for run in quarry.runs()}

    def run(self) -> None:
        while max(self.seen, default=0) < self._step:
            time.sleep(0.1)
            for run in self._quarry.runs():
                if run.info.run_id not in self._before and run.info.status == "RUNNING":
                    last = max(self._quarry.losses(run), default=0)
                    self.seen += [last] if last > max(self.seen, default=0) else []
        for process in psutil.Process().children(recursive=True):
            if launch.WORKER in process.cmdline():
                process.kill()


@pytest.mark.usefixtures("server")
def test_losses_are_seen_during_a_training_and_outlive_its_worker(
    quarry: Quarry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    longer = RECIPES.read_text().replace("steps = 6", f"steps = {STEPS}")
    longer = longer.replace("save_steps = 2", f"save_steps = {SAVED}")
    (tmp_path / "recipes.toml").write_text(longer)
    monkeypatch.setattr(recipes, "RECIPES", tmp_path / "recipes.toml")
    monkeypatch.setattr(live_losses, "SECONDS", 0.2)
    onlooker = Onlooker(quarry, SAVED + 1)
    onlooker.start()
    assert "ended with status -9" in quarry.checkpoint()["failed"]
    onlooker.join()
    assert len(onlooker.seen) > 1
    killed = quarry.runs()[0]
    assert killed.info.status == "FAILED"
    told = quarry.losses(killed)
    assert told == list(range(1, len(told) + 1))
    assert onlooker.seen[-1] <= len(told) < STEPS

    row = quarry.checkpoint()
    assert row["failed"] is None
    assert row["work"]["trained_steps"] in range(STEPS - len(told), STEPS)
    resumed = quarry.runs()[0]
    assert resumed.info.status == "FINISHED"
    assert quarry.losses(resumed) == list(range(1, STEPS + 1))
    assert quarry.losses(killed) == told


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("sensor", [failed_trainings, cancelled_trainings])
def test_the_run_of_a_killed_training_is_closed_by_the_sensor(
    quarry: Quarry, sensor: dg.SensorDefinition
) -> None:
    tracking = registry.connect_tracking(quarry.platform.state.settings)
    with dg.DagsterInstance.ephemeral() as instance:
        run = instance.create_run_for_job(
            build_defs().resolve_implicit_global_asset_job_def(),
            asset_selection=frozenset([dg.AssetKey("checkpoints")]),
        )
        tags = {"dagster_run_id": run.run_id}
        tracking.begin(Training("encoder", sensor.name, {}, (), tags))
        assert quarry.runs()[0].info.status == "RUNNING"
        if sensor is failed_trainings:
            instance.report_run_failed(run, "The process that executed this run is gone.")
        else:
            instance.report_run_canceled(run)
        ended = {dg.DagsterEventType.RUN_FAILURE, dg.DagsterEventType.RUN_CANCELED}
        event = instance.get_records_for_run(run.run_id, of_type=ended).records[0]
        dagster_event = event.event_log_entry.get_dagster_event()
        context = dg.build_run_status_sensor_context(
            sensor.name, dagster_event, instance, run, resources={"tracking": tracking}
        )
        sensor(context)
    assert quarry.runs()[0].info.status == "KILLED"
