"""An encoder trained for real, in a few steps: when it is champion, and what its index is of.

One state is told in three parts: the champion stays, moves, and its index is served and traced.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from platform_assets.checkpoints import recipes
from platform_assets.commands.trace import trace
from platform_assets.queries.table import TRAINING_PAIRS
from resources import registry
from resources.vector_store import Hit
from tests.faulty_vectors import FaultyVectors, Misled
from tests.spies import Platform
from tests.tampering import Rows, tampered

pytestmark = pytest.mark.slow

CORPUS = "quarry"
BASE, TUNED = "minilm", "minilm-tuned"
STONES = (
    "agate", "basalt", "chalk", "dolomite", "emery", "flint", "gneiss", "hornfels", "ironstone",
    "jasper", "kaolin", "limestone", "marble", "novaculite", "obsidian", "porphyry", "quartzite",
    "rhyolite", "sandstone", "travertine", "umber", "vesuvianite", "wacke", "zeolite",
)  # fmt: skip
RECIPES = Path(__file__).parents[1] / "faults" / "recipes.toml"
STEPS = 6


class Quarry:
    """A corpus, its base encoder and one trained on it."""

    def __init__(self, platform: Platform) -> None:
        self.platform, self.state = platform, platform.state
        for stone in STONES:
            text = f"# Working {stone} in the quarry\n\nThe {stone} is split along its bed.\n\n"
            text += f"## Tools for dressing {stone}\n\nWhoever dresses {stone} needs a mallet.\n"
            platform.write(CORPUS, f"{stone}.md", text)
        self.rows = self.materialize("not key:evaluation_plots")
        self.first_champion = self.champion()

    def materialize(self, select: str, *encoders: str, **overrides: Any) -> dict[Any, Any]:
        chosen = encoders or (BASE, TUNED)
        return self.platform.materialize(CORPUS, encoders=chosen, select=select, **overrides)

    def champion(self) -> str | None:
        found = registry.connect_tracking(self.state.settings).champion()
        return found[0] if found else None

    def verdict(self) -> dict[str, str]:
        return dict(self.state.ledger.require("promoted_encoder", TUNED).details)

    def broken(self) -> set[str]:
        links = trace(self.state, CORPUS)["links"]
        return {link["asset"] for link in links if not link["ok"]}


@pytest.fixture(scope="module")
def quarry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Quarry]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recipes, "RECIPES", RECIPES)
        yield Quarry(Platform(tmp_path_factory.mktemp("quarry"), patch))


@pytest.fixture(scope="module")
def overtaken(quarry: Quarry) -> dict[Any, Any]:
    """The base encoder finds nothing any more; the rows of the promotion that follows."""
    quarry.platform.write(CORPUS, "slate.md", "# Roofing with slate\n\nSlate is riven thin.\n")
    quarry.materialize("+key:vector_index")
    stray = Hit("0", 1.0, "", {"doc_id": "no such document"})
    lost = FaultyVectors(quarry.state.vectors, lambda real: Misled(real, lambda _: [stray]))
    quarry.materialize("key:retrieval_evaluation", TUNED)
    quarry.materialize("key:retrieval_evaluation", BASE, vectors=lost)
    return quarry.materialize("key:promoted_encoder", TUNED)


def test_the_champion_stays_where_the_trained_encoder_is_not_better(quarry: Quarry) -> None:
    assert quarry.rows["checkpoints", TUNED]["work"]["trained_steps"] == STEPS
    [said] = quarry.rows["promoted_encoder", TUNED]["warnings"]
    assert said.startswith("better_than_the_champion: minilm-tuned: not significantly better")
    assert quarry.first_champion == BASE


def test_the_champion_moves_to_an_encoder_that_is_better(
    quarry: Quarry, overtaken: dict[Any, Any]
) -> None:
    assert not overtaken["promoted_encoder", TUNED]["warnings"]
    assert quarry.verdict()["why"].startswith("better: nDCG@10 +")
    assert quarry.verdict()["champion"].startswith("minilm-tuned v")
    assert quarry.champion() == TUNED


@pytest.mark.usefixtures("overtaken")
def test_its_index_is_traced_to_the_pairs_it_was_trained_on(quarry: Quarry) -> None:
    quarry.materialize("key:published_index")
    served = quarry.state.vectors.served(CORPUS)
    assert served is not None
    assert served.encoder == TUNED
    answer = trace(quarry.state, CORPUS)
    assert answer["ok"], [link for link in answer["links"] if not link["ok"]]
    found = Counter((link["asset"], link["partition"]) for link in answer["links"])
    assert found["checkpoints", TUNED] == found["training_pairs", CORPUS] == 1
    for asset in ("raw_objects", "documents", "chunks"):  # as they are, and at the training
        assert found[asset, CORPUS] == 2

    def another_positive(rows: Rows) -> None:
        rows[0]["positive"] = "other words"

    with tampered(quarry.platform, TRAINING_PAIRS, another_positive):
        assert quarry.broken() == {"training_pairs"}
    assert quarry.broken() == set()


@pytest.mark.usefixtures("overtaken")
def test_a_later_version_that_is_worse_leaves_the_alias_where_it_is(
    quarry: Quarry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    held = registry.connect_tracking(quarry.state.settings).champion()
    assert held is not None
    spoilt = tmp_path / "recipes.toml"
    spoilt.write_text(RECIPES.read_text().replace("learning_rate = 1e-4", "learning_rate = 0.1"))
    monkeypatch.setattr(recipes, "RECIPES", spoilt)
    quarry.materialize("key:checkpoints or key:embeddings or key:vector_index", TUNED)
    quarry.materialize("key:retrieval_evaluation or key:promoted_encoder", TUNED)
    assert registry.connect_tracking(quarry.state.settings).champion() == held
    assert quarry.verdict()["why"].startswith("not significantly better: ")
    assert quarry.verdict()["version"] != held[1]
