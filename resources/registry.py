"""Connections: a layer's system, by the scheme of the layer's URL.

Here: one function for each layer, which the platform calls. Not here: which scheme is which system
(systems.py), the systems themselves.
"""

import os
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from resources.secrets import without_secrets
from resources.settings import LOCAL, VARIABLES, Settings, UsageError, redacted
from resources.systems import EXPORTS, SYSTEMS

if TYPE_CHECKING:
    from resources.classifiers import ClassifierTrainer
    from resources.encoding import EncodingBackend
    from resources.engines import Engine
    from resources.events import BucketEvents, NoticeQueue
    from resources.exports import TableExport
    from resources.model_hub import ModelHub, ModelPublisher
    from resources.notifications import Notifier
    from resources.object_store import ObjectStore
    from resources.parsing import DocumentParser
    from resources.tracking import Tracking
    from resources.training import Trainer
    from resources.vector_store import VectorStore
    from resources.warehouse import Warehouse


def connect_lake(settings: Settings) -> "ObjectStore":
    """The data lake's bucket."""
    store: ObjectStore = _connect("lake", settings)
    return store


def connect_warehouse(settings: Settings) -> "Warehouse":
    """The Iceberg tables."""
    warehouse: Warehouse = _connect("catalog", settings)
    return warehouse


def connect_vectors(settings: Settings) -> "VectorStore":
    """The vector database."""
    store: VectorStore = _connect("vectors", settings)
    return store


def connect_tracking(settings: Settings) -> "Tracking":
    """Experiment tracking and the model registry."""
    tracking: Tracking = _connect("tracking", settings)
    return tracking


def connect_trainer(settings: Settings) -> "Trainer":
    """The training engine, where a recipe asks for no other."""
    from resources.training.by_recipe import TrainerByRecipe

    def engine(url: str) -> "Trainer":
        trainer: Trainer = _connect("trainer", replace(settings, trainer=url))
        return trainer

    return TrainerByRecipe(engine(settings.trainer), engine)


def check_engine(url: str) -> None:
    """See that a recipe's URL names a training engine; raises UsageError."""
    try:
        _connect("trainer", replace(Settings.from_env(), trainer=url))
    except UsageError as error:
        said = str(error).removeprefix(f"{VARIABLES['trainer']}=")
        raise UsageError(said) from error


def connect_classifier(settings: Settings) -> "ClassifierTrainer":
    """What trains classifiers."""
    trainer: ClassifierTrainer = _connect("classifier", settings)
    return trainer


def connect_hub(settings: Settings) -> "ModelHub":
    """Where base models come from."""
    hub: ModelHub = _connect("hub", settings)
    return hub


def connect_publisher(settings: Settings) -> "ModelPublisher":
    """Where checkpoints are published: the other end of `connect_hub`."""
    publisher: ModelPublisher = _connect("hub", settings)
    return publisher


def connect_engine(settings: Settings) -> "Engine":
    """Where parsing, chunking and embedding are computed."""
    engine: Engine = _connect("engine", settings)
    return engine


def connect_parser(_: Settings) -> "DocumentParser":
    """The document parsers."""
    from resources.parsing.pool import GuardedParser

    return GuardedParser()


def connect_events(settings: Settings) -> "BucketEvents":
    """Notices of uploads."""
    events: BucketEvents = _connect("events", settings)
    return events


def connect_notifier(settings: Settings) -> "Notifier":
    """Who is told of failed runs."""
    notifier: Notifier = _connect("notify", settings)
    return notifier


def connect_notice_queue(settings: Settings) -> "NoticeQueue":
    """Where the webhook's receiver keeps its notices: the other end of `connect_events`."""
    queue: NoticeQueue = _connect("events", settings)
    return queue


def open_export(kind: str, root: str) -> "TableExport":
    """A place for exported tables, in one of `EXPORTS`."""
    export: TableExport = EXPORTS[kind](root)
    return export


def connect_encoding(settings: Settings) -> "EncodingBackend":
    """The inference system that loads encoders."""
    backend: EncodingBackend = _connect("encoding", settings)
    return backend


@lru_cache(maxsize=32)
def _connect(layer: str, settings: Settings) -> Any:
    url = str(getattr(settings, layer))
    scheme = urlsplit(url).scheme.split("+")[0]
    systems = SYSTEMS[layer]
    if scheme not in systems:
        known = ", ".join(f"{name}://" for name in systems)
        raise UsageError(
            f"{VARIABLES[layer]}={without_secrets(redacted(url))!r} names no known system: "
            f"begin it with {known}"
        )
    _see_that_containers_share(layer, url, settings)
    return systems[scheme](url, settings)


_OF_ITS_OWN = "DAGSTER_RUN_JOB_NAME"
"""Launchers that give a run, or a step, a container of its own set this in it."""


def _see_that_containers_share(layer: str, url: str, settings: Settings) -> None:
    """The next step's container would not see what this one leaves on its disk."""
    if _OF_ITS_OWN in os.environ and layer in settings.local_places():
        others = {name for name in SYSTEMS[layer] if name not in LOCAL}
        servers = ", ".join(f"{name}://" for name in sorted(others))
        raise UsageError(
            f"{VARIABLES[layer]}={redacted(url)!r} lies on the disk of this run's container, which "
            f"no other shares: set {VARIABLES[layer]} to one of {servers}"
        )
