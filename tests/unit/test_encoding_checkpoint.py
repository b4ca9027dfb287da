from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import save_file

from resources.encoding.checkpoint import read_checkpoint
from tests.checkpoints import (
    CONFIG,
    HIDDEN,
    MAX_TOKENS,
    OWN,
    POSITIONS,
    weights,
    write_checkpoint,
    write_json,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_checkpoint(tmp_path / "model")


def digest(folder: Path, precision: str = "f32", backend: str = "b") -> str:
    return read_checkpoint(folder).digest(precision, backend)


def other_weights(folder: Path) -> None:
    tensors = weights()
    tensors["encoder.layer.1.output.dense.bias"][0] += 1
    save_file(tensors, folder / "model.safetensors")


def other_tokenizer(folder: Path) -> None:
    path = folder / "tokenizer.json"
    path.write_text(path.read_text().replace('"fox"', '"cat"'))


def file(name: str, data: Any) -> Callable[[Path], None]:
    return lambda folder: write_json(folder / name, data)


@pytest.mark.parametrize(
    "change",
    [
        other_weights,
        other_tokenizer,
        file("config.json", CONFIG | {"layer_norm_eps": 1e-5}),
        file("config.json", CONFIG | {"num_attention_heads": 2}),
        file("sentence_bert_config.json", {"max_seq_length": MAX_TOKENS - 1}),
    ],
)
def test_digest_covers_what_decides_a_vector(folder: Path, change: Callable[[Path], None]) -> None:
    before = digest(folder)
    change(folder)
    assert digest(folder) != before


def test_digest_covers_precision_and_backend(folder: Path) -> None:
    assert len({digest(folder), digest(folder, "bf16"), digest(folder, backend="c")}) == 3


def test_digest_ignores_place_prose_and_layout(folder: Path, tmp_path: Path) -> None:
    before = digest(folder)
    (folder / "README.md").write_text("prose")
    write_json(folder / "config.json", CONFIG | {"transformers_version": "9"})
    write_json(folder / "1_Pooling/config.json", {"pooling_mode": "mean"})
    (folder / "sentence_bert_config.json").unlink()
    write_json(folder / "tokenizer_config.json", {"model_max_length": MAX_TOKENS})
    assert digest(folder.rename(tmp_path / "elsewhere")) == before


def test_texts_are_no_longer_than_the_positions(folder: Path) -> None:
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": 512})
    assert read_checkpoint(folder).max_tokens == POSITIONS


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / "pytorch_model.bin").write_bytes(b"x"), "pickle"),
        (lambda folder: (folder / "1_Pooling/head.pkl").write_bytes(b"x"), "pickle"),
        (lambda folder: (folder / "model.safetensors").unlink(), "model.safetensors is missing"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"\x80\x04pickle"), "whatever"),
        (file("config.json", CONFIG | {"hidden_size": 2 * HIDDEN}), "is for 16.*hidden_size = 32"),
        (file("config.json", CONFIG | {"max_position_embeddings": 99}), "position.* is for 32, "),
        (
            lambda folder: save_file({}, folder / "model.safetensors"),
            "word_embeddings.weight is missing",
        ),
        (lambda folder: (folder / "modules.json").unlink(), "modules.json is missing"),
        (lambda folder: (folder / "config.json").write_text("{"), "config.json is not JSON"),
        (file("config.json", CONFIG | {"model_type": "mpnet"}), "model_type.*'bert'"),
        (file("config.json", CONFIG | {"hidden_act": "relu"}), "hidden_act"),
        (file("config.json", CONFIG | {"position_embedding_type": "relative_key"}), "position_emb"),
        (file("1_Pooling/config.json", {"pooling_mode_cls_token": True}), "cls_token"),
        (file("1_Pooling/config.json", {"pooling_mode": ["mean", "max"]}), "only the mean"),
        (file("modules.json", [{"path": "", "type": f"{OWN}.Transformer"}]), "modules Transformer"),
        (file("modules.json", [{"path": ""}]), "0.type: Field required"),
        (file("sentence_bert_config.json", {"do_lower_case": True}), "do_lower_case"),
        (file("sentence_bert_config.json", {}), "tokenizer_config.json is missing"),
        (file("config_sentence_transformers.json", {"default_prompt_name": "q"}), "default_prompt"),
    ],
)
def test_unsupported_folder_is_refused(
    folder: Path, change: Callable[[Path], None], message: str
) -> None:
    change(folder)
    with pytest.raises(ValueError, match=message):
        read_checkpoint(folder)


def link(name: str, target: Path) -> Callable[[Path], None]:
    return lambda folder: (folder / name).symlink_to(target)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / "WEIGHTS.BIN").write_bytes(b"x"), "WEIGHTS.BIN may be a pickle"),
        (lambda folder: (folder / "1_Pooling/head.npy").write_bytes(b"x"), "head.npy may be a pi"),
        (lambda folder: (folder / "modeling.py").write_text(""), "modeling.py may be .* a program"),
        (link("vocab.txt", Path("/etc/hostname")), "vocab.txt is a link that leads out"),
        (link("2_Normalize", Path("/etc")), "2_Normalize is a link that leads out"),
        (link("vocab.txt", Path("../../outside")), "vocab.txt is a link that leads out"),
        (file("config.json", CONFIG | {"auto_map": {"AutoModel": "m.M"}}), "by auto_map"),
        (file("1_Pooling/config.json", {"x": [{"trust_remote_code": True}]}), "by trust_remote_c"),
        (
            lambda folder: (folder / "tokenizer_config.json").write_text(
                r'{"auto\u005fmap": {"AutoTokenizer": ["t.T", null]}}'
            ),
            "tokenizer_config.json asks for code",
        ),
        (file("modules.json", [{"path": "", "type": "custom_st.Transformer"}]), "for custom_st"),
        (file("modules.json", [{"path": "../x", "type": f"{OWN}.Transformer"}]), "'../x' is no"),
        (file("modules.json", [{"path": "/etc", "type": f"{OWN}.Transformer"}]), "'/etc' is no"),
    ],
)
def test_a_folder_that_could_run_code_or_lead_out_is_refused(
    folder: Path, change: Callable[[Path], None], message: str
) -> None:
    change(folder)
    with pytest.raises(ValueError, match=message):
        read_checkpoint(folder)


def test_links_within_and_keys_that_ask_for_nothing_are_fine(folder: Path) -> None:
    (folder / "again.json").symlink_to("config.json")
    write_json(folder / "config.json", CONFIG | {"auto_map": {}, "trust_remote_code": False})
    read_checkpoint(folder)
