"""Checks of `document_classes`."""

import dagster as dg

from platform_assets.checking import Verdict, verdict_of
from platform_assets.checkpoints.store import CheckpointStore
from platform_assets.checkpoints.stored import as_stored
from platform_assets.classifiers.assets import document_classes
from platform_assets.provenance import Ledger
from resources.object_store import ObjectStore


@dg.asset_check(asset=document_classes, blocking=True)
def weights_are_as_stored(
    context: dg.AssetCheckExecutionContext,
    lake: dg.ResourceParam[ObjectStore],
    checkpoint_store: dg.ResourceParam[CheckpointStore],
) -> dg.AssetCheckResult:
    """Every file of the classifier in the lake has the digest it was stored with.

    A run reads them where one is listed otherwise than last time, the job `asset_checks` always.
    """
    return as_stored(context, lake, checkpoint_store, document_classes)


@dg.asset_check(asset=document_classes)
def better_than_the_majority(
    context: dg.AssetCheckExecutionContext, lake: dg.ResourceParam[ObjectStore]
) -> dg.AssetCheckResult:
    """On unseen documents the classifier's macro F1 is above that of naming the commonest class.

    By the 95% interval over documents; warns where it is not.
    """

    def examine(partition: str) -> Verdict:
        details = Ledger(lake).require("document_classes", partition).details
        names = ("macro_f1", "majority_f1", "gain_low", "gain_high", "tested_on")
        shown = {name: float(details[name]) for name in names}
        if shown["gain_low"] > 0:
            return Verdict(None, shown)
        fault = (
            f"macro F1 {details['macro_f1']} against {details['majority_f1']} of the commonest "
            f"class on {details['tested_on']} documents (difference {details['gain_low']} to "
            f"{details['gain_high']}): too few documents, or folders that their text does not tell"
        )
        return Verdict(fault, shown)

    return verdict_of(context, lake, document_classes, examine, dg.AssetCheckSeverity.WARN)
