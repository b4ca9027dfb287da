"""The state a command works on: settings, Dagster's instance and the layers."""

import os
import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from platform_assets.checkpoints.bases import KeptModels
from platform_assets.checkpoints.store import CheckpointStore
from platform_assets.partitions import CORPUS_NAME
from platform_assets.provenance import Ledger
from resources import registry
from resources.model_hub import ModelHub
from resources.object_store import ObjectStore
from resources.process_lock import alone
from resources.settings import Settings
from resources.tracking import Tracking
from resources.vector_store import VectorStore
from resources.warehouse import Warehouse

if TYPE_CHECKING:
    import dagster as dg

DAGSTER_YAML = Path(__file__).resolve().parents[1] / "dagster.yaml"


@dataclass(frozen=True)
class State:
    """The layers as the settings name them, each connected when it is first used."""

    settings: Settings

    @cached_property
    def lake(self) -> ObjectStore:
        """The data lake."""
        return registry.connect_lake(self.settings)

    @cached_property
    def warehouse(self) -> Warehouse:
        """The tables."""
        return registry.connect_warehouse(self.settings)

    @cached_property
    def vectors(self) -> VectorStore:
        """The vector database."""
        return registry.connect_vectors(self.settings)

    @cached_property
    def checkpoints(self) -> CheckpointStore:
        """Checkpoints in the lake, with the local cache."""
        encoding = registry.connect_encoding(self.settings)
        return CheckpointStore(self.lake, self.settings.cache / "checkpoints", encoding)

    @cached_property
    def hub(self) -> ModelHub:
        """Base models, those in the lake first."""
        return KeptModels(registry.connect_hub(self.settings), self.lake, self.checkpoints)

    @cached_property
    def tracking(self) -> Tracking:
        """Experiment tracking and the model registry."""
        return registry.connect_tracking(self.settings)

    @cached_property
    def ledger(self) -> Ledger:
        """Provenance records."""
        return Ledger(self.lake)

    def corpora(self) -> list[str]:
        """Corpora in the lake, and those that were and are still materialised; sorted."""
        here = {name for name in self.lake.prefixes() if CORPUS_NAME.fullmatch(name)}
        return sorted(here | set(self.ledger.partitions("raw_objects")))


def dagster_home(settings: Settings) -> Path:
    """Dagster's home, shared by the CLI, the UI and the daemon: DAGSTER_HOME, or one of ours."""
    if given := os.environ.get("DAGSTER_HOME"):
        return Path(given)
    home = settings.dagster_home
    if not (home / "dagster.yaml").exists():
        home.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(DAGSTER_YAML, home / "dagster.yaml")
    return home


def open_instance(settings: Settings) -> "dg.DagsterInstance":
    """Dagster's instance on the shared state; of several that find a new one, one prepares it."""
    from platform_assets.instance_storage import open_with_kept_connections

    with alone(settings.home / "dagster.lock"):
        return open_with_kept_connections(dagster_home(settings))


def register(instance: "dg.DagsterInstance", corpora: list[str]) -> None:
    """Add the partitions of corpora that have none yet."""
    known = set(instance.get_dynamic_partitions("corpus"))
    if new := [corpus for corpus in corpora if corpus not in known]:
        instance.add_dynamic_partitions("corpus", new)
