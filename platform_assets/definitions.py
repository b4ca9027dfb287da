"""The code location: every asset, check, job, sensor and resource in one `Definitions`."""

import gc
import os
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import dagster as dg

from platform_assets.checkpoints import assets as checkpoint_assets
from platform_assets.checkpoints import checks as checkpoint_checks
from platform_assets.checkpoints import declared as recipe_assets
from platform_assets.checkpoints.bases import KeptModels
from platform_assets.checkpoints.store import CheckpointStore
from platform_assets.chunks import assets as chunk_assets
from platform_assets.chunks import checks as chunk_checks
from platform_assets.classifiers import assets as classifier_assets
from platform_assets.classifiers import checks as classifier_checks
from platform_assets.documents import assets as document_assets
from platform_assets.documents import checks as document_checks
from platform_assets.embeddings import assets as embedding_assets
from platform_assets.embeddings import checks as embedding_checks
from platform_assets.erasure import assets as erasure_assets
from platform_assets.erasure import checks as erasure_checks
from platform_assets.evaluation import assets as evaluation_assets
from platform_assets.evaluation import checks as evaluation_checks
from platform_assets.evaluation.quality_report import quality_report
from platform_assets.language_models import assets as language_model_assets
from platform_assets.language_models import checks as language_model_checks
from platform_assets.maintenance import assets as maintenance_assets
from platform_assets.maintenance import checks as maintenance_checks
from platform_assets.marked_executor import STEPS, executor_of
from platform_assets.queries import assets as query_assets
from platform_assets.queries import checks as query_checks
from platform_assets.raw_objects import assets as object_assets
from platform_assets.raw_objects import checks as object_checks
from platform_assets.vector_indexes import assets as index_assets
from platform_assets.vector_indexes import checks as index_checks
from resources import registry
from resources.settings import Settings
from resources.tracking.mlflow_run import mlflow_run
from sensors.automation import automation
from sensors.bucket_events import bucket_events
from sensors.bucket_uploads import bucket_uploads
from sensors.ended_trainings import cancelled_trainings, failed_trainings
from sensors.failed_runs import failed_runs
from sensors.pretrained_encoders import pretrained_encoders
from sensors.schedules import (
    daily_maintenance,
    weekly_asset_checks,
    weekly_training,
    weekly_training_pairs,
)

MODULES: tuple[ModuleType, ...] = (
    object_assets,
    document_assets,
    chunk_assets,
    query_assets,
    recipe_assets,
    checkpoint_assets,
    embedding_assets,
    index_assets,
    evaluation_assets,
    language_model_assets,
    maintenance_assets,
    erasure_assets,
    classifier_assets,
)
CHECK_MODULES: tuple[ModuleType, ...] = (
    object_checks,
    document_checks,
    chunk_checks,
    query_checks,
    checkpoint_checks,
    embedding_checks,
    index_checks,
    evaluation_checks,
    language_model_checks,
    maintenance_checks,
    erasure_checks,
    classifier_checks,
)

asset_checks = dg.define_asset_job(
    "asset_checks",
    selection=dg.AssetSelection.all_asset_checks(),
    description="Every asset check on every partition; fails if a blocking one does. For CI.",
)


def build_resources(settings: Settings | None = None) -> dict[str, dg.ResourceDefinition]:
    """One resource a layer, connected when a run first needs it."""

    def late(connect: Callable[[Settings], Any]) -> dg.ResourceDefinition:
        return dg.ResourceDefinition(lambda _: connect(settings or Settings.from_env()))

    return {
        "settings": late(lambda found: found),
        "lake": late(registry.connect_lake),
        "warehouse": late(registry.connect_warehouse),
        "vectors": late(registry.connect_vectors),
        "tracking": late(registry.connect_tracking),
        "trainer": late(registry.connect_trainer),
        "hub": late(_kept_models),
        "classifier_trainer": late(registry.connect_classifier),
        "events": late(registry.connect_events),
        "notifier": late(registry.connect_notifier),
        "parser": late(registry.connect_parser),
        "engine": late(registry.connect_engine),
        "encoding": late(registry.connect_encoding),
        "checkpoint_store": late(_checkpoint_store),
        "mlflow": mlflow_run(lambda: settings or Settings.from_env()),
    }


def build_defs(
    resource_overrides: Mapping[str, Any] | None = None,
    loggers: Mapping[str, dg.LoggerDefinition] | None = None,
) -> dg.Definitions:
    """The code location, with some resources replaced or a logger of one's own."""
    return dg.Definitions(
        assets=dg.load_assets_from_modules(MODULES),
        asset_checks=dg.load_asset_checks_from_modules(CHECK_MODULES),
        jobs=[asset_checks, quality_report],
        sensors=[
            bucket_uploads,
            bucket_events,
            pretrained_encoders,
            failed_trainings,
            cancelled_trainings,
            failed_runs,
            automation,
        ],
        schedules=[weekly_training_pairs, weekly_training, daily_maintenance, weekly_asset_checks],
        resources={**build_resources(), **(resource_overrides or {})},
        executor=executor_of(os.environ.get(STEPS, "")),
        loggers=loggers,
    )


def _checkpoint_store(settings: Settings) -> CheckpointStore:
    return CheckpointStore(
        registry.connect_lake(settings),
        settings.cache / "checkpoints",
        registry.connect_encoding(settings),
    )


def _kept_models(settings: Settings) -> KeptModels:
    lake, hub = registry.connect_lake(settings), registry.connect_hub(settings)
    return KeptModels(hub, lake, _checkpoint_store(settings))


defs = build_defs()
gc.freeze()  # all of this stays, so no collection of garbage need look through it: 5% of a run
