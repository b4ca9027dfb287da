"""The code location as Dagster's users see it: it loads, loads fast, and describes itself."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from platform_assets.definitions import defs

ROOT = Path(__file__).resolve().parents[2]
HEAVY = {
    "accelerate",
    "dagster_mlflow",
    "keras",
    "duckdb",
    "matplotlib",
    "mlflow",
    "openvino",
    "pandas",
    "qdrant_edge",
    "sentence_transformers",
    "torch",
    "transformers",
    "unstructured",
}
TABLES = {
    "raw_objects",
    "documents",
    "chunks",
    "queries",
    "training_pairs",
    "embeddings",
    "retrieval_evaluation",
}
GROUPS = (
    "data_lake",
    "document_processing",
    "training_data",
    "encoders",
    "language_models",
    "embeddings",
    "vector_database",
    "evaluation",
    "maintenance",
    "governance",
    "classification",
)


@pytest.fixture(scope="module")
def graph() -> Any:
    return defs.resolve_asset_graph()


@pytest.fixture(scope="module")
def specs() -> dict[str, dg.AssetSpec]:
    return {spec.key.to_user_string(): spec for spec in defs.resolve_all_asset_specs()}


def test_it_loads_in_full() -> None:
    dg.Definitions.validate_loadable(defs)


@pytest.mark.slow
def test_dg_finds_and_checks_it() -> None:
    """`dg` reads where the definitions are from pyproject.toml, as `dg dev` does."""
    dg_command = Path(sys.executable).with_name("dg")
    done = subprocess.run(
        [dg_command, "check", "defs"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_loading_imports_no_heavy_library() -> None:
    script = "import platform_assets.definitions, sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True, cwd=ROOT
    )
    assert not HEAVY & set(done.stdout.split())


def test_every_asset_describes_itself(specs: dict[str, dg.AssetSpec]) -> None:
    assert len(specs) == 18
    for name, spec in specs.items():
        assert spec.description, name
        assert spec.owners, name
        assert spec.code_version, name
        assert spec.group_name in GROUPS, name
        assert 1 <= len(spec.kinds) <= 3, name
        assert spec.partitions_def, name


def test_every_table_shows_its_columns_with_their_meaning(specs: dict[str, dg.AssetSpec]) -> None:
    for name in TABLES:
        schema = specs[name].metadata["dagster/column_schema"]
        assert schema.columns, name
        assert all(column.description for column in schema.columns), name


def test_every_asset_has_a_check(graph: Any) -> None:
    checked = {key.asset_key for key in graph.asset_check_keys}
    assert checked == set(graph.get_all_asset_keys())


def test_what_guards_the_next_step_blocks_it(graph: Any) -> None:
    blocking = {
        key.asset_key.to_user_string() for key in graph.asset_check_keys if graph.get(key).blocking
    }
    followed = {
        key.to_user_string() for key in graph.get_all_asset_keys() if graph.get(key).child_keys
    }
    assert followed - {"raw_objects"} <= blocking


def test_the_job_of_the_weekly_checks_holds_every_check(graph: Any) -> None:
    [weekly] = [x for x in defs.schedules or () if x.name == "weekly_asset_checks"]
    job = defs.resolve_job_def(weekly.job_name)
    assert set(job.asset_layer.asset_graph.asset_check_keys) == set(graph.asset_check_keys)
    assert not job.asset_layer.selected_asset_keys


def test_what_starts_by_itself() -> None:
    running = {
        sensor.name
        for sensor in defs.sensors or ()
        if sensor.default_status == dg.DefaultSensorStatus.RUNNING
    }
    assert running == {
        "bucket_uploads",
        "pretrained_encoders",
        "failed_trainings",
        "cancelled_trainings",
        "automation",
    }
    assert not any(
        schedule.default_status == dg.DefaultScheduleStatus.RUNNING
        for schedule in defs.schedules or ()
    )
