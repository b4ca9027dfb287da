"""Checks of `language_models`."""

import dagster as dg

from platform_assets.checking import Verdict, verdict_of
from platform_assets.checkpoints.store import CheckpointStore
from platform_assets.checkpoints.stored import as_stored
from platform_assets.language_models.assets import language_models
from platform_assets.language_models.refresh import ASSET
from platform_assets.logbook import Logbook, untracked
from platform_assets.provenance import Ledger
from resources.object_store import ObjectStore
from resources.tracking import Tracking


@dg.asset_check(asset=language_models, blocking=True)
def held_out_loss_went_down(
    context: dg.AssetCheckExecutionContext, lake: dg.ResourceParam[ObjectStore]
) -> dg.AssetCheckResult:
    """Tuning lowered the loss a token on documents that it never saw."""

    def examine(name: str) -> Verdict:
        details = Ledger(lake).require(ASSET, name).details
        before = float(details["held_out_loss_before"])
        after = float(details["held_out_loss_after"])
        fault = (
            f"the loss on {details['held_out_documents']} held-out documents went from "
            f"{before:.4f} to {after:.4f}: train on more text, or with another learning_rate"
        )
        return Verdict(None if after < before else fault, {"before": before, "after": after})

    return verdict_of(context, lake, language_models, examine)


@dg.asset_check(asset=language_models, blocking=True)
def adapter_is_as_stored(
    context: dg.AssetCheckExecutionContext,
    lake: dg.ResourceParam[ObjectStore],
    checkpoint_store: dg.ResourceParam[CheckpointStore],
) -> dg.AssetCheckResult:
    """Every file of the adapter in the lake has the digest it was stored with.

    A run reads them where one is listed otherwise than last time, the job `asset_checks` always.
    """
    return as_stored(context, lake, checkpoint_store, language_models)


@dg.asset_check(asset=language_models)
def tuning_is_tracked(
    context: dg.AssetCheckExecutionContext,
    lake: dg.ResourceParam[ObjectStore],
    tracking: dg.ResourceParam[Tracking],
) -> dg.AssetCheckResult:
    """Every tuning is in the experiment tracking; warns until one that waits is entered."""

    def examine(name: str) -> Verdict:
        return untracked(Logbook(tracking, lake, context.log.warning, ASSET, name).waiting())

    return verdict_of(context, lake, language_models, examine, dg.AssetCheckSeverity.WARN)
