"""Decoders for training: the base model from a folder, low-rank updates on it, and back.

Here: transformers' and peft's calls. Not here: the training (loop.py).
"""

import hashlib
import json
import warnings
from pathlib import Path
from typing import Any

import torch

from resources.digests import sha256_file

ADAPTER = "adapter_config.json"
_WEIGHTS = {".gguf", ".safetensors"}


def load_base(folder: Path) -> tuple[Any, Any]:
    """(model in float32, tokenizer) of a folder with one GGUF file, or in transformers' layout.

    Quantised weights are unpacked: what is trained is added to what will run.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    found = sorted(folder.glob("*.gguf"))
    file = {"gguf_file": found[0].name} if found else {"use_safetensors": True}
    tokenizer = AutoTokenizer.from_pretrained(folder, **file)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **file)
    return model, tokenizer


def digest_of_base(folder: Path) -> str:
    """Digest (sha256, hex) of the weights that `load_base` reads."""
    files = sorted(path for path in folder.iterdir() if path.suffix in _WEIGHTS)
    return hashlib.sha256("".join(map(sha256_file, files)).encode()).hexdigest()


def load_adapter(model: torch.nn.Module, folder: Path) -> Any:
    """A base model with the updates that `write_adapter` wrote."""
    from peft import PeftModel

    return PeftModel.from_pretrained(model, str(folder))


def write_adapter(model: Any, folder: Path, base: str) -> None:
    """Write the updates as safetensors, with a configuration that names the base model.

    peft would name the folder that the base model was read from, which is another on each machine.
    """
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # of a base model in one file peft cannot see the vocabulary
        model.save_pretrained(str(folder), safe_serialization=True, save_embedding_layers=False)
    (folder / "README.md").unlink(missing_ok=True)
    config = json.loads((folder / ADAPTER).read_text())
    config["base_model_name_or_path"] = base
    config["target_modules"] = sorted(config["target_modules"])
    (folder / ADAPTER).write_text(json.dumps(config, indent=1, sort_keys=True))
