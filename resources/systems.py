"""Systems: which one serves a layer's URL, by its scheme.

Here: one short function for each system and two tables that list them; each system is imported
only when it is asked for. Not here: who asks (registry.py), the systems themselves.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from resources.settings import VARIABLES, Settings, UsageError, redacted

Factory = Callable[[str, Settings], Any]


def _folder(url: str, _: Settings) -> Any:
    from resources.object_store.folder import FolderObjectStore

    return FolderObjectStore(url)


def _s3(url: str, _: Settings) -> Any:
    from resources.object_store.s3 import S3ObjectStore

    return S3ObjectStore(url)


def _obstore(url: str, _: Settings) -> Any:
    from resources.object_store.obstore import ObstoreObjectStore

    return ObstoreObjectStore(url)


def _sql_catalog(url: str, settings: Settings) -> Any:
    from resources.warehouse.iceberg import IcebergWarehouse
    from resources.warehouse.sql_catalog import open_sql_catalog

    catalog = open_sql_catalog(url, f"{settings.lake}/_lakeloom/warehouse")
    return IcebergWarehouse(catalog, settings.home / "locks")


def _rest_catalog(url: str, settings: Settings) -> Any:
    from resources.warehouse.iceberg import IcebergWarehouse
    from resources.warehouse.rest_catalog import open_rest_catalog

    return IcebergWarehouse(open_rest_catalog(url), settings.home / "locks")


def _glue_catalog(url: str, settings: Settings) -> Any:
    from resources.warehouse.glue_catalog import open_glue_catalog
    from resources.warehouse.iceberg import IcebergWarehouse

    catalog = open_glue_catalog(url, f"{settings.lake}/_lakeloom/warehouse")
    return IcebergWarehouse(catalog, settings.home / "locks")


def _qdrant_edge(url: str, _: Settings) -> Any:
    from resources.vector_store.qdrant_edge import EdgeStore

    return EdgeStore(Path(unquote(urlsplit(url).path)))


def _qdrant_server(url: str, _: Settings) -> Any:
    from resources.vector_store.qdrant_server import connect

    return connect(url, os.environ.get("LAKELOOM_VECTORS_API_KEY"))


def _mlflow(url: str, settings: Settings) -> Any:
    from resources.tracking.mlflow import MlflowTracking

    return MlflowTracking(url, str(settings.home / "mlflow"))


def _accelerate(url: str, _: Settings) -> Any:
    from resources.training.accelerate import AccelerateTrainer

    return AccelerateTrainer.of(url)


def _deepspeed(url: str, _: Settings) -> Any:
    from resources.training.deepspeed import DeepSpeedTrainer

    return DeepSpeedTrainer.of(url)


def _ray(url: str, _: Settings) -> Any:
    from resources.training.ray import RayTrainer

    return RayTrainer.of(url)


def _spark(url: str, _: Settings) -> Any:
    from resources.training.spark import SparkTrainer

    return SparkTrainer.of(url)


def _kubernetes(url: str, settings: Settings) -> Any:
    from resources.registry import connect_lake
    from resources.training.kubernetes import KubernetesTrainer, PodOptions

    return KubernetesTrainer(PodOptions.of(url), settings.lake, lambda: connect_lake(settings))


def _keras(_: str, __: Settings) -> Any:
    from resources.classifiers.keras_torch import KerasTrainer

    return KerasTrainer()


def _spark_tensorflow(url: str, _: Settings) -> Any:
    from resources.classifiers import spark_tensorflow
    from resources.classifiers.environment import Environment, EnvironmentTrainer

    environment = Environment.of(url, "tensorflow")
    return EnvironmentTrainer(environment, spark_tensorflow.__name__, spark_tensorflow.variables)


def _horovod(url: str, _: Settings) -> Any:
    from resources.classifiers import horovod
    from resources.classifiers.environment import Environment, EnvironmentTrainer

    return EnvironmentTrainer(Environment.of(url, "horovod"), horovod.__name__, horovod.variables)


def _package_hub(_: str, __: Settings) -> Any:
    from resources.model_hub.package import PackageHub

    return PackageHub()


def _huggingface(url: str, settings: Settings) -> Any:
    from resources.model_hub.huggingface import HuggingFaceHub
    from resources.model_hub.package import PackageHub

    return HuggingFaceHub(url, settings.cache / "hub", PackageHub())


def _local_engine(_: str, __: Settings) -> Any:
    from resources.engines.local import LocalEngine

    return LocalEngine()


def _ray_engine(url: str, settings: Settings) -> Any:
    from resources.engines.ray import RayEngine

    engine = RayEngine.of(url)
    if engine.address and (
        unshared := sorted({"lake", "catalog"} & settings.local_places().keys())
    ):
        raise UsageError(
            f"the workers of LAKELOOM_ENGINE={redacted(url)} read the lake and the catalog "
            f"themselves: set {' and '.join(VARIABLES[layer] for layer in unshared)} to servers"
        )
    return engine


def _openvino(url: str, _: Settings) -> Any:
    from resources.encoding.openvino import OpenVinoBackend

    return OpenVinoBackend.of(url)


def _torch(url: str, _: Settings) -> Any:
    from resources.encoding.torch import TorchBackend

    return TorchBackend.of(url)


def _polling_only(_: str, __: Settings) -> Any:
    from resources.events.polling import PollingOnly

    return PollingOnly()


def _sqs(url: str, settings: Settings) -> Any:
    from resources.events.notices import Lake
    from resources.events.sqs import SqsEvents

    return SqsEvents(url, Lake.of(settings.lake))


def _webhook(_: str, settings: Settings) -> Any:
    from resources.events.webhook import WebhookQueue

    return WebhookQueue(settings.home / "events.db")


def _silent(_: str, __: Settings) -> Any:
    from resources.notifications import Silent

    return Silent()


def _webhook_notices(url: str, _: Settings) -> Any:
    from resources.notifications.webhook import Webhook, plain

    return Webhook(url, plain)


def _slack(url: str, _: Settings) -> Any:
    from resources.notifications.webhook import Webhook, slack

    return Webhook(url.removeprefix("slack+"), slack)


def _delta(root: str) -> Any:
    from resources.exports.delta import DeltaExport

    return DeltaExport(root)


SYSTEMS: Mapping[str, Mapping[str, Factory]] = {
    "lake": {"file": _folder, "s3": _s3, "gs": _obstore, "az": _obstore},
    "catalog": {
        **dict.fromkeys(("sqlite", "postgresql"), _sql_catalog),
        **dict.fromkeys(("http", "https"), _rest_catalog),
        "glue": _glue_catalog,
    },
    "vectors": {"edge": _qdrant_edge, "http": _qdrant_server, "https": _qdrant_server},
    "tracking": dict.fromkeys(("sqlite", "http", "https"), _mlflow),
    "engine": {"local": _local_engine, "ray": _ray_engine},
    "encoding": {"openvino": _openvino, "torch": _torch},
    "trainer": {
        "accelerate": _accelerate,
        "deepspeed": _deepspeed,
        "ray": _ray,
        "spark": _spark,
        "kubernetes": _kubernetes,
    },
    "classifier": {"keras": _keras, "tensorflow": _spark_tensorflow, "horovod": _horovod},
    "hub": {
        "package": _package_hub,
        **dict.fromkeys(("huggingface", "https", "http"), _huggingface),
    },
    "events": {
        "polling": _polling_only,
        **dict.fromkeys(("sqs", "https", "http"), _sqs),
        "webhook": _webhook,
    },
    "notify": {
        "none": _silent,
        **dict.fromkeys(("https", "http"), _webhook_notices),
        "slack": _slack,
    },
}
"""Layer -> scheme -> system. A new system is a file of its own and one entry here."""


EXPORTS: Mapping[str, Callable[[str], Any]] = {"delta": _delta}
"""Format -> how a place for tables in it is opened."""
