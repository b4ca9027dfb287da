"""The asset `language_models`."""

import dagster as dg

from platform_assets.checkpoints.recipes import WHERE
from platform_assets.checkpoints.refresh import Workshop
from platform_assets.checkpoints.store import CheckpointStore
from platform_assets.checkpoints.tracked import datasets, plain
from platform_assets.chunks.assets import chunks
from platform_assets.language_models.recipes import LanguageModel, load_language_models
from platform_assets.language_models.refresh import ASSET, MadeAdapter, refresh
from platform_assets.logbook import Logbook
from platform_assets.partitions import corpora
from platform_assets.pods import GPU_POOL, TRAINING_TAGS
from platform_assets.provenance import Ledger, Record
from platform_assets.queries.assets import queries
from platform_assets.reconcile import Report, Work
from platform_assets.results import OWNERS, materialized
from resources.model_hub import ModelHub
from resources.object_store import ObjectStore
from resources.tracking import Outcome, Tracking, Training
from resources.training import Trainer, TrainingJob, TrainingResult
from resources.warehouse import Warehouse

CODE_VERSION = "1"

recipes = dg.StaticPartitionsDefinition(sorted(load_language_models()))


@dg.asset(
    deps=[
        dg.AssetDep(chunks, partition_mapping=dg.AllPartitionMapping()),
        dg.AssetDep(queries, partition_mapping=dg.AllPartitionMapping()),
    ],
    partitions_def=recipes,
    group_name="language_models",
    kinds={"torch", "huggingface", "mlflow"},
    owners=OWNERS,
    code_version=CODE_VERSION,
    pool=GPU_POOL,
    op_tags=TRAINING_TAGS,
)
def language_models(
    context: dg.AssetExecutionContext,
    lake: dg.ResourceParam[ObjectStore],
    warehouse: dg.ResourceParam[Warehouse],
    hub: dg.ResourceParam[ModelHub],
    trainer: dg.ResourceParam[Trainer],
    tracking: dg.ResourceParam[Tracking],
    checkpoint_store: dg.ResourceParam[CheckpointStore],
) -> dg.MaterializeResult[None]:
    """Adapters (LoRA, safetensors) of small language models, tuned on the corpora's texts.

    The loss on documents that training never saw is measured before and after. On demand.
    """
    recipe = load_language_models()[context.partition_key]
    ledger = Ledger(lake)
    latest = ledger.latest(ASSET, recipe.name)
    upstream = _upstream(context, ledger, recipe)
    logbook = Logbook(tracking, lake, context.log.warning, ASSET, recipe.name)
    with logbook.run() as run:

        def train(job: TrainingJob) -> TrainingResult:
            heard = run.begin(_begun(recipe, upstream, context.run.run_id))
            return trainer.train(job, context, heard)

        workshop = Workshop(hub, checkpoint_store, warehouse, train)
        made = refresh(recipe, latest, upstream, workshop, CODE_VERSION)
        checkpoint = made.record.details["checkpoint"]
        if made.result:
            run.note(checkpoint, _ended(made, made.result))
    record = ledger.commit(made.record)
    checkpoint_store.clean(f"{ASSET}/{recipe.name}")
    logbook.settle(checkpoint_store.folder)
    changed = bool(made.result) and latest is not None
    report = Report(rows=1, added=int(latest is None), changed=int(changed))
    report.work = Work(trained_steps=made.result.steps if made.result else 0)
    return materialized(report, record, logbook.links(checkpoint))


def _upstream(
    context: dg.AssetExecutionContext, ledger: Ledger, recipe: LanguageModel
) -> list[Record]:
    """Latest records of the chunks and queries of the recipe's corpora."""
    known = sorted(context.instance.get_dynamic_partitions(corpora.name or ""))
    found = (
        ledger.latest(asset, corpus)
        for corpus in known
        if recipe.wants(corpus)
        for asset in ("chunks", "queries")
    )
    return [record for record in found if record is not None]


def _begun(recipe: LanguageModel, upstream: list[Record], run_id: str) -> Training:
    told = recipe.model_dump(mode="json", exclude_none=True, exclude={"name", *WHERE})
    tags = {"code_version": CODE_VERSION, "dagster_run_id": run_id, "recipe": recipe.digest}
    return Training("language_model", recipe.name, plain(told), datasets(upstream), tags)


def _ended(made: MadeAdapter, result: TrainingResult) -> Outcome:
    checkpoint = made.record.details["checkpoint"]
    return Outcome(
        losses=result.losses,
        metrics={"seconds": result.seconds, "steps": result.steps, **result.metrics},
        tags={
            "digest": checkpoint,
            "checkpoint": checkpoint,
            "device": result.device,
            "precision": result.precision,
            "world_size": str(result.world_size),
        },
    )
