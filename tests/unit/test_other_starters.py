"""The sensor of pretrained encoders and the training schedules: what they request."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from platform_assets.checkpoints.recipes import load_recipes
from platform_assets.partitions import corpora
from platform_assets.provenance import Ledger, Record
from resources.object_store.obstore import ObstoreObjectStore
from sensors.pretrained_encoders import pretrained_encoders
from sensors.schedules import weekly_training, weekly_training_pairs

PRETRAINED = [recipe.name for recipe in load_recipes().values() if recipe.training is None]
TRAINED = [recipe.name for recipe in load_recipes().values() if recipe.training is not None]


@pytest.fixture
def lake(tmp_path: Path) -> ObstoreObjectStore:
    return ObstoreObjectStore(f"file://{tmp_path}/lake")


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as found:
        yield found


def test_pretrained_encoders_are_brought_once(lake: ObstoreObjectStore) -> None:
    def requested() -> list[Any]:
        with dg.build_sensor_context(resources={"lake": lake}) as context:
            found: Any = pretrained_encoders(context)
            return list(found)

    first, again = requested(), requested()
    assert [request.partition_key for request in first] == PRETRAINED
    assert [request.run_key for request in first] == [request.run_key for request in again]
    for name in PRETRAINED:
        Ledger(lake).commit(Record("checkpoints", name, None, "digest", 1, "1"))
    assert requested() == []


def scheduled(schedule: Any, instance: dg.DagsterInstance, day: int) -> list[Any]:
    when = datetime(2026, 11, day, 4, tzinfo=UTC)
    with dg.build_schedule_context(instance, scheduled_execution_time=when) as context:
        return list(schedule(context))


def test_the_schedules_train_every_recipe_on_pairs_of_every_corpus(
    instance: dg.DagsterInstance,
) -> None:
    instance.add_dynamic_partitions(corpora.name or "", ["birds", "fish"])
    pairs = scheduled(weekly_training_pairs, instance, 1)
    trainings = scheduled(weekly_training, instance, 1)
    assert {request.partition_key for request in pairs} == {"birds", "fish"}
    assert [request.partition_key for request in trainings] == TRAINED
    later = scheduled(weekly_training, instance, 8)
    assert {r.run_key for r in trainings}.isdisjoint(r.run_key for r in later)
