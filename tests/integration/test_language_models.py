"""A real decoder tuned for real, in a few steps on a small corpus."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from platform_assets.chunks.table import CHUNKS
from platform_assets.erasure.begin import begin
from platform_assets.language_models import recipes, refresh
from platform_assets.language_models.texts import texts_of
from platform_assets.queries import split_of
from platform_assets.raw_objects.table import document_id
from resources import registry
from resources.tracking.mlflow_session import EXPERIMENT
from resources.training import launch
from resources.training.causal.blocks import pack, spread
from tests.spies import Platform

pytestmark = pytest.mark.slow

CORPUS = "quarry"
NAME = "smollm2-tuned"
TOKENS, HELD_OUT = 48, 4
STONES = (
    "agate", "basalt", "chalk", "dolomite", "emery", "flint", "gneiss", "hornfels", "ironstone",
    "jasper", "kaolin", "limestone", "marble", "novaculite", "obsidian", "porphyry",
)  # fmt: skip
TWIN = next(key for key in map("twin-{}.md".format, count()) if split_of(key) == "train")
"""A document of the training part whose text a held-out document has, too."""
RECIPE = f"""
[{NAME}]
base = "SmolLM2-135M-Instruct"
corpora = ["{CORPUS}"]
steps = 8
batch_size = 2
tokens = {TOKENS}
learning_rate = %s
warmup_ratio = 0.1
held_out_blocks = {HELD_OUT}
seed = 3
save_steps = 2

