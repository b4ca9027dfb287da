"""What the card of a published encoder says, and does not claim."""

from dataclasses import replace

from platform_assets.checkpoints.card import model_card
from platform_assets.checkpoints.recipes import Recipe, Training
from platform_assets.commands.push import learned_from
from platform_assets.evaluation.refresh import Quality
from platform_assets.provenance import Record, links
from resources.model_hub import ModelCard, Origin

PAIRS = Record("training_pairs", "docs", "4711", "d" * 64, 3, "1")
TRAINING = Training(
    corpora=("docs",), negatives=0, min_pairs=1, steps=1, batch_size=2, learning_rate=1e-5,
    warmup_ratio=0, scale=20, max_tokens=8, seed=1, save_steps=1,
)  # fmt: skip
GOOD, BAD = {"q1": 1.0, "q2": 0.5}, {"q1": 0.0, "q2": 0.0}


def card(trained: str = "yes", licence: str = "mit", **qualities: dict[str, Quality]) -> ModelCard:
    details = {"checkpoint": "c" * 64, "encoder_digest": "e" * 64, "trained": trained}
    checkpoint = Record("checkpoints", "mine", None, "e" * 64, 1, "1", details=details)
    recipe = Recipe(name="mine", base="tiny")
    origin = Origin("acme/tiny", licence)
    return model_card("me/mine", recipe, checkpoint, [PAIRS], qualities, origin)


def test_figures_have_intervals_and_failed_queries_count_as_asked() -> None:
    dense = Quality(GOOD, BAD, GOOD, attempted=("q1", "q2", "q3"))
    text = card(docs={"dense": dense, "hybrid": Quality({}, {}, {}, attempted=("q1",))}).text
    expected = "0.750 [0.500, 1.000] | 0.750 [0.500, 1.000] | 0.000 [0.000, 0.000] | 3 |"
    assert f"| docs | dense | {expected}" in text
    assert "| docs | hybrid" not in text, "nothing was measured there"


def test_it_claims_nothing_that_is_not_known() -> None:
    plain = card(trained="no", licence="unknown")
    assert plain.licence == "unknown"
    assert "Unknown: the card of acme/tiny declares none." in plain.text
    assert "This checkpoint was not measured." in plain.text
    assert "Nothing was trained here." in plain.text
    assert "4711" not in plain.text


def test_a_trained_one_names_its_data() -> None:
    text = card().text
    assert f"| training_pairs | docs | 4711 | `{'d' * 16}` |" in text
    assert "`mit`, as acme/tiny declares" in text


def test_the_data_is_that_of_the_corpora_its_recipe_names() -> None:
    upstream = links(replace(PAIRS, partition=corpus) for corpus in ("docs", "secrets"))
    checkpoint = Record("checkpoints", "mine", None, "", 1, "1", upstream=upstream)
    wanted = replace(PAIRS, partition="docs").record_id
    assert learned_from(Recipe(name="mine", base="tiny", training=TRAINING), checkpoint) == [wanted]
