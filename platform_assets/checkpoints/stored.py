"""The check that all assets with checkpoints share: what is in the lake is what was stored.

A run reads a checkpoint that is listed otherwise than when it was last found whole, as it reads
slices that changed; the job `asset_checks` reads all.
"""

import dagster as dg

from platform_assets.checking import Verdict, verdict_of
from platform_assets.checkpoints.store import CheckpointStore
from platform_assets.provenance import Ledger
from platform_assets.settled import Settled
from resources.object_store import ObjectStore


def as_stored(
    context: dg.AssetCheckExecutionContext,
    lake: ObjectStore,
    store: CheckpointStore,
    asset: dg.AssetsDefinition,
) -> dg.AssetCheckResult:
    """Whether every file of an asset's checkpoint has the digest that it was stored with."""
    name = asset.key.to_user_string()
    trusting = context.has_partition_key
    return verdict_of(
        context, lake, asset, lambda each: _verdict(trusting, lake, store, name, each)
    )


def _verdict(
    trusting: bool, lake: ObjectStore, store: CheckpointStore, name: str, partition: str
) -> Verdict:
    """Whether one checkpoint is whole; if `trusting`, what is listed as when it was is."""
    digest = Ledger(lake).require(name, partition).details["checkpoint"]
    states = {digest: store.listing(digest)}
    settled = Settled.read(lake, f"checks/{name}_as_stored/{partition}", states)
    if trusting and not settled.open:
        return Verdict(None, {"read again": "no"})
    fault = store.broken(digest)
    if fault:
        settled.forget()
    elif store.listing(digest) == states[digest]:  # nobody mended it between the two
        settled.keep(states, {digest: {}})
    return Verdict(fault, {"read again": "yes"})
