import hashlib
from pathlib import Path

import pytest

from resources.encoding.tokenizer import FastTokenizer, load_tokenizer
from resources.model_hub.package import PackageHub
from tests.checkpoints import write_checkpoint


@pytest.fixture(scope="module")
def minilm() -> FastTokenizer:
    return load_tokenizer(PackageHub().fetch("all-MiniLM-L6-v2"))


def test_limit_and_digest_are_the_checkpoints(minilm: FastTokenizer) -> None:
    definition = PackageHub().fetch("all-MiniLM-L6-v2") / "tokenizer.json"
    assert minilm.max_tokens == 256
    assert minilm.digest == hashlib.sha256(definition.read_bytes()).hexdigest()


def test_offsets_place_every_token_in_the_text(minilm: FastTokenizer) -> None:
    text = "Tokenizers' café naïveté: 北京 isn't (quite) unaffable"
    [spans] = minilm.offsets([text])
    pieces = [text[start:end] for start, end in spans]
    assert pieces[:5] == ["Token", "izer", "s", "'", "café"]
    assert "".join(pieces) == text.replace(" ", "")


def test_count_includes_special_tokens_and_offsets_do_not(minilm: FastTokenizer) -> None:
    texts = ["", "one", "a rather longer text"]
    assert [len(spans) for spans in minilm.offsets(texts)] == [0, 1, 4]
    assert [minilm.count(text) for text in texts] == [2, 3, 6]
    assert [len(ids) for ids in minilm.ids(texts)] == [2, 3, 6]


def test_long_text_is_not_cut_and_short_text_not_padded(minilm: FastTokenizer) -> None:
    long = "word " * 10_000
    assert minilm.count(long) == 10_002
    assert [len(spans) for spans in minilm.offsets([long, "word"])] == [10_000, 1]


def test_broken_definition_is_a_clear_error(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "model")
    (folder / "tokenizer.json").write_text('{"model": "none"}')
    with pytest.raises(ValueError, match=r"tokenizer\.json is no tokenizer definition"):
        load_tokenizer(folder).count("text")
