"""Brings the adapter of a language model in line with its recipe and its corpora.

Here: whether it is trained, and on what. Not here: the training (resources/training/causal).
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from platform_assets.checkpoints.refresh import Workshop
from platform_assets.language_models.recipes import LanguageModel
from platform_assets.language_models.texts import texts_of, write_texts
from platform_assets.provenance import Record, links
from platform_assets.reconcile import fingerprint
from resources.model_hub import ModelHub
from resources.settings import UsageError, installing, require
from resources.training import TrainingJob, TrainingResult

ASSET = "language_models"
SHIPPED = "SmolLM2-135M-Instruct"
"""The base model of the shipped recipes."""
_NEEDED = ("gguf", "peft")
"""Modules of the extra `decoder` that the worker imports."""


@dataclass(frozen=True, slots=True)
class MadeAdapter:
    """An adapter in the lake and how it came there."""

    record: Record
    """What to commit."""
    result: TrainingResult | None = None
    """None where nothing was trained now."""


def refresh(
    recipe: LanguageModel,
    latest: Record | None,
    upstream: Sequence[Record],
    workshop: Workshop,
    code_version: str,
) -> MadeAdapter:
    """Tune the base model on the training documents of the recipe's corpora.

    Args:
        recipe: The recipe.
        latest: Record of the adapter there is.
        upstream: Records of the chunks and queries of the recipe's corpora.
        workshop: What tuning takes.
        code_version: An adapter made by another one is made anew.

    Raises:
        LookupError: there is no text.
        UsageError: the extra that tuning needs is not installed.
    """
    draft = Record(
        ASSET,
        recipe.name,
        None,
        "",
        1,
        code_version,
        config={"recipe": recipe.digest},
        upstream=links(upstream),
    )
    if latest is not None and latest.causes() == draft.causes():
        return MadeAdapter(latest)
    chunks = [record for record in upstream if record.asset == "chunks"]
    if not chunks:
        raise LookupError(
            f"language model {recipe.name}: none of its corpora has chunks; materialise them first"
        )
    require("a language model", "decoder", *_NEEDED)
    texts = [text for record in chunks for text in texts_of(workshop.warehouse, record)]
    read = sorted(f"{record.name}:{record.digest}" for record in upstream)
    made_of = fingerprint(code_version, recipe.digest, *read)
    folder = workshop.store.scratch / ASSET / recipe.name / made_of[:16]
    write_texts(texts, folder / "texts.parquet")
    base = workshop.store.put(_base(workshop.hub, recipe.base, folder / "base"))
    job = _job(recipe, workshop.store.folder(base), folder)
    result = workshop.train(job)
    digest = workshop.store.put(job.output)
    details = {
        "checkpoint": digest,
        "base": base,
        "documents": str(sum(not text.held_out for text in texts)),
        "held_out_documents": str(sum(text.held_out for text in texts)),
        **{name: f"{value:.6g}" for name, value in result.metrics.items()},
    }
    return MadeAdapter(replace(draft, digest=digest, details=details), result)


def _job(recipe: LanguageModel, base: Path, folder: Path) -> TrainingJob:
    return TrainingJob(
        base,
        folder / "texts.parquet",
        folder / "adapter",
        folder / "state",
        recipe.hyperparameters(),
        recipe.engine or "",
        recipe.resources,
        f"{ASSET}/{recipe.name}",
        task="causal",
    )


def _base(hub: ModelHub, name: str, scratch: Path) -> Path:
    """Folder of the base model alone; a package keeps a GGUF file beside its code."""
    try:
        folder = hub.fetch(name)
    except LookupError as error:
        raise UsageError(f"{error}; {SHIPPED}: {installing('decoder')}") from None
    weights = sorted(folder.glob("*.gguf"))
    if not weights:
        return folder
    scratch.mkdir(exist_ok=True)
    for path in weights:
        shutil.copyfile(path, scratch / path.name)
    return scratch
