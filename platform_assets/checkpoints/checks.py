"""Checks of `recipes`, `checkpoints` and `promoted_encoder`."""

import dagster as dg

from platform_assets.checking import Verdict, verdict_of
from platform_assets.checkpoints.assets import checkpoints, promoted_encoder
from platform_assets.checkpoints.declared import recipes
from platform_assets.checkpoints.recipes import load_recipes
from platform_assets.checkpoints.store import CheckpointStore
from platform_assets.checkpoints.stored import as_stored
from platform_assets.logbook import Logbook, untracked
from platform_assets.partitions import corpora
from platform_assets.provenance import Ledger
from resources.object_store import ObjectStore
from resources.tracking import Tracking


@dg.asset_check(asset=recipes, blocking=True)
def its_corpora_are_there(
    context: dg.AssetCheckExecutionContext, lake: dg.ResourceParam[ObjectStore]
) -> dg.AssetCheckResult:
    """Every corpus that a recipe names exists: a misspelt one would train on nothing."""
    known = set(context.instance.get_dynamic_partitions(corpora.name or ""))

    def examine(encoder: str) -> Verdict:
        training = load_recipes()[encoder].training
        named = training.corpora if training else "all"
        shown = named if isinstance(named, str) else ", ".join(sorted(named))
        return Verdict(training.fault(known) if training else None, {"corpora": shown})

    return verdict_of(context, lake, recipes, examine)


@dg.asset_check(asset=checkpoints, blocking=True)
def files_are_as_stored(
    context: dg.AssetCheckExecutionContext,
    lake: dg.ResourceParam[ObjectStore],
    checkpoint_store: dg.ResourceParam[CheckpointStore],
) -> dg.AssetCheckResult:
    """Every file of the checkpoint in the lake has the digest it was stored with.

    A run reads them where one is listed otherwise than last time, the job `asset_checks` always.
    """
    return as_stored(context, lake, checkpoint_store, checkpoints)


@dg.asset_check(asset=checkpoints)
def trained_as_its_recipe_says(
    context: dg.AssetCheckExecutionContext, lake: dg.ResourceParam[ObjectStore]
) -> dg.AssetCheckResult:
    """A recipe with training had pairs enough to train on; otherwise it is its base, and warns."""

    def examine(encoder: str) -> Verdict:
        record = Ledger(lake).require("checkpoints", encoder)
        recipe = load_recipes()[encoder]
        pairs = int(record.details["pair_count"])
        if recipe.training is None or record.details["trained"] == "yes":
            return Verdict(None, {"pairs": pairs})
        fault = (
            f"{pairs} training pairs, {recipe.training.min_pairs} are needed: it is {recipe.base} "
            "unchanged; upload queries.jsonl and qrels, or more documents with headings, then "
            "`lakeloom materialize --select 'key:training_pairs or key:checkpoints'`"
        )
        return Verdict(fault, {"pairs": pairs})

    return verdict_of(context, lake, checkpoints, examine, dg.AssetCheckSeverity.WARN)


@dg.asset_check(asset=checkpoints)
def training_is_tracked(
    context: dg.AssetCheckExecutionContext,
    lake: dg.ResourceParam[ObjectStore],
    tracking: dg.ResourceParam[Tracking],
) -> dg.AssetCheckResult:
    """Every training is in the experiment tracking; warns until one that waits is entered."""

    def examine(encoder: str) -> Verdict:
        logbook = Logbook(tracking, lake, context.log.warning, "checkpoints", encoder)
        return untracked(logbook.waiting())

    return verdict_of(context, lake, checkpoints, examine, dg.AssetCheckSeverity.WARN)


@dg.asset_check(asset=promoted_encoder)
def better_than_the_champion(
    context: dg.AssetCheckExecutionContext, lake: dg.ResourceParam[ObjectStore]
) -> dg.AssetCheckResult:
    """A trained encoder earned the champion alias; warns with the reason where it did not."""

    def examine(encoder: str) -> Verdict:
        details = Ledger(lake).require("promoted_encoder", encoder).details
        challenger = load_recipes()[encoder].training is not None
        fault = details["why"] if challenger and details["promoted"] == "no" else None
        return Verdict(fault, {"champion": details["champion"], "verdict": details["why"]})

    return verdict_of(context, lake, promoted_encoder, examine, dg.AssetCheckSeverity.WARN)
