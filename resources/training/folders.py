"""Folders of a training on disk: resumable state, and the finished checkpoint.

Here: what appears complete or not at all, by writing beside and renaming.
Not here: what a training writes into them (worker.py).
"""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_PORTABLE = {".json", ".txt", ".model"}
_PARTIAL = ".partial"
_COMPLETE = "step-*[0-9]"
_POOLING = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls"}
"""Keys of the configuration before sentence-transformers 5 -> today's names."""


class StateFolder:
    """Saved states of one training, told from others' by its fingerprint; keeps the last one."""

    def __init__(self, root: Path, fingerprint: str) -> None:
        self._root = root
        self._folder = root / fingerprint

    def clean(self) -> None:
        """Remove states of other trainings and what a crash left half written."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for path in [*self._root.iterdir(), *self._folder.iterdir()]:
            if path != self._folder and (path.parent == self._root or path.suffix == _PARTIAL):
                shutil.rmtree(path)

    def last(self) -> Path | None:
        """Newest complete state."""
        return max(self._folder.glob(_COMPLETE), default=None)

    def partial(self, step: int) -> Path:
        """Where the state after `step` is written before `publish`."""
        return self._folder / f"step-{step:09d}{_PARTIAL}"

    def publish(self, step: int) -> None:
        """Let the state written for `step` take the place of the earlier ones."""
        earlier = list(self._folder.glob(_COMPLETE))
        self.partial(step).rename(self.partial(step).with_suffix(""))
        for path in earlier:
            shutil.rmtree(path)


def last_state(root: Path) -> Path | None:
    """Newest complete state of any training in a folder of states."""
    return max(root.glob(f"*/{_COMPLETE}"), key=lambda path: path.name, default=None)


def transformer_folder(model: Path) -> Path:
    """Folder of the transformer inside a sentence-transformers folder.

    Raises:
        ValueError: the folder is not in that layout or has no safetensors weights.
    """
    modules = model / "modules.json"
    if not modules.is_file():
        raise ValueError(f"{model} is no sentence-transformers folder: it lacks modules.json")
    folder = model / str(json.loads(modules.read_text())[0]["path"])
    if not (folder / "model.safetensors").is_file():
        raise ValueError(f"{folder} lacks model.safetensors, the only weights read here")
    return folder


def pooling(model: Path) -> str:
    """Pooling of a sentence-transformers folder: `mean` or `cls`.

    Raises:
        ValueError: any other pooling, or further trainable layers.
    """
    modules = json.loads((model / "modules.json").read_text())
    kinds = [str(module["type"]).rsplit(".", 1)[-1] for module in modules]
    if kinds[:2] != ["Transformer", "Pooling"] or kinds[2:] not in ([], ["Normalize"]):
        raise ValueError(
            f"{model} has the layers {', '.join(kinds)}: only a Transformer and a "
            "Pooling layer, with or without Normalize, can be trained"
        )
    config = json.loads((model / modules[1]["path"] / "config.json").read_text())
    older = [name for key, name in _POOLING.items() if config.get(key)]
    mode = config.get("pooling_mode", older[0] if len(older) == 1 else None)
    if mode not in _POOLING.values():
        raise ValueError(f"{model} does not pool by mean or cls, which are all that can be trained")
    return str(mode)


def write_checkpoint(base: Path, output: Path, save_weights: Callable[[Path], None]) -> None:
    """Write a folder like `base` with other weights; it appears under `output` when complete.

    Tokenizer, configuration and layout are the base's own files, byte for byte; weights in other
    formats, which would still be the base's, are left out.
    """
    with complete_or_not(output) as partial:
        for source in base.rglob("*"):
            if source.is_file() and source.suffix in _PORTABLE:
                target = partial / source.relative_to(base)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)
        weights = transformer_folder(base).relative_to(base) / "model.safetensors"
        save_weights(partial / weights)


@contextmanager
def complete_or_not(output: Path) -> Iterator[Path]:
    """A folder beside `output` to write into; it takes its place unless an error comes out."""
    partial = output.with_name(output.name + _PARTIAL)
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    yield partial
    shutil.rmtree(output, ignore_errors=True)
    partial.rename(output)
