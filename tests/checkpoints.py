"""A real checkpoint small enough to write, load and run within milliseconds."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors

WORDS = ("the", "quick", "brown", "fox", "jumps", "over", "a", "lazy", "dog", "then", "sleeps")
HIDDEN, INNER, LAYERS, POSITIONS, MAX_TOKENS = 16, 32, 2, 32, 24
CONFIG = {
    "model_type": "bert",
    "hidden_size": HIDDEN,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "max_position_embeddings": POSITIONS,
    "layer_norm_eps": 1e-12,
    "hidden_act": "gelu",
    "intermediate_size": INNER,
    "type_vocab_size": 2,
    "vocab_size": len(WORDS) + 4,
}
OWN = "sentence_transformers.models"
MODULES = {"": "Transformer", "1_Pooling": "Pooling", "2_Normalize": "Normalize"}


def write_checkpoint(folder: Path) -> Path:
    """A BERT of random weights in sentence-transformers layout; returns the folder."""
    (folder / "1_Pooling").mkdir(parents=True)
    modules = [{"path": path, "type": f"{OWN}.{kind}"} for path, kind in MODULES.items()]
    write_json(folder / "modules.json", modules)
    write_json(folder / "config.json", CONFIG)
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": MAX_TOKENS})
    write_json(folder / "1_Pooling/config.json", {"pooling_mode_mean_tokens": True})
    save_file(weights(), folder / "model.safetensors")
    _tokenizer().save(str(folder / "tokenizer.json"))
    return folder


def write_json(path: Path, data: Any) -> None:
    path.write_text(json.dumps(data))


def weights() -> dict[str, "np.ndarray[Any, np.dtype[np.float32]]"]:
    """Tensors under Hugging Face's names for BERT."""
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (len(WORDS) + 4, HIDDEN),
        "embeddings.position_embeddings.weight": (POSITIONS, HIDDEN),
        "embeddings.token_type_embeddings.weight": (2, HIDDEN),
        "embeddings.LayerNorm.weight": (HIDDEN,),
        "embeddings.LayerNorm.bias": (HIDDEN,),
    }
    linear = dict.fromkeys(
        ("attention.self.query", "attention.self.key", "attention.self.value"), (HIDDEN, HIDDEN)
    )
    linear |= {
        "attention.output.dense": (HIDDEN, HIDDEN),
        "intermediate.dense": (INNER, HIDDEN),
        "output.dense": (HIDDEN, INNER),
    }
    for layer in range(LAYERS):
        prefix = f"encoder.layer.{layer}"
        for name, shape in linear.items():
            shapes[f"{prefix}.{name}.weight"] = shape
            shapes[f"{prefix}.{name}.bias"] = shape[:1]
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            shapes |= {f"{prefix}.{name}.weight": (HIDDEN,), f"{prefix}.{name}.bias": (HIDDEN,)}
    rng = np.random.default_rng(0)
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def _tokenizer() -> Tokenizer:
    vocabulary = {word: i for i, word in enumerate(("[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.enable_truncation(8)  # as published tokenizers come: the code must undo both
    tokenizer.enable_padding(length=12)
    return tokenizer


def sentences(count: int) -> list[str]:
    """Texts of all lengths that the checkpoint takes, the same each time."""
    rng = np.random.default_rng(1)
    return [" ".join(rng.choice(WORDS, size=rng.integers(0, MAX_TOKENS - 2))) for _ in range(count)]
