"""Checks of `erasures`, and of weights that learned from what was erased."""

import dagster as dg

from platform_assets.checking import Verdict, verdict_of
from platform_assets.checkpoints.assets import checkpoints
from platform_assets.erasure.assets import erasures
from platform_assets.erasure.case import cases
from platform_assets.erasure.tombstones import erased_corpora
from platform_assets.language_models.assets import language_models
from platform_assets.provenance import Ledger
from resources.object_store import ObjectStore


@dg.asset_check(asset=erasures)
def every_erasure_is_proven(
    context: dg.AssetCheckExecutionContext, lake: dg.ResourceParam[ObjectStore]
) -> dg.AssetCheckResult:
    """What was to be erased was carried through, and a search of every byte found nothing."""

    def examine(corpus: str) -> Verdict:
        known = list(cases(lake, corpus))
        figures = {"erasures": len(known)}
        places = [
            f"{case.documents[0]} is still in {find['item']} ({find['form']})"
            for case in known
            for find in case.found
        ]
        places += [
            f"{case.documents[0]} may be in {item}, which cannot be decoded"
            for case in known
            if case.state == "unreadable"
            for item in case.unreadable
        ]
        marked = [case.documents[0] for case in known if case.state == "marked"]
        places += [f"{document} is not carried through yet" for document in marked]
        return Verdict("; ".join(places) or None, figures)

    return verdict_of(context, lake, erasures, examine)


@dg.asset_check(asset=checkpoints)
def not_trained_on_erased_documents(
    context: dg.AssetCheckExecutionContext, lake: dg.ResourceParam[ObjectStore]
) -> dg.AssetCheckResult:
    """No checkpoint in use learned from a document that was erased since; warns until retrained."""
    return _unlearned(context, lake, checkpoints, "'key:training_pairs or key:checkpoints+'")


@dg.asset_check(asset=language_models)
def not_tuned_on_erased_documents(
    context: dg.AssetCheckExecutionContext, lake: dg.ResourceParam[ObjectStore]
) -> dg.AssetCheckResult:
    """No adapter in use learned from a document that was erased since; warns until tuned anew."""
    return _unlearned(context, lake, language_models, "key:language_models")


def _unlearned(
    context: dg.AssetCheckExecutionContext,
    lake: ObjectStore,
    asset: dg.AssetsDefinition,
    select: str,
) -> dg.AssetCheckResult:
    """Warn of what learned from erased documents; `select` is what makes it anew."""
    learned = {
        (trained.encoder, trained.checkpoint): case
        for corpus in erased_corpora(lake)
        for case in cases(lake, corpus)
        for trained in case.checkpoints
    }

    def examine(name: str) -> Verdict:
        record = Ledger(lake).require(asset.key.to_user_string(), name)
        case = learned.get((name, record.details["checkpoint"]))
        if case is None:
            return Verdict(None)
        fault = (
            f"it learned from document {case.documents[0]} of {case.corpus}, erased since: retrain "
            f"with `lakeloom materialize --select {select}`"
        )
        return Verdict(fault)

    return verdict_of(context, lake, asset, examine, dg.AssetCheckSeverity.WARN)
