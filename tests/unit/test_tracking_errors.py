import socket
from pathlib import Path

import pytest

from resources.secrets import without_secrets
from resources.settings import UsageError
from resources.tracking import Outcome, Training
from resources.tracking.mlflow import MlflowTracking
from resources.tracking.mlflow_session import experiment_name


def test_model_without_digest_is_refused_before_anything_is_opened(tmp_path: Path) -> None:
    tracking = MlflowTracking(f"sqlite:///{tmp_path}/mlflow.db")
    with pytest.raises(ValueError, match="must have `digest`"):
        tracking.register("minilm", tmp_path, {"colour": "blue"})
    with pytest.raises(ValueError, match="must have `digest`"):
        tracking.finish("", Training("encoder", "minilm", {}), Outcome((), {}, {}), tmp_path)
    assert not list(tmp_path.iterdir())


def test_unreachable_server_is_named_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with socket.socket() as free:  # bound and not listening: connections are refused
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        tracking = MlflowTracking(f"http://someone:s3cr%40t@127.0.0.1:{port}")
        with pytest.raises(RuntimeError, match="LAKELOOM_TRACKING=http") as caught:
            tracking.champion()
    assert f"127.0.0.1:{port}" in str(caught.value)
    assert "s3cr%40t" not in str(caught.value)
    assert "s3cr@t" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_stored_reasons_hold_no_secret() -> None:
    env = {
        "LAKELOOM_CATALOG": "postgresql+psycopg2://me:p%40ss@db/x",
        "AWS_SECRET_ACCESS_KEY": "wJalr/K7",
        "HF_TOKEN": "hf_abc",
        "TOKENIZERS_PARALLELISM": "false",
        "AZURE_STORAGE_CONNECTION_STRING": "AccountName=me;AccountKey=a2V5==;EndpointSuffix=host",
        "LAKELOOM_LAKE": "s3://[half",
    }
    said = "false: p@ss, p%40ss, wJalr/K7, hf_abc, a2V5== and https://you:other@host/path"
    assert without_secrets(said, env) == "false: ***, ***, ***, ***, *** and https://***@host/path"
    whole = env["AZURE_STORAGE_CONNECTION_STRING"]
    assert without_secrets(f"bad: {whole}.", env) == "bad: ***."


@pytest.mark.parametrize("name", ["/Shared/search", "a:b", "o'clock"])
def test_an_experiment_that_no_model_can_be_called_after_is_refused_before_a_training(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", name)
    with pytest.raises(UsageError, match="MLFLOW_EXPERIMENT_NAME"):
        experiment_name()
