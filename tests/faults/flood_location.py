"""The code location of the flood: events as the only starter, and what an upload materialises.

Manifest and documents are the real assets; the two after them do nothing here.
"""

import dagster as dg

from platform_assets.definitions import build_resources
from platform_assets.documents import assets as document_assets
from platform_assets.marked_executor import marked_executor
from platform_assets.partitions import corpora
from platform_assets.raw_objects import assets as object_assets
from sensors.bucket_events import bucket_events


@dg.asset(partitions_def=corpora)
def chunks() -> None: ...


@dg.asset(partitions_def=corpora)
def queries() -> None: ...


defs = dg.Definitions(
    assets=[
        *dg.load_assets_from_modules([object_assets, document_assets]),
        chunks,
        queries,
    ],
    sensors=[bucket_events],
    resources=build_resources(),
    executor=marked_executor,
)
