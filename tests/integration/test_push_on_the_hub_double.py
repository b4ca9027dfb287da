"""From a base model of a hub to a trained encoder at a hub. The hub is a protocol double."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import ModelCard

from platform_assets.checkpoints import recipes
from platform_assets.cli import main
from resources.model_hub.package import PackageHub
from resources.settings import Settings
from tests.servers.hub import TOKEN, HubDouble, named_hub
from tests.spies import Platform

pytestmark = pytest.mark.slow

CORPUS, BASE, TUNED, PLAIN = "quarry", "acme/minilm", "minilm-tuned", "minilm"
STONES = (
    "agate", "basalt", "chalk", "dolomite", "flint", "gneiss", "jasper", "limestone", "marble",
    "obsidian", "porphyry", "quartzite", "rhyolite", "sandstone", "travertine", "zeolite",
)  # fmt: skip
RECIPES = """
[minilm]
base = "{base}"

[minilm-tuned]
base = "{base}"

[minilm-tuned.training]
negatives = 1
min_pairs = 4
steps = 2
batch_size = 4
learning_rate = 1e-4
warmup_ratio = 0.1
scale = 20
max_tokens = 16
seed = 5
save_steps = 2
"""
LOADED = """
import sys
from sentence_transformers import SentenceTransformer
vectors = SentenceTransformer(sys.argv[1], device="cpu").encode(sys.argv[2:])
print("vectors", vectors.tolist())
"""


@dataclass
class Quarry:
    """A platform whose encoders come from a hub."""

    home: Path
    recipes: Path
    patch: pytest.MonkeyPatch

    def platform(self) -> Platform:
        return Platform(self.home, self.patch)

    def seeded(self, seed: int) -> None:
        self.recipes.write_text(self.recipes.read_text().replace("seed = 5", f"seed = {seed}"))


@pytest.fixture(scope="module")
def quarry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Quarry]:
    """Everything made with a hub that is gone by now."""
    folder = tmp_path_factory.mktemp("quarry")
    with pytest.MonkeyPatch.context() as patch:
        found = Quarry(folder / "home", folder / "recipes.toml", patch)
        with named_hub(patch) as hub:
            model = PackageHub().fetch("all-MiniLM-L6-v2")
            paths = [path for path in model.rglob("*") if path.is_file()]
            files = {path.relative_to(model).as_posix(): path.read_bytes() for path in paths}
            base = hub.put(BASE, files | {"pytorch_model.bin": b"x"})
            found.recipes.write_text(RECIPES.format(base=base))
            patch.setattr(recipes, "RECIPES", found.recipes)
            platform = found.platform()
            for stone in STONES:
                text = f"# Working {stone} in the quarry\n\nThe {stone} is split along its bed.\n\n"
                text += f"## Tools for dressing {stone}\n\nDressing {stone} takes a mallet.\n"
                platform.write(CORPUS, f"{stone}.md", text)
            rows = platform.materialize(
                CORPUS, encoders=(PLAIN, TUNED), select="not key:evaluation_plots"
            )
            assert rows["checkpoints", TUNED]["work"]["trained_steps"] == 2
        yield found


@pytest.fixture
def hub(quarry: Quarry) -> Iterator[HubDouble]:
    """Another hub, empty, that takes what is pushed."""
    with pytest.MonkeyPatch.context() as patch, named_hub(patch) as double:
        patch.setenv("LAKELOOM_HOME", str(quarry.home))
        patch.setenv("LAKELOOM_HUB", double.url)
        patch.setenv("HF_TOKEN", TOKEN)
        yield double


def push(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["push", *argv])
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


def pushed(capsys: pytest.CaptureFixture[str], *argv: str) -> dict[str, str]:
    status, out, err = push(capsys, *argv, "--json")
    assert status == 0, err
    answer: dict[str, str] = json.loads(out)
    return answer


@pytest.mark.usefixtures("quarry")
def test_nothing_private_goes_to_a_public_repository_on_the_hub_double(
    hub: HubDouble, capsys: pytest.CaptureFixture[str]
) -> None:
    pushed(capsys, TUNED, "--repo", "weaver/seen-by-all")
    before = hub.repositories["weaver/seen-by-all"].head
    status, _, said = push(capsys, TUNED, "--repo", "weaver/seen-by-all", "--private")
    assert status == 2
    assert "weaver/seen-by-all is there already and public" in said
    assert hub.repositories["weaver/seen-by-all"].head == before


def test_a_pushed_encoder_loads_by_its_name_on_the_hub_double(
    quarry: Quarry, hub: HubDouble, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    answer = pushed(capsys, TUNED, "--repo", "weaver/quarryman", "--private")
    assert answer == {
        "repo": "weaver/quarryman",
        "revision": hub.repositories["weaver/quarryman"].head,
        "url": f"{hub.url}/weaver/quarryman",
    }
    assert hub.repositories["weaver/quarryman"].private
    assert pushed(capsys, TUNED, "--repo", "weaver/quarryman") == answer, "nothing has changed"
    texts = ["how to split basalt along its bed", "a mallet"]
    environment = {**os.environ, "HF_HOME": str(tmp_path), "HF_ENDPOINT": hub.url}
    command = [sys.executable, "-c", LOADED, answer["repo"], *texts]
    loaded = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert loaded.returncode == 0, loaded.stderr[-2000:]
    theirs = np.array(json.loads(loaded.stdout.splitlines()[-1].removeprefix("vectors ")))
    state = quarry.platform().state
    ours = state.checkpoints.load(state.ledger.require("checkpoints", TUNED)).encode(texts)
    assert (ours * theirs).sum(axis=1).min() > 0.999


def test_its_card_says_what_it_is_made_of_and_how_good_it_is_on_the_hub_double(
    quarry: Quarry, hub: HubDouble, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = pushed(capsys, TUNED)
    assert answer["repo"] == "weaver/minilm-tuned"
    card = ModelCard(hub.files("weaver/minilm-tuned")["README.md"].decode())
    assert card.data.to_dict() == {
        "base_model": BASE,
        "library_name": "sentence-transformers",
        "license": "apache-2.0",
        "pipeline_tag": "sentence-similarity",
        "tags": ["sentence-transformers", "feature-extraction", "sentence-similarity", "lakeloom"],
    }
    ledger = quarry.platform().state.ledger
    record = ledger.require("checkpoints", TUNED)
    assert record.record_id in card.text
    for asset in ("raw_objects", "documents", "chunks", "queries", "training_pairs"):
        pinned = ledger.require(asset, CORPUS)
        assert f"| {asset} | {CORPUS} | {pinned.snapshot} | `{pinned.digest[:16]}` |" in card.text
    rows = [line.split(" | ") for line in card.text.splitlines() if line.startswith("| quarry |")]
    assert [row[1] for row in rows] == ["bm25", "dense", "hybrid"]
    for row in rows:
        assert all(cell[5] == " " and cell[6] == "[" for cell in row[2:5]), "a mean, an interval"
    assert '"learning_rate": 0.0001' in card.text
    assert 'SentenceTransformer("weaver/minilm-tuned")' in card.text


def test_a_pretrained_model_is_pushed_as_what_it_is_on_the_hub_double(
    hub: HubDouble, capsys: pytest.CaptureFixture[str]
) -> None:
    pushed(capsys, PLAIN)
    text = hub.files("weaver/minilm")["README.md"].decode()
    assert f"[{BASE}](https://huggingface.co/{BASE}), unchanged" in text
    assert "Nothing was trained here." in text


@pytest.mark.usefixtures("hub")
def test_a_refused_token_is_not_shown_on_the_hub_double(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_some_other")
    status, out, err = push(capsys, TUNED, "--json")
    assert (status, out) == (1, "")
    assert "refuses the token" in err
    assert "hf_some_other" not in err


def test_packages_take_no_models(
    quarry: Quarry, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKELOOM_HOME", str(quarry.home))
    monkeypatch.setenv("LAKELOOM_HUB", "package://")
    status, _, err = push(capsys, TUNED)
    assert status == 2
    assert "set LAKELOOM_HUB=huggingface://" in err


def test_training_again_needs_no_hub_on_the_hub_double(
    quarry: Quarry, hub: HubDouble, capsys: pytest.CaptureFixture[str]
) -> None:
    """The hub it came from is gone, the one there is lacks the base, the disk has no copy."""
    shutil.rmtree(Settings.from_env().cache)
    quarry.seeded(6)
    status, _, err = push(capsys, TUNED)
    assert status == 1
    assert "made by an earlier recipe" in err
    rows = quarry.platform().materialize(
        CORPUS, encoders=(TUNED,), select="key:chunks or key:training_pairs or key:checkpoints"
    )
    assert rows["checkpoints", TUNED]["work"]["trained_steps"] == 2
    assert not [path for _, path, _ in hub.calls if BASE in path]
    pushed(capsys, TUNED)
    card = hub.files("weaver/minilm-tuned")["README.md"].decode()
    assert "license: apache-2.0" in card
    assert "This checkpoint was not measured." in card, "the one before it was"
