"""Brings the checkpoint of a recipe in line with its base model and its training pairs."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from platform_assets.checkpoints.recipes import Recipe, Training
from platform_assets.checkpoints.store import CheckpointStore
from platform_assets.provenance import Record, sha256_text
from platform_assets.queries.table import TRAINING_PAIRS
from platform_assets.reconcile import fingerprint
from resources.model_hub import ModelHub
from resources.training import TrainingJob, TrainingResult
from resources.warehouse import Warehouse

ASSET = "checkpoints"
HISTORY = "training.json"
"""File of a trained checkpoint: its loss by step."""


@dataclass(frozen=True, slots=True)
class MadeCheckpoint:
    """A checkpoint in the lake and how it came there."""

    details: Mapping[str, str]
    """`checkpoint`, `base` and `encoder_digest`, `recipe`, `pairs` (digests), `pair_count`,
    `trained`."""
    result: TrainingResult | None = None
    """None where nothing was trained now."""
    made_now: bool = False
    """Whether the checkpoint was brought or trained now rather than found as it was."""


@dataclass(frozen=True, slots=True)
class Workshop:
    """What making a checkpoint takes."""

    hub: ModelHub
    store: CheckpointStore
    warehouse: Warehouse
    train: Callable[[TrainingJob], TrainingResult]


def refresh(
    recipe: Recipe,
    latest: Record | None,
    pairs: Sequence[Record],
    workshop: Workshop,
    code_version: str,
    *,
    only_if_missing: bool,
) -> MadeCheckpoint:
    """Bring the pretrained model, or train it on the pairs of the recipe's corpora.

    Args:
        recipe: The recipe.
        latest: Record of the checkpoint there is.
        pairs: Records of the training pairs of every corpus that has some.
        workshop: What making a checkpoint takes.
        code_version: A checkpoint made by another one is made anew.
        only_if_missing: Keep a checkpoint of the same recipe although the pairs have changed.
    """
    chosen = [record for record in pairs if wants(recipe.training, record.partition)]
    pairs_digest = sha256_text("|".join(sorted(f"{r.partition}:{r.digest}" for r in chosen)))
    if latest is not None and _made_alike(latest, recipe, code_version):
        same = recipe.training is None or latest.details["pairs"] == pairs_digest
        if same or (only_if_missing and latest.details["trained"] == "yes"):
            encoder_digest = workshop.store.encoder_digest(latest.details["checkpoint"])
            return MadeCheckpoint({**latest.details, "encoder_digest": encoder_digest})
    result, folder = None, workshop.hub.fetch(recipe.base)
    base = workshop.store.put(folder)
    rows = _pairs(workshop, chosen)
    if recipe.training and rows.num_rows >= recipe.training.min_pairs:
        made_of = fingerprint(code_version, recipe.digest, pairs_digest)
        scratch = workshop.store.scratch / ASSET / recipe.name / made_of[:16]
        job = _job(recipe, folder, rows, scratch)
        result = workshop.train(job)
        folder = job.output
        (folder / HISTORY).write_text(json.dumps({"losses": result.losses}))
    digest = workshop.store.put(folder)
    details = {
        "checkpoint": digest,
        "base": base,
        "encoder_digest": workshop.store.encoder_digest(digest),
        "recipe": recipe.digest,
        "pairs": pairs_digest if recipe.training else "",
        "pair_count": str(rows.num_rows),
        "trained": "yes" if result else "no",
    }
    return MadeCheckpoint(details, result, made_now=True)


def losses(store: CheckpointStore, record: Record) -> list[tuple[int, float]]:
    """(step, loss) of a trained checkpoint; empty for a pretrained one."""
    history = store.folder(record.details["checkpoint"]) / HISTORY
    if not history.exists():
        return []
    return [(int(step), float(loss)) for step, loss in json.loads(history.read_text())["losses"]]


def _made_alike(latest: Record, recipe: Recipe, code_version: str) -> bool:
    return latest.details["recipe"] == recipe.digest and latest.code_version == code_version


def wants(training: Training | None, corpus: str) -> bool:
    """Whether a training uses the pairs of a corpus."""
    return training is not None and (training.corpora == "all" or corpus in training.corpora)


def _pairs(workshop: Workshop, records: Sequence[Record]) -> pa.Table:
    columns = ["query_id", "query", "positive", "negatives"]
    tables = [
        workshop.warehouse.scan(TRAINING_PAIRS, {"corpus": record.partition}, columns)
        for record in sorted(records, key=lambda record: record.partition)
    ]
    empty = TRAINING_PAIRS.schema.empty_table().select(columns)
    return pa.concat_tables([empty, *(table.sort_by("query_id") for table in tables)])


def _job(recipe: Recipe, base: Path, rows: pa.Table, folder: Path) -> TrainingJob:
    assert recipe.training is not None
    folder.mkdir(parents=True, exist_ok=True)
    pairs = folder / "pairs.parquet"
    negatives = pc.list_slice(rows.column("negatives"), 0, recipe.training.negatives)
    columns = [rows.column("query"), rows.column("positive"), negatives]
    pq.write_table(pa.table(columns, ["query", "positive", "negatives"]), pairs)
    return TrainingJob(
        base_model=base,
        pairs=pairs,
        output=folder / "checkpoint",
        state=folder / "state",
        hyperparameters=recipe.training.hyperparameters(),
        engine=recipe.training.engine or "",
        resources=recipe.training.resources,
        name=f"{ASSET}/{recipe.name}",
    )
