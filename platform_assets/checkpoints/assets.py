"""The assets `checkpoints` and `promoted_encoder`."""

import os
from dataclasses import replace

import dagster as dg

from platform_assets.automation import HOURLY
from platform_assets.checkpoints.declared import recipes
from platform_assets.checkpoints.pods import training_tags
from platform_assets.checkpoints.promotion import judge, measured, scores
from platform_assets.checkpoints.recipes import Recipe, load_recipes
from platform_assets.checkpoints.refresh import MadeCheckpoint, Workshop, clean, refresh
from platform_assets.checkpoints.store import CheckpointStore
from platform_assets.demand import OnDemand
from platform_assets.partitions import corpora, encoders
from platform_assets.provenance import Ledger, Record, links, sha256_text
from platform_assets.queries.assets import training_pairs
from platform_assets.reconcile import Report, Work
from platform_assets.results import OWNERS, materialized
from resources.model_hub import ModelHub
from resources.object_store import ObjectStore
from resources.settings import VARIABLES
from resources.tracking import Tracking
from resources.training import Trainer
from resources.warehouse import Warehouse

CODE_VERSION = "1"


@dg.asset(
    deps=[recipes, dg.AssetDep(training_pairs, partition_mapping=dg.AllPartitionMapping())],
    partitions_def=encoders,
    group_name="encoders",
    kinds={"torch", "huggingface", "mlflow"},
    owners=OWNERS,
    code_version=CODE_VERSION,
    pool="gpu",
    op_tags=training_tags(os.environ.get(VARIABLES["trainer"], "")),
)
def checkpoints(
    context: dg.AssetExecutionContext,
    config: OnDemand,
    lake: dg.ResourceParam[ObjectStore],
    warehouse: dg.ResourceParam[Warehouse],
    hub: dg.ResourceParam[ModelHub],
    trainer: dg.ResourceParam[Trainer],
    tracking: dg.ResourceParam[Tracking],
    checkpoint_store: dg.ResourceParam[CheckpointStore],
) -> dg.MaterializeResult[None]:
    """Encoder weights (safetensors) in the lake: pretrained, or trained by the recipe.

    Training runs in a subprocess, on a GPU where there is one, and is taken up again where it was
    interrupted. It happens on demand or on a schedule, never because a file changed.
    """
    recipe = load_recipes()[context.partition_key]
    ledger = Ledger(lake)
    pairs = _records(context, ledger, "training_pairs") if recipe.training else []
    latest = ledger.latest("checkpoints", recipe.name)
    workshop = Workshop(hub, checkpoint_store, warehouse, lambda job: trainer.train(job, context))
    keep = config.only_if_missing
    made = refresh(recipe, latest, pairs, workshop, CODE_VERSION, only_if_missing=keep)
    if made.result:
        _track(tracking, recipe, made, checkpoint_store)
    upstream = pairs if made.made_now else []
    draft = Record(
        asset="checkpoints",
        partition=recipe.name,
        snapshot=None,
        digest=made.details["encoder_digest"],
        rows=1,
        code_version=CODE_VERSION,
        upstream=links(upstream) if made.made_now or latest is None else latest.upstream,
        details=made.details,
    )
    record = ledger.commit(draft)
    clean(recipe, workshop)
    new = latest is None or latest.record_id != record.record_id
    report = Report(rows=1, added=int(latest is None), changed=int(latest is not None and new))
    report.work = Work(trained_steps=made.result.steps if made.result else 0)
    return materialized(report, record, {"base": recipe.base})


@dg.asset(
    deps=["retrieval_evaluation"],
    partitions_def=encoders,
    group_name="evaluation",
    kinds={"mlflow"},
    owners=OWNERS,
    code_version=CODE_VERSION,
    automation_condition=HOURLY,
)
def promoted_encoder(
    context: dg.AssetExecutionContext,
    lake: dg.ResourceParam[ObjectStore],
    warehouse: dg.ResourceParam[Warehouse],
    tracking: dg.ResourceParam[Tracking],
    checkpoint_store: dg.ResourceParam[CheckpointStore],
) -> dg.MaterializeResult[None]:
    """The champion alias in the model registry; moves only to a significantly better encoder."""
    name = context.partition_key
    ledger = Ledger(lake)
    checkpoint = ledger.require("checkpoints", name)
    evaluations = {other: _measured(context, ledger, other) for other in load_recipes()}
    upstream = [checkpoint, *(record for found in evaluations.values() for record in found)]
    latest = ledger.latest("promoted_encoder", name)
    draft = Record("promoted_encoder", name, None, "", 1, CODE_VERSION, upstream=links(upstream))
    if latest and ledger.settled(draft):
        return materialized(Report(rows=1), latest)
    standings = {other: scores(warehouse, found) for other, found in evaluations.items()}
    verdict = judge(name, standings, _opponent(name, tracking))
    digest = checkpoint.details["encoder_digest"]
    version = tracking.version_of(name, digest) or tracking.register(
        name, checkpoint_store.folder(checkpoint.details["checkpoint"]), {"digest": digest}
    )
    if verdict.promote:
        tracking.promote(name, version)
    champion = tracking.champion()
    details = {
        "champion": f"{champion[0]} v{champion[1]}" if champion else "none",
        "version": version,
        "promoted": "yes" if verdict.promote else "no",
        "why": verdict.why,
    }
    digest = sha256_text(f"{details}")
    record = ledger.commit(replace(draft, digest=digest, details=details))
    report = Report(rows=1, added=int(latest is None), changed=int(latest is not None))
    return materialized(report, record)


def _records(
    context: dg.AssetExecutionContext, ledger: Ledger, asset: str, encoder: str = ""
) -> list[Record]:
    """Latest records of an asset for every corpus that has one."""
    suffix = f"|{encoder}" if encoder else ""
    found = (
        ledger.latest(asset, f"{corpus}{suffix}")
        for corpus in sorted(context.instance.get_dynamic_partitions(corpora.name or ""))
    )
    return [record for record in found if record is not None]


def _measured(context: dg.AssetExecutionContext, ledger: Ledger, encoder: str) -> list[Record]:
    """Evaluations of an encoder with its present checkpoint; those of an earlier one are out."""
    checkpoint = ledger.latest("checkpoints", encoder)
    evaluations = _records(context, ledger, "retrieval_evaluation", encoder)
    return measured(ledger, checkpoint, evaluations) if checkpoint else []


def _opponent(name: str, tracking: Tracking) -> str | None:
    """The encoder to beat: the champion, or the base where the encoder is champion itself."""
    champion = tracking.champion()
    if champion and champion[0] != name:
        return champion[0]
    known = load_recipes()
    if known[name].training is None:
        return None
    base = known[name].base
    bases = (r.name for r in known.values() if r.training is None and r.base == base)
    return next(bases, None)


def _track(
    tracking: Tracking, recipe: Recipe, made: MadeCheckpoint, store: CheckpointStore
) -> None:
    assert recipe.training is not None
    assert made.result is not None
    result = made.result
    tracking.log_training(
        recipe.name,
        {
            "base": recipe.base,
            "pairs": made.details["pair_count"],
            **recipe.training.hyperparameters(),
        },
        result.losses,
        {"final_loss": result.losses[-1][1], "seconds": result.seconds, "steps": result.steps},
        {
            "digest": made.details["encoder_digest"],
            "checkpoint": made.details["checkpoint"],
            "recipe": recipe.digest,
            "pairs": made.details["pairs"],
            "device": result.device,
            "world_size": str(result.world_size),
        },
        store.folder(made.details["checkpoint"]),
    )
