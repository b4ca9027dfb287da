"""Recipes of language models, and texts cut into blocks."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from platform_assets.language_models.recipes import RECIPES, load_language_models
from resources.training.causal.blocks import SCHEMA, check_shares, pack, read_texts, spread


def test_the_shipped_recipes_are_read() -> None:
    found = load_language_models()
    assert found["smollm2-tuned"].lora.layers == ("q_proj", "v_proj")
    assert "corpora" not in found["smollm2-tuned"].hyperparameters()


def test_where_it_is_trained_does_not_make_it_another_one(tmp_path: Path) -> None:
    place = 'engine = "accelerate://?processes=2"\nresources = { gpus = 2 }\nsteps = 40'
    (tmp_path / "elsewhere.toml").write_text(RECIPES.read_text().replace("steps = 40", place))
    here = load_language_models()["smollm2-tuned"]
    there = load_language_models(tmp_path / "elsewhere.toml")["smollm2-tuned"]
    assert (there.engine, there.resources.gpus) == ("accelerate://?processes=2", 2)
    assert there.digest == here.digest
    assert there.hyperparameters() == here.hyperparameters()
    (tmp_path / "wrong.toml").write_text(
        RECIPES.read_text().replace("steps = 40", 'steps = 40\nengine = "horse://"')
    )
    with pytest.raises(ValueError, match=r"engine: .*names no known system"):
        load_language_models(tmp_path / "wrong.toml")


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("rank = 8", "lora.rank: Input should be greater than 0"),
        ("tokens = 256", "tokens: Input should be greater than or equal to 16"),
        ("seed = 20170502", "seed: Input should be greater than or equal to 0"),
        ("save_steps = 10", "save_steps: Input should be greater than 0"),
        ("batch_size = 4", "batch_size: Input should be greater than 0"),
    ],
)
def test_a_wrong_field_is_named(tmp_path: Path, line: str, fault: str) -> None:
    name = line.split(" ", maxsplit=1)[0]
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(RECIPES.read_text().replace(line, f"{name} = -1"))
    with pytest.raises(ValueError, match=f"recipe 'smollm2-tuned': {fault}"):
        load_language_models(wrong)


def test_memory_and_precision_are_fields(tmp_path: Path) -> None:
    own = 'micro_batch = 2\nprecision = "bf16"\nsteps = 40'
    toml = tmp_path / "own.toml"
    toml.write_text(RECIPES.read_text().replace("steps = 40", own, 1))
    told = load_language_models(toml)["smollm2-tuned"].hyperparameters()
    assert (told["micro_batch"], told["precision"], told["save_steps"]) == (2, "bf16", 10)
    toml.write_text(RECIPES.read_text().replace("steps = 40", "micro_batch = 0\nsteps = 40", 1))
    with pytest.raises(ValueError, match="micro_batch: Input should be greater than 0"):
        load_language_models(toml)
    toml.write_text(RECIPES.read_text().replace("save_steps = 10", ""))
    with pytest.raises(ValueError, match="save_steps: Field required"):
        load_language_models(toml)


def test_texts_are_joined_and_cut_without_padding() -> None:
    blocks = pack(["abc", "de"], lambda text: [ord(letter) for letter in text], 0, 2)
    assert blocks.tolist() == [[97, 98], [99, 0], [100, 101]]
    assert spread(blocks, 2).tolist() == [[97, 98], [100, 101]]
    assert spread(blocks, 9).tolist() == blocks.tolist()
    assert pack([], len, 0, 2).shape == (0, 2)  # type: ignore[arg-type]
    assert spread(np.zeros((0, 2), np.int64), 3).shape == (0, 2)


def test_held_out_texts_are_told_from_the_others(tmp_path: Path) -> None:
    rows = [{"text": "b", "held_out": False}, {"text": "a", "held_out": False}]
    rows.append({"text": "c", "held_out": True})
    pq.write_table(pa.Table.from_pylist(rows, SCHEMA), tmp_path / "texts.parquet")
    assert read_texts(tmp_path / "texts.parquet", held_out=False) == ["a", "b"]
    assert read_texts(tmp_path / "texts.parquet", held_out=True) == ["c"]


def test_each_process_needs_a_block_a_step() -> None:
    check_shares(blocks=2, batch_size=4, processes=2)
    with pytest.raises(ValueError, match="a step has 1 blocks, fewer than the 2 processes"):
        check_shares(blocks=1, batch_size=4, processes=2)
    with pytest.raises(ValueError, match="a step has 2 blocks, fewer than the 3 processes"):
        check_shares(blocks=9, batch_size=2, processes=3)
