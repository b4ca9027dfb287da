"""Checkpoint folders in sentence-transformers layout: what is supported, read and checked.

Here: the description of a checkpoint, and the errors for folders that are not supported or not
safe to read.
Not here: running the model (openvino.py), splitting text (tokenizer.py).
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    RootModel,
    ValidationError,
)

from resources.contained import inside
from resources.digests import sha256_file

_Model = TypeVar("_Model", bound=BaseModel)

LAYOUT = "modules.json"
MODULES = ("Transformer", "Pooling", "Normalize")
PICKLES = {".bin", ".ckpt", ".dill", ".joblib", ".npy", ".npz", ".pickle", ".pkl", ".pt", ".pth"}
"""Suffixes of files that run code when they are read, or may."""
PROGRAMS = {".py", ".pyc", ".pyd", ".so"}
REMOTE_CODE = {"auto_map", "custom_pipelines", "trust_remote_code"}
"""Keys by which a configuration asks for code that lies beside the model."""
_SIZES = {
    "embeddings.word_embeddings.weight": (1, "hidden_size"),
    "embeddings.position_embeddings.weight": (0, "max_position_embeddings"),
}
"""Weight of a BERT -> axis, and the field of config.json that says how long it is."""
_VOCABULARIES = {"tokenizer.json", "vocab.json"}
"""JSON that holds words, megabytes of them, and no settings of a class."""


class BertShape(BaseModel):
    """The fields of config.json that decide what a BERT computes (Hugging Face's names)."""

    model_config = ConfigDict(frozen=True, strict=True)

    model_type: Literal["bert"]
    hidden_size: PositiveInt
    num_hidden_layers: PositiveInt
    num_attention_heads: PositiveInt
    max_position_embeddings: PositiveInt
    layer_norm_eps: PositiveFloat
    hidden_act: Literal["gelu"]
    position_embedding_type: Literal["absolute"] = "absolute"
    is_decoder: Literal[False] = False


class _TextLimit(BaseModel):
    """Older checkpoints say in sentence_bert_config.json how long a text may be."""

    max_seq_length: PositiveInt | None = None
    do_lower_case: Literal[False] = False


class _TokenizerLimit(BaseModel):
    """Newer checkpoints say it in tokenizer_config.json."""

    model_max_length: float = Field(gt=0)


class _Prompts(BaseModel):
    """Texts that the checkpoint would put in front of every input."""

    default_prompt_name: None = None


class _Module(BaseModel):
    path: str
    type: str


class _Layout(RootModel[tuple[_Module, ...]]):
    """modules.json: what a sentence-transformers model is made of."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A supported encoder: BERT, mean pooling over tokens, L2 normalisation."""

    weights: Path
    tokenizer: Path
    shape: BertShape
    max_tokens: int
    """Most tokens one text may have, special tokens included."""

    def digest(self, precision: str, backend: str) -> str:
        """sha256 of everything that decides a text's vector, and of nothing else."""
        covered = {
            "weights": sha256_file(self.weights),
            "tokenizer": sha256_file(self.tokenizer),
            "shape": self.shape.model_dump(),
            "max_tokens": self.max_tokens,
            "pooling": "mean, normalised",
            "precision": precision,
            "backend": backend,
        }
        return hashlib.sha256(json.dumps(covered, sort_keys=True).encode()).hexdigest()


def read_checkpoint(model_dir: Path) -> Checkpoint:
    """Describe the checkpoint in a folder; of its weights only what they are is read.

    Raises:
        ValueError: the folder is not a supported encoder; the message says why.
    """
    refuse_unsafe(model_dir)
    transformer, pooling = _modules(model_dir)
    _check_pooling(pooling)
    _read(_Prompts, model_dir / "config_sentence_transformers.json", required=False)
    shape = _read(BertShape, transformer / "config.json")
    weights = _existing(transformer / "model.safetensors")
    _check_weights(weights, shape)
    return Checkpoint(
        weights=weights,
        tokenizer=_existing(transformer / "tokenizer.json"),
        shape=shape,
        max_tokens=min(_max_tokens(transformer), shape.max_position_embeddings),
    )


def refuse_unsafe(model_dir: Path) -> None:
    """Refuse a folder that could run code of its own when it is read, or lead out of itself.

    Raises:
        ValueError: it holds a pickle, a program, a link to elsewhere, a configuration that asks
            for code of the model's author, or a module that is not sentence-transformers' own.
    """
    root = model_dir.resolve()
    for path in sorted(model_dir.rglob("*")):
        if not path.resolve().is_relative_to(root):
            raise ValueError(f"{path} is a link that leads out of the model: copy the file itself")
        if path.suffix.lower() in PICKLES | PROGRAMS:
            raise ValueError(
                f"{path} may be a pickle or a program, which runs code when it is read: remove "
                "it, and keep the weights as model.safetensors"
            )
        if path.suffix.lower() == ".json" and path.name not in _VOCABULARIES:
            _refuse_remote_code(path)
    if (model_dir / LAYOUT).is_file():
        _refuse_foreign_modules(model_dir)


def _refuse_remote_code(path: Path) -> None:
    pending = [_json(path)]
    while pending:
        part = pending.pop()
        if isinstance(part, dict):
            if asked := [key for key in part if key in REMOTE_CODE and part[key]]:
                raise ValueError(
                    f"{path} asks for code of the model's author by {asked[0]}: such models are "
                    "not run here"
                )
            pending += part.values()
        elif isinstance(part, list):
            pending += part


def _refuse_foreign_modules(model_dir: Path) -> None:
    for module in _read(_Layout, model_dir / LAYOUT).root:
        inside(model_dir, module.path or ".")
        if not module.type.startswith("sentence_transformers."):
            raise ValueError(
                f"{model_dir / LAYOUT} asks for {module.type}: only modules of "
                "sentence_transformers are run"
            )


def _modules(model_dir: Path) -> tuple[Path, Path]:
    """Folders of the transformer and of the pooling."""
    modules = _read(_Layout, model_dir / LAYOUT).root
    kinds = tuple(module.type.rsplit(".", 1)[-1] for module in modules)
    if kinds != MODULES:
        raise ValueError(
            f"{model_dir} has the modules {', '.join(kinds)}: only {', '.join(MODULES)} "
            "is supported"
        )
    return model_dir / modules[0].path, model_dir / modules[1].path


def _check_weights(path: Path, shape: BertShape) -> None:
    """See that the weights are what their name says, and of the sizes in config.json."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            shapes = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{path} is no safetensors file, whatever its name: {error}") from error
    for weight, (axis, field) in _SIZES.items():
        found = [size[axis] for name, size in shapes.items() if name.endswith(weight)]
        if found != [getattr(shape, field)]:
            raise ValueError(
                f"{path}: {weight} is {f'for {found[0]}' if found else 'missing'}, and config.json "
                f"says {field} = {getattr(shape, field)}"
            )


def _check_pooling(folder: Path) -> None:
    config = _json(folder / "config.json")
    prefix = "pooling_mode_"  # older checkpoints have one flag for each mode
    flags = [key.removeprefix(prefix) for key in config if key.startswith(prefix) and config[key]]
    mode = config.get("pooling_mode", flags)
    if mode not in ("mean", ["mean"], ["mean_tokens"]):
        raise ValueError(f"{folder} pools by {mode}: only the mean over tokens is supported")


def _max_tokens(transformer: Path) -> int:
    limit = _read(_TextLimit, transformer / "sentence_bert_config.json", required=False)
    if limit.max_seq_length is not None:
        return limit.max_seq_length
    return int(_read(_TokenizerLimit, transformer / "tokenizer_config.json").model_max_length)


def _read(model: type[_Model], path: Path, *, required: bool = True) -> _Model:
    data = _json(path) if required or path.exists() else {}
    try:
        return model.model_validate(data)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()
        )
        raise ValueError(f"{path} is not supported: {faults}") from error


def _json(path: Path) -> Any:
    try:
        return json.loads(_existing(path).read_text())
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not JSON: {error}") from error


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise ValueError(
            f"{path} is missing: a checkpoint is a folder in sentence-transformers layout "
            "with its weights in model.safetensors"
        )
    return path
