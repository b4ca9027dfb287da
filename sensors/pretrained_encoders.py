"""The sensor that brings pretrained encoders in, so that uploads find them there."""

from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg

from platform_assets.checkpoints.recipes import load_recipes
from platform_assets.provenance import Ledger
from resources.object_store import ObjectStore
from sensors.polling import POLL_SECONDS


@dg.sensor(
    target=dg.AssetSelection.assets("checkpoints"),
    minimum_interval_seconds=POLL_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def pretrained_encoders(lake: dg.ResourceParam[ObjectStore]) -> Iterator[dg.RunRequest]:
    """Request the checkpoint of each recipe that needs no training and has none yet.

    Its run key holds the day: where the model hub cannot be reached, it is asked again tomorrow.
    """
    ledger = Ledger(lake)
    for recipe in load_recipes().values():
        if recipe.training is None and ledger.latest("checkpoints", recipe.name) is None:
            day = datetime.now(UTC).date()
            yield dg.RunRequest(
                run_key=f"{recipe.name}:{recipe.digest}:{day}", partition_key=recipe.name
            )
