"""Which runs Dagster's own evaluation of the automation conditions asks for, without a daemon."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from platform_assets.automation import HOURLY, ON_CHANGE
from platform_assets.checkpoints import recipes
from platform_assets.checkpoints.recipes import load_recipes
from platform_assets.definitions import build_defs
from platform_assets.holds import hold
from platform_assets.partitions import corpora

UPLOADED = ("raw_objects", "documents", "chunks", "queries")
INDEXED = ("embeddings", "vector_index", "retrieval_evaluation")
PUBLISHED = ("evaluation_plots", "published_index")


class Wave:
    """Definitions, an instance and the automation's cursor."""

    def __init__(self, defs: dg.Definitions, instance: dg.DagsterInstance, *names: str) -> None:
        self.defs, self.instance, self.cursor = defs, instance, None
        instance.add_dynamic_partitions(corpora.name or "", names)
        self.tick()

    def tick(self) -> dict[str, list[str]]:
        """Asset -> partitions requested."""
        found: Any = dg.evaluate_automation_conditions(self.defs, self.instance, cursor=self.cursor)
        self.cursor = found.cursor
        requested = {
            key.to_user_string(): sorted(found.get_requested_partitions(key))
            for key in (result.key for result in found.results)
        }
        return {asset: partitions for asset, partitions in requested.items() if partitions}

    def made(self, assets: Sequence[str], partition: str, version: str) -> None:
        """Enter materialisations of a data version into the event log."""
        for asset in assets:
            tags = {"dagster/data_version": version}
            event = dg.AssetMaterialization(asset, partition=partition, tags=tags)
            self.instance.report_runless_asset_event(event)


def wanted(assets: Sequence[str], *partitions: str) -> dict[str, list[str]]:
    return {asset: list(partitions) for asset in assets}


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as found:
        yield found


@pytest.fixture
def wave(instance: dg.DagsterInstance) -> Wave:
    """Two corpora, and a checkpoint of one of the two encoders."""
    wave = Wave(build_defs(), instance, "birds", "fish")
    wave.made(["checkpoints"], "minilm", "1")
    assert wave.tick() == {}
    return wave


def test_an_upload_is_carried_to_the_published_index(wave: Wave) -> None:
    """An encoder without a checkpoint, `minilm-tuned`, holds nothing up."""
    wave.made(UPLOADED, "birds", "1")
    assert wave.tick() == wanted(INDEXED, "birds|minilm")
    assert wave.tick() == {}
    wave.made(INDEXED, "birds|minilm", "1")
    assert wave.tick() == wanted(PUBLISHED, "birds")
    wave.made(PUBLISHED, "birds", "1")
    assert wave.tick() == {}


def test_uploads_of_two_corpora_are_carried_at_once(wave: Wave) -> None:
    for corpus in ("birds", "fish"):
        wave.made(UPLOADED, corpus, "1")
    assert wave.tick() == wanted(INDEXED, "birds|minilm", "fish|minilm")


def test_the_wave_ends_where_nothing_changed(wave: Wave) -> None:
    wave.made(UPLOADED, "birds", "1")
    wave.tick()
    wave.made(INDEXED, "birds|minilm", "1")
    wave.tick()
    wave.made(PUBLISHED, "birds", "1")
    wave.tick()
    wave.made(UPLOADED, "birds", "1")
    assert wave.tick() == {}
    wave.made(UPLOADED, "birds", "2")
    assert wave.tick() == wanted(INDEXED, "birds|minilm")


def test_what_a_command_holds_is_left_to_it(wave: Wave) -> None:
    with hold(wave.instance, ["birds"], lambda _: None):
        for corpus in ("birds", "fish"):
            wave.made(UPLOADED, corpus, "1")
        assert wave.tick() == wanted(INDEXED, "fish|minilm")
        wave.made(INDEXED, "birds|minilm", "1")
    assert wave.tick() == wanted(PUBLISHED, "birds")


