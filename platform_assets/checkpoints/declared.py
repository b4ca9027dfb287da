"""The asset `recipes`: what recipes.toml says, so that a change of it shows in the lineage.

Here: one partition for each encoder, whose data version is its recipe; a changed recipe makes that
encoder's checkpoint stale and no other. Not here: reading the file (recipes.py).
"""

import dagster as dg

from platform_assets.automation import ON_NEW_RECIPE
from platform_assets.checkpoints.recipes import load_recipes
from platform_assets.partitions import encoders
from platform_assets.provenance import Ledger, Record
from platform_assets.reconcile import Report
from platform_assets.results import OWNERS, materialized
from resources.object_store import ObjectStore

CODE_VERSION = "1"


@dg.asset(
    partitions_def=encoders,
    group_name="encoders",
    kinds={"toml"},
    owners=OWNERS,
    code_version=CODE_VERSION,
    automation_condition=ON_NEW_RECIPE,
)
def recipes(
    context: dg.AssetExecutionContext, lake: dg.ResourceParam[ObjectStore]
) -> dg.MaterializeResult[None]:
    """How an encoder is made: its base model and its training, as recipes.toml declares them."""
    recipe = load_recipes()[context.partition_key]
    ledger = Ledger(lake)
    latest = ledger.latest("recipes", recipe.name)
    record = ledger.commit(
        Record("recipes", recipe.name, None, recipe.digest, 1, CODE_VERSION, upstream={})
    )
    new = latest is None or latest.record_id != record.record_id
    report = Report(rows=1, added=int(latest is None), changed=int(latest is not None and new))
    return materialized(report, record, {"recipe": dg.MetadataValue.json(recipe.what())})
