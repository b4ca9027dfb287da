"""The graph on another inference engine: LAKELOOM_ENCODING decides, and nothing old is served."""

from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from platform_assets.commands.status import status
from platform_assets.embeddings.table import EMBEDDINGS
from resources.tracking.mlflow_session import model_name
from tests.spies import Platform

pytestmark = pytest.mark.slow
UNASKED = "not (key:checkpoints or key:recipes)"
"""What runs by itself after an upload."""


def test_another_engine_embeds_anew_and_is_what_answers(
    platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform.write("sea", "bell.md", "# The bell\n\nIt is struck every half hour of the watch.")
    platform.write("sea", "lead.md", "# The lead\n\nTallow brings up sand from the bottom.")
    platform.materialize("sea")
    [before] = {row["encoder_digest"] for row in platform.rows(EMBEDDINGS, corpus="sea")}
    assert status(platform.state)["corpora"]["sea"]["stale"] == []
    [registered] = versions(platform)

    monkeypatch.setenv("LAKELOOM_ENCODING", "torch://")
    platform = Platform(tmp_path, monkeypatch)
    platform.write("sea", "log.md", "# The log\n\nKnots are counted against the sandglass.")
    told = [row["failed"] for row in platform.answer("sea", select=UNASKED)["assets"]]
    assert any("LAKELOOM_ENCODING" in str(each) for each in told), told
    assert len(platform.rows(EMBEDDINGS, corpus="sea")) == 2
    behind = status(platform.state)["corpora"]["sea"]
    assert "checkpoints [minilm]" in behind["stale"]
    assert "another engine" in behind["why_stale"]["checkpoints [minilm]"]

    platform.materialize("sea")
    [after] = {row["encoder_digest"] for row in platform.rows(EMBEDDINGS, corpus="sea")}
    assert after != before
    assert platform.search("sea", "what comes up from the ground", top=1)[0]["key"] == "lead.md"
    platform.materialize("sea")
    assert platform.calls.none()
    assert status(platform.state)["corpora"]["sea"]["stale"] == []

    [same] = versions(platform)
    assert same.version == registered.version
    assert registered.tags["encoder_digest"] == before
    assert same.tags["encoder_digest"] == after


def versions(platform: Platform) -> list[ModelVersion]:
    """Of the encoder in the model registry."""
    place = platform.state.settings.tracking
    client = MlflowClient(tracking_uri=place, registry_uri=place)
    return [
        found
        for found in client.search_model_versions(f"name = '{model_name('encoder')}'")
        if found.tags["encoder"] == "minilm"
    ]
