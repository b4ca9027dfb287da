"""The job `asset_checks` as CI runs it: every check on every partition, and the exit status."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from platform_assets.checkpoints import recipes
from platform_assets.commands.check import check
from platform_assets.commands.state import dagster_home
from platform_assets.definitions import defs
from platform_assets.provenance import PREFIX
from tests.spies import Platform

pytestmark = pytest.mark.slow

BIN = Path(sys.executable).parent
JOB = ("dagster", "job", "execute", "-m", "platform_assets.definitions", "-j", "asset_checks")
CORPORA = ("rivers", "lakes")


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """Two published corpora."""
    with pytest.MonkeyPatch.context() as patch:
        platform = Platform(tmp_path_factory.mktemp("audited"), patch)
        for corpus in CORPORA:
            for name in ("Northern", "Southern", "Eastern"):
                text = f"# {name} {corpus} of the continent\n\nThe {corpus} are deep there.\n"
                platform.write(corpus, f"{name.lower()}.md", text)
        platform.materialize(*CORPORA)
        yield platform


def run(platform: Platform, *command: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "DAGSTER_HOME": str(dagster_home(platform.state.settings))}
    return subprocess.run(
        [BIN / command[0], *command[1:]], env=env, capture_output=True, text=True, check=False
    )


def test_it_passes_where_every_check_holds(audited: Platform) -> None:
    done = run(audited, *JOB)
    assert done.returncode == 0, done.stderr[-3000:]


def test_every_check_is_run_on_every_partition(audited: Platform) -> None:
    done = run(audited, "lakeloom", "check", "--json")
    answer = json.loads(done.stdout)
    assert done.returncode == 0
    found = {(check["asset"], check["check"]): check["description"] for check in answer["checks"]}
    wanted = defs.resolve_asset_graph().asset_check_keys
    assert found.keys() == {(key.asset_key.to_user_string(), key.name) for key in wanted}
    assert found["chunks", "within_token_limit"] == "holds for all 2"
    assert found["checkpoints", "files_are_as_stored"] == "minilm: holds"


def test_it_fails_where_a_blocking_check_fails(audited: Platform) -> None:
    lake = audited.state.lake
    weights = next(
        item.key
        for item in lake.objects(f"{PREFIX}/checkpoints/")
        if item.key.endswith(".safetensors")
    )
    whole = lake.get(weights)
    lake.put(weights, b"\x00" + whole[1:])
    try:
        by_dagster, by_us = run(audited, *JOB), run(audited, "lakeloom", "check", "--json")
    finally:
        lake.put(weights, whole)
    assert by_dagster.returncode == 1
    assert by_us.returncode == 1
    failed = [check for check in json.loads(by_us.stdout)["checks"] if not check["passed"]]
    assert [check["check"] for check in failed] == ["files_are_as_stored"]
    assert "was altered" in failed[0]["description"]


def test_a_check_that_cannot_be_carried_out_has_failed(audited: Platform) -> None:
    lake, latest = audited.state.lake, f"{PREFIX}/latest/evaluation_plots/rivers"
    record = lake.get(latest)
    lake.put(latest, b"0" * 64)
    try:
        answer = check(audited.state, lambda _: None)
    finally:
        lake.put(latest, record)
    assert not answer["ok"]
    assert len(answer["checks"]) == len(defs.resolve_asset_graph().asset_check_keys)
    failed = {found["check"]: found for found in answer["checks"] if not found["passed"]}
    assert failed.keys() == {"plots_are_images", "every_pinned_snapshot_is_there"}
    for found in failed.values():
        assert found["severity"] == "ERROR"
        assert "0" * 64 in found["description"]


def test_an_encoder_without_a_recipe_is_retired(
    audited: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    renamed = tmp_path / "recipes.toml"
    renamed.write_text(recipes.RECIPES.read_text().replace("[minilm]", "[small]"))
    monkeypatch.setattr(recipes, "RECIPES", renamed)
    answer = check(audited.state, lambda _: None)
    assert answer["ok"]
    found = {(item["asset"], item["check"]): item["description"] for item in answer["checks"]}
    assert found.keys() == {
        (key.asset_key.to_user_string(), key.name)
        for key in defs.resolve_asset_graph().asset_check_keys
    }
    assert found["checkpoints", "trained_as_its_recipe_says"] == "nothing materialised yet"
    assert found["embeddings", "one_unit_vector_a_chunk"] == "nothing materialised yet"
