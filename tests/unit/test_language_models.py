"""Recipes of language models, and texts cut into blocks."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from platform_assets.language_models.recipes import RECIPES, load_language_models
from resources.training.causal.blocks import SCHEMA, pack, read_texts, spread


def test_the_shipped_recipes_are_read() -> None:
    found = load_language_models()
    assert found["smollm2-tuned"].lora.layers == ("q_proj", "v_proj")
    assert "corpora" not in found["smollm2-tuned"].hyperparameters()


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("rank = 8", "lora.rank: Input should be greater than 0"),
        ("tokens = 256", "tokens: Input should be greater than or equal to 16"),
        ("seed = 20170502", "seed: Input should be greater than or equal to 0"),
    ],
)
def test_a_wrong_field_is_named(tmp_path: Path, line: str, fault: str) -> None:
    name = line.split(" ", maxsplit=1)[0]
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(RECIPES.read_text().replace(line, f"{name} = -1"))
    with pytest.raises(ValueError, match=f"recipe 'smollm2-tuned': {fault}"):
        load_language_models(wrong)


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
