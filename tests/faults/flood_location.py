"""The code location of the flood: what an upload materialises, and events as the only starter."""

import dagster as dg

from platform_assets.chunks import assets as chunk_assets
from platform_assets.definitions import build_resources
from platform_assets.documents import assets as document_assets
from platform_assets.marked_executor import marked_executor
from platform_assets.queries import assets as query_assets
from platform_assets.raw_objects import assets as object_assets
from sensors.bucket_events import bucket_events

defs = dg.Definitions(
    assets=dg.load_assets_from_modules(
        [object_assets, document_assets, chunk_assets, query_assets]
    ),
    sensors=[bucket_events],
    resources=build_resources(),
    executor=marked_executor,
)