[{NAME}.lora]
rank = 8
alpha = 16
layers = ["q_proj", "v_proj"]
"""


def text_on(stone: str) -> str:
    text = f"# Working {stone} in the quarry\n\nThe {stone} is split along its bed by two masons "
    return f"{text}and a boy.\n\nWhoever dresses {stone} needs a mallet and patience.\n"


class Quarry:
    """A corpus of like documents and the language model tuned on it."""

    def __init__(self, platform: Platform, toml: Path, patch: pytest.MonkeyPatch) -> None:
        self.platform, self.state, self.toml = platform, platform.state, toml
        patch.setattr(recipes, "RECIPES", toml)
        self.recipe(2e-3)
        self.patch = patch
        for stone in STONES:
            platform.write(CORPUS, f"{stone}.md", text_on(stone))
        unseen = next(stone for stone in STONES if split_of(f"{stone}.md") == "test")
        platform.write(CORPUS, TWIN, text_on(unseen))
        platform.materialize(CORPUS, select="+key:queries or +key:chunks")
        self.lost = self.tune_and_lose_the_worker()
        self.row = self.tune()

    def recipe(self, learning_rate: float) -> None:
        self.toml.write_text(RECIPE % learning_rate)

    def tune(self) -> dict[str, Any]:
        answer = self.platform.answer(CORPUS, select="key:language_models")
        [row] = answer["assets"]
        return dict(row)

    def tune_and_lose_the_worker(self) -> str:
        """What the run says whose worker is lost in its fourth step."""
        with self.patch.context() as patch:
            patch.setattr(launch, "WORKER", "tests.faults.lost_worker")
            return str(self.tune()["failed"])

    def details(self) -> dict[str, str]:
        return dict(self.state.ledger.require("language_models", NAME).details)


@pytest.fixture(scope="module")
def quarry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Quarry]:
    home = tmp_path_factory.mktemp("decoder")
    with pytest.MonkeyPatch.context() as patch:
        yield Quarry(Platform(home / "home", patch), home / "recipes.toml", patch)


def test_a_lost_worker_fails_the_run_and_the_next_one_goes_on_from_its_saved_state(
    quarry: Quarry,
) -> None:
    assert "the training ended with status -9" in quarry.lost
    assert quarry.row["work"]["trained_steps"] == 8 - 2
    scratch = quarry.state.checkpoints.scratch / "language_models"
    assert not (scratch / NAME).exists(), "nothing of it stays when it is done"


def test_the_loss_on_held_out_text_goes_down(quarry: Quarry) -> None:
    assert (quarry.row["failed"], quarry.row["warnings"]) == (None, [])
    details = quarry.details()
    assert float(details["held_out_loss_after"]) < float(details["held_out_loss_before"]) - 0.1
    held = sum(split_of(f"{stone}.md") == "test" for stone in STONES)
    assert int(details["held_out_documents"]) >= held > 0
    assert int(details["documents"]) > 0


def test_no_text_is_on_both_sides(quarry: Quarry) -> None:
    chunks = quarry.state.ledger.require("chunks", CORPUS)
    texts = texts_of(quarry.state.warehouse, chunks)
    learned = [text for text in texts if not text.held_out]
    assert {text.key for text in texts if text.held_out} >= {
        f"{stone}.md" for stone in STONES if split_of(f"{stone}.md") == "test"
    }
    assert all(split_of(text.key) == "train" for text in learned)
    assert TWIN not in {text.key for text in learned}
    held_out = {text.text for text in texts if text.held_out}
    assert not any(held in text.text for held in held_out for text in learned)


def test_the_adapter_in_the_lake_has_that_loss_again(quarry: Quarry) -> None:
    from resources.training.causal.decoder import load_adapter, load_base
    from resources.training.causal.loop import held_out_loss

    details = quarry.details()
    folder = quarry.state.checkpoints.folder(details["checkpoint"])
    names = {path.name for path in folder.iterdir()}
    assert names == {"adapter_model.safetensors", "adapter_config.json"}
    assert (
        '"base_model_name_or_path": "SmolLM2-135M-Instruct"'
        in (folder / "adapter_config.json").read_text()
    )
    base, tokenizer = load_base(
        registry.connect_hub(quarry.state.settings).fetch("SmolLM2-135M-Instruct")
    )
    chunks = quarry.state.ledger.require("chunks", CORPUS)
    texts = sorted(t.text for t in texts_of(quarry.state.warehouse, chunks) if t.held_out)
    blocks = pack(texts, lambda text: tokenizer(text)["input_ids"], tokenizer.eos_token_id, TOKENS)
    blocks = spread(blocks, HELD_OUT)
    before = float(details["held_out_loss_before"])
    assert held_out_loss(base, blocks) == pytest.approx(before, rel=1e-3)
    after = float(details["held_out_loss_after"])
    assert held_out_loss(load_adapter(base, folder), blocks) == pytest.approx(after, rel=1e-3)


def test_its_run_is_in_the_tracking(quarry: Quarry) -> None:
    client = MlflowClient(tracking_uri=quarry.state.settings.tracking)
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    criterion = f"tags.language_model = '{NAME}'"
    run, lost = client.search_runs([experiment.experiment_id], criterion)
    assert (run.info.status, lost.info.status) == ("FINISHED", "FAILED")
    details = quarry.details()
    after = run.data.metrics["held_out_loss_after"]
    assert after == pytest.approx(float(details["held_out_loss_after"]), rel=1e-4)
    names = [used.dataset.name for used in run.inputs.dataset_inputs]
    assert sorted(names) == [f"chunks/{CORPUS}", f"queries/{CORPUS}"]
    [version] = client.search_model_versions("name = 'lakeloom-language-model'")
    assert version.tags["digest"] == details["checkpoint"]


def test_it_is_tuned_once_and_never_unasked(quarry: Quarry) -> None:
    assert quarry.tune()["work"]["trained_steps"] == 0
    rows = quarry.platform.materialize(CORPUS, select="key:language_models or key:queries")
    assert set(rows) == {("queries", CORPUS), ("language_models", NAME)}
    answer = quarry.platform.answer(CORPUS, select="key:chunks+")  # others need an encoder
    assert "chunks" in (made := {row["asset"] for row in answer["assets"]})
    assert "language_models" not in made


def test_without_the_extra_it_says_what_to_install(
    quarry: Quarry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refresh, "_NEEDED", ("gguf", "not_installed"))
    quarry.recipe(1e-3)
    failed = quarry.tune()["failed"]
    quarry.recipe(2e-3)
    assert "a language model needs not_installed: `make decoder`" in failed


def test_a_document_it_learned_from_is_flagged_when_erased(quarry: Quarry) -> None:
    lake, warehouse = quarry.state.lake, quarry.state.warehouse
    keys = {row["key"] for row in quarry.platform.rows(CHUNKS, corpus=CORPUS)}
    learned = next(key for key in sorted(keys) if split_of(key) == "train")
    unseen = [key for key in sorted(keys) if split_of(key) == "test"][-1]  # it has no twin
    [found] = begin(CORPUS, document_id(CORPUS, learned), "", lake, warehouse).checkpoints
    assert (found.encoder, found.checkpoint) == (NAME, quarry.details()["checkpoint"])
    assert found.certain
    assert begin(CORPUS, document_id(CORPUS, unseen), "", lake, warehouse).checkpoints == ()


def test_an_adapter_that_is_worse_fails_its_check(quarry: Quarry) -> None:
    quarry.recipe(1.0)
    row = quarry.tune()
    assert row["failed"].startswith("held_out_loss_went_down: smollm2-tuned: the loss on")
    warned = [line for line in row["warnings"] if "erased" in line]
    assert not warned, "it was made after the erasure began, on what was there"