def test_a_new_checkpoint_embeds_every_corpus_with_that_encoder(wave: Wave) -> None:
    for corpus in ("birds", "fish"):
        wave.made(UPLOADED, corpus, "1")
    wave.tick()
    wave.made(["checkpoints"], "minilm-tuned", "1")
    assert wave.tick() == wanted(INDEXED, "birds|minilm-tuned", "fish|minilm-tuned")


def test_training_is_started_by_no_upload(wave: Wave) -> None:
    graph = wave.defs.resolve_asset_graph()
    automated = {
        key.to_user_string()
        for key in graph.get_all_asset_keys()
        if graph.get(key).automation_condition
    }
    assert automated == {
        *UPLOADED[1:],
        *INDEXED,
        *PUBLISHED,
        "promoted_encoder",
        "recipes",
    }
    assert graph.get(dg.AssetKey("promoted_encoder")).automation_condition == HOURLY


class Checked:
    """An asset with a blocking check and one that follows from it, run for real."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self.during: dict[str, list[str]] = {}
        self.version = 0

        @dg.asset(partitions_def=corpora)
        def source() -> dg.MaterializeResult[None]:
            self.version += 1
            return dg.MaterializeResult(data_version=dg.DataVersion(str(self.version)))

        @dg.asset_check(asset=source, blocking=True)
        def holds() -> dg.AssetCheckResult:
            self.during = self.wave.tick()
            return dg.AssetCheckResult(passed=self.passes)

        @dg.asset(deps=[source], partitions_def=corpora, automation_condition=ON_CHANGE)
        def derived() -> None: ...

        self.wave = Wave(dg.Definitions([source, derived], asset_checks=[holds]), instance)
        instance.add_dynamic_partitions(corpora.name or "", ["birds", "fish"])
        self.wave.tick()

    def run(self, partition: str, *, passes: bool) -> None:
        self.passes = passes
        self.wave.defs.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=self.instance,
            partition_key=partition,
            asset_selection=[dg.AssetKey("source")],
            raise_on_error=False,
        )


@pytest.fixture
def checked(instance: dg.DagsterInstance) -> Checked:
    return Checked(instance)


def test_what_failed_a_blocking_check_is_not_built_on(checked: Checked) -> None:
    checked.run("birds", passes=False)
    assert checked.wave.tick() == {}
    checked.run("fish", passes=True)
    assert checked.wave.tick() == {"derived": ["fish"]}
    checked.run("birds", passes=True)
    assert checked.wave.tick() == {"derived": ["birds"]}


def test_a_run_is_waited_for_until_its_checks_are_done(checked: Checked) -> None:
    checked.run("birds", passes=True)
    assert checked.during == {}
    assert checked.wave.tick() == {"derived": ["birds"]}


def test_a_changed_recipe_asks_for_its_own_partition_and_for_no_training(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    wave = Wave(build_defs(), instance, "birds")
    for encoder, recipe in load_recipes().items():
        wave.made(["recipes"], encoder, recipe.digest)
        wave.made(["checkpoints"], encoder, "1")
    assert wave.tick() == {}
    edited = tmp_path / "recipes.toml"
    edited.write_text(recipes.RECIPES.read_text().replace("learning_rate = ", "learning_rate = 1"))
    monkeypatch.setattr(recipes, "RECIPES", edited)
    assert wave.tick() == {"recipes": ["minilm-tuned"]}
    assert wave.tick() == {}
    wave.made(["recipes"], "minilm-tuned", load_recipes()["minilm-tuned"].digest)
    assert wave.tick() == {}


def test_a_recipe_file_that_is_half_written_stops_no_upload(
    wave: Wave, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = tmp_path / "recipes.toml"
    broken.write_text("[minilm]\nbase = ")
    monkeypatch.setattr(recipes, "RECIPES", broken)
    wave.made(UPLOADED, "birds", "1")
    assert wave.tick() == wanted(INDEXED, "birds|minilm")
