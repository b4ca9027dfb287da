"""A recipe is edited: what Dagster calls stale, and what the next run makes anew."""

from pathlib import Path

import dagster as dg
import pytest

from platform_assets.checkpoints import recipes
from platform_assets.commands.state import open_instance
from platform_assets.commands.status import status
from platform_assets.definitions import build_defs
from tests.spies import Platform

pytestmark = pytest.mark.slow

CORPUS = "harbour"
SHORT = Path(__file__).parents[1] / "faults" / "recipes.toml"
ENCODERS = ("minilm", "minilm-tuned")
WORDS = ("bar", "dock", "ebb", "fairway", "gale", "haven", "inlet", "jetty", "keel", "lock")


@pytest.fixture
def edited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The recipes in use, with a training of a few steps, for a test to edit."""
    path = tmp_path / "recipes.toml"
    path.write_text(SHORT.read_text())
    monkeypatch.setattr(recipes, "RECIPES", path)
    return path


def stale(defs: dg.Definitions, instance: dg.DagsterInstance, asset: str) -> set[str]:
    """Partitions that Dagster's UI calls stale."""
    from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
    from dagster._core.loader import LoadingContextForTest

    loading = LoadingContextForTest(instance)
    resolver = CachingStaleStatusResolver(instance, defs.resolve_asset_graph(), loading)
    statuses = {name: resolver.get_status(dg.AssetKey(asset), name) for name in ENCODERS}
    return {name for name, found in statuses.items() if found == StaleStatus.STALE}


def test_exactly_its_own_partitions_are_stale(
    edited: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform = Platform(tmp_path / "home", monkeypatch)
    for word in WORDS:
        for work in ("Piloting past", "Dredging around", "Charting"):
            text = f"# {work} the {word} by night\n\nMind the {word}, {work.lower()} it.\n"
            platform.write(CORPUS, f"{work.split()[0]}-{word}.md", text)
    select = "not key:evaluation_plots"
    platform.materialize(CORPUS, encoders=ENCODERS, select=select)
    instance, defs = open_instance(platform.state.settings), build_defs()
    assert stale(defs, instance, "checkpoints") == set()
    assert status(platform.state)["corpora"][CORPUS]["stale"] == []

    edited.write_text(edited.read_text().replace("scale = 20", "scale = 10", 1))
    platform.materialize(CORPUS, encoders=ENCODERS, select="key:recipes")
    assert stale(defs, instance, "checkpoints") == {"minilm-tuned"}
    found = status(platform.state)["corpora"][CORPUS]
    assert found["stale"] == ["checkpoints [minilm-tuned]"]
    assert found["why_stale"] == {"checkpoints [minilm-tuned]": "its recipe has changed since"}

    rows = platform.materialize(CORPUS, encoders=ENCODERS, select="key:checkpoints+")
    assert platform.calls.trained == ["minilm-tuned"]
    worked = {key[1] for key, row in rows.items() if any(row["work"].values())}
    assert {name for name in worked if "minilm" in name} == {
        "minilm-tuned",
        f"{CORPUS}|minilm-tuned",
    }
    assert stale(defs, instance, "checkpoints") == set()


def test_a_misspelt_corpus_leaves_the_checkpoint_as_it_was(
    edited: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform = Platform(tmp_path / "home", monkeypatch)
    platform.write(CORPUS, "tide.md", "# The tide table\n\nMind the tide.\n")
    platform.materialize(CORPUS, encoders=["minilm-tuned"], select="+key:checkpoints")
    before = platform.state.ledger.require("checkpoints", "minilm-tuned")
    misspelt = edited.read_text().replace("negatives", 'corpora = ["harbuor"]\nnegatives')
    edited.write_text(misspelt)
    answer = platform.answer(CORPUS, encoders=["minilm-tuned"], select="key:checkpoints")
    [row] = answer["assets"]
    assert "names no corpus of this lake: harbuor" in row["failed"]
    assert platform.state.ledger.require("checkpoints", "minilm-tuned") == before


def test_a_base_that_cannot_be_brought_names_its_recipe(
    edited: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edited.write_text(edited.read_text() + '\n[other]\nbase = "no-such-model"\n')
    platform = Platform(tmp_path / "home", monkeypatch)
    platform.write(CORPUS, "tide.md", "# The tide table\n\nMind the tide.\n")
    answer = platform.answer(CORPUS, encoders=["minilm"], select="+key:chunks")
    failed = {row["asset"]: row["failed"] for row in answer["assets"]}
    assert "the base of other (recipes.toml) cannot be brought: " in str(failed["chunks"])
    assert "no-such-model" in str(failed["chunks"])
