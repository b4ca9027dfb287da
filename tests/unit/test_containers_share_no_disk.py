"""A run in a container of its own refuses stores on that container's disk, by name."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from resources import registry
from resources.settings import Settings, UsageError

LAYERS: dict[str, tuple[str, Callable[[Settings], Any], str]] = {
    "lake": ("LAKELOOM_LAKE", registry.connect_lake, "s3://"),
    "catalog": ("LAKELOOM_CATALOG", registry.connect_warehouse, "postgresql://"),
    "vectors": ("LAKELOOM_VECTORS", registry.connect_vectors, "http://"),
    "tracking": ("LAKELOOM_TRACKING", registry.connect_tracking, "http://"),
}


@pytest.mark.parametrize("layer", LAYERS)
def test_embedded_stores_are_refused(
    layer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_RUN_JOB_NAME", "__ASSET_JOB")
    variable, connect, other = LAYERS[layer]
    with pytest.raises(UsageError, match=rf"set {variable} to one of .*{other}") as refused:
        connect(Settings.from_env({"LAKELOOM_HOME": str(tmp_path)}))
    assert str(refused.value).startswith(variable)


def test_servers_are_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_RUN_JOB_NAME", "__ASSET_JOB")
    told = {"LAKELOOM_HOME": str(tmp_path), "LAKELOOM_TRACKING": "http://mlflow:5000"}
    assert registry.connect_tracking(Settings.from_env(told))


def test_one_machine_may_use_its_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DAGSTER_RUN_JOB_NAME", raising=False)
    assert registry.connect_lake(Settings.from_env({"LAKELOOM_HOME": str(tmp_path)}))
