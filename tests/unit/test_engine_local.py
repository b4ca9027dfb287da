"""The local engine: one batch at a time, when it is asked for."""

from pathlib import Path

import pytest

from platform_assets.streams import computed, cut
from resources.engines.local import LocalEngine
from resources.engines.ray import RayEngine
from resources.settings import UsageError
from tests.engine_tasks import Count


def test_results_come_in_the_order_of_the_batches_and_the_task_is_loaded_once(
    tmp_path: Path,
) -> None:
    task = Count(tmp_path)
    assert [list(found) for found in LocalEngine().map(task, [2, 0, 3])] == [[0, 1], [], [0, 1, 2]]
    assert task.opened() == ["None"]


def test_nothing_is_loaded_without_a_batch(tmp_path: Path) -> None:
    task = Count(tmp_path)
    assert list(LocalEngine().map(task, [])) == []
    assert task.opened() == []


def test_no_batch_is_computed_before_it_is_asked_for(tmp_path: Path) -> None:
    results = LocalEngine().map(Count(tmp_path, fails_at=1), [2, 1])
    assert list(next(results)) == [0, 1]
    with pytest.raises(LookupError, match="there is no 1"):
        list(next(results))


def test_a_wave_is_put_together_from_its_batches(tmp_path: Path) -> None:
    waves = [("b", "a"), (), ("c",)]
    found = computed(LocalEngine(), Count(tmp_path), waves, lambda wave: [2] * len(wave))
    assert [(wave, list(results)) for wave, results in found] == [
        (("b", "a"), [0, 1, 0, 1]),
        ((), []),
        (("c",), [0, 1]),
    ]


def test_a_wave_is_cut_by_weight() -> None:
    weights = {"long": 8, "b": 2, "c": 2, "d": 4}
    assert cut(["long", "b", "c", "d"], weights, 2) == [["long"], ["b", "c", "d"]]
    assert cut(["b", "c"], {}, 4) == [["b"], ["c"]]
    assert cut(["long", "b"], weights, 1) == [["long", "b"]]
    assert cut([], weights, 3) == []


def test_a_wrong_parameter_of_ray_is_named() -> None:
    with pytest.raises(UsageError, match=r"worker: Extra inputs.*it takes address, workers, cpus"):
        RayEngine.of("ray://?worker=3")
    with pytest.raises(UsageError, match="workers: "):
        RayEngine.of("ray://?workers=0")


def test_ray_is_told_of_shares_of_a_gpu() -> None:
    engine = RayEngine.of("ray://head:6379?workers=4&cpus=2&gpus=0.5")
    assert (engine.address, engine.workers, engine.cpus, engine.gpus) == ("head:6379", 4, 2, 0.5)
