"""The assets `checkpoints` and `promoted_encoder`."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import dagster as dg

from platform_assets.automation import HOURLY
from platform_assets.checkpoints.champion import Champion
from platform_assets.checkpoints.champion import record as record_champion
from platform_assets.checkpoints.champion import recorded as recorded_champion
from platform_assets.checkpoints.declared import recipes
from platform_assets.checkpoints.promotion import figures, judge, measured, scores
from platform_assets.checkpoints.recipes import load_recipes
from platform_assets.checkpoints.refresh import ASSET, Workshop, refresh, wants
from platform_assets.checkpoints.store import CheckpointStore
from platform_assets.checkpoints.tracked import begun, ended
from platform_assets.demand import OnDemand
from platform_assets.logbook import Logbook, shown
from platform_assets.partitions import corpora, encoders
from platform_assets.pods import GPU_POOL, TRAINING_TAGS
from platform_assets.provenance import Ledger, Record, links, sha256_text
from platform_assets.queries.assets import training_pairs
from platform_assets.reconcile import Report, Work
from platform_assets.results import OWNERS, materialized
from resources.model_hub import ModelHub
from resources.object_store import ObjectStore
from resources.tracking import Tracking
from resources.training import Trainer, TrainingJob, TrainingResult
from resources.vector_store import Retriever
from resources.warehouse import Warehouse

CODE_VERSION = "1"


@dg.asset(
    deps=[recipes, dg.AssetDep(training_pairs, partition_mapping=dg.AllPartitionMapping())],
    partitions_def=encoders,
    group_name="encoders",
    kinds={"torch", "huggingface", "mlflow"},
    owners=OWNERS,
    code_version=CODE_VERSION,
    pool=GPU_POOL,
    op_tags=TRAINING_TAGS,
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

    Raises:
        ValueError: the recipe names a corpus that is not there: what it trained stays.
    """
    recipe = load_recipes()[context.partition_key]
    known = set(context.instance.get_dynamic_partitions(corpora.name or ""))
    if recipe.training and (fault := recipe.training.fault(known)):
        raise ValueError(fault)
    ledger = Ledger(lake)
    pairs = _records(context, ledger, "training_pairs") if recipe.training else []
    latest = ledger.latest("checkpoints", recipe.name)
    keep = config.only_if_missing
    logbook = Logbook(tracking, lake, context.log.warning, "checkpoints", recipe.name)
    with logbook.run() as run:

        def train(job: TrainingJob) -> TrainingResult:
            chosen = [each for each in pairs if wants(recipe.training, each.partition)]
            heard = run.begin(begun(recipe, chosen, CODE_VERSION, context.run.run_id))
            return trainer.train(job, context, heard)

        workshop = Workshop(hub, checkpoint_store, warehouse, train)
        made = refresh(recipe, latest, pairs, workshop, CODE_VERSION, only_if_missing=keep)
        if made.result:
            run.note(made.details["checkpoint"], ended(made.details, made.result))
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
    checkpoint_store.clean(f"{ASSET}/{recipe.name}")
    logbook.settle(checkpoint_store.folder)
    new = latest is None or latest.record_id != record.record_id
    report = Report(rows=1, added=int(latest is None), changed=int(latest is not None and new))
    report.work = Work(trained_steps=made.result.steps if made.result else 0)
    seen = logbook.links(made.details["checkpoint"])
    return materialized(report, record, {"base": recipe.base, **seen})


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
    """The champion and challenger aliases in the model registry; only this gate moves them.

    Champion becomes what is significantly better; challenger is the newest version measured that
    is not champion.
    """
    name = context.partition_key
    ledger = Ledger(lake)
    checkpoint = ledger.require("checkpoints", name)
    evaluations = {other: _measured(context, ledger, other) for other in load_recipes()}
    upstream = [checkpoint, *(record for found in evaluations.values() for record in found)]
    latest = ledger.latest("promoted_encoder", name)
    draft = Record("promoted_encoder", name, None, "", 1, CODE_VERSION, upstream=links(upstream))
    if latest and ledger.settled(draft):
        seen = shown(tracking.links(latest.details["version"]))
        return materialized(Report(rows=1), latest, seen)
    files = checkpoint.details["checkpoint"]
    version = _registered(tracking, checkpoint) or tracking.register(
        name, checkpoint_store.folder(files), {"digest": files}
    )
    mine = _version(name, version, warehouse, evaluations[name])
    verdict = judge(mine, _champion(lake, warehouse, tracking, evaluations))
    said = figures(mine.scores, verdict, checkpoint.details["encoder_digest"])
    tracking.rank(name, version, said, promote=verdict.promote)
    if verdict.promote:
        record_champion(lake, mine)
    details = {
        "champion": _title(tracking.champion()),
        "challenger": _title(tracking.challenger()),
        "version": version,
        "promoted": "yes" if verdict.promote else "no",
        "why": verdict.why,
    }
    digest = sha256_text(f"{details}")
    record = ledger.commit(replace(draft, digest=digest, details=details))
    report = Report(rows=1, added=int(latest is None), changed=int(latest is not None))
    return materialized(report, record, shown(tracking.links(version)))


def _version(
    encoder: str, version: str, warehouse: Warehouse, evaluations: Sequence[Record]
) -> Champion:
    """A version with what was measured of it."""
    dense, hybrid = (
        scores(warehouse, evaluations, retriever)
        for retriever in (Retriever.DENSE, Retriever.HYBRID)
    )
    return Champion(encoder, version, dense, hybrid)


def _champion(
    lake: ObjectStore,
    warehouse: Warehouse,
    tracking: Tracking,
    evaluations: Mapping[str, Sequence[Record]],
) -> Champion | None:
    """The champion with its scores: today's if it is its encoder's present checkpoint."""
    holder = tracking.champion()
    if holder is None:
        return None
    encoder, version = holder
    checkpoint = Ledger(lake).latest("checkpoints", encoder)
    today = evaluations.get(encoder, ())
    if checkpoint and today and _registered(tracking, checkpoint) == version:
        return _version(encoder, version, warehouse, today)
    kept = recorded_champion(lake)
    known = kept is not None and (kept.encoder, kept.version) == holder
    return kept if known else Champion(encoder, version, {})


def _registered(tracking: Tracking, checkpoint: Record) -> str | None:
    """The version of a checkpoint's files.

    Registries that were filled before 25 November 2026 know it by the encoder digest.
    """
    found = (
        tracking.version_of(checkpoint.partition, checkpoint.details[digest])
        for digest in ("checkpoint", "encoder_digest")
    )
    return next((version for version in found if version), None)


def _title(holder: tuple[str, str] | None) -> str:
    return Champion(*holder, {}).title if holder else "none"


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
