"""Waves that an engine computes: cut into batches, computed by its workers, put together again.

Here: the one way from an asset's waves through `resources.engines`. Not here: what is computed
(each artefact's refresh.py), commits (tables.py).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice

from resources.engines import Batch, Engine, Result, Task


def cut(wave: Sequence[str], weights: Mapping[str, int], parts: int) -> list[list[str]]:
    """A wave as at most `parts` runs of about the same weight; none of an empty wave.

    Args:
        wave: Groups.
        weights: Group -> its weight (bytes, tokens); 1 where it has none.
        parts: Most runs.
    """
    share = sum(weights.get(group, 1) for group in wave) / parts
    runs: list[list[str]] = []
    load = 0
    for group in wave:
        if not runs or load >= share * len(runs):
            runs.append([])
        runs[-1].append(group)
        load += weights.get(group, 1)
    return runs


def computed(
    engine: Engine,
    task: Task[Batch, Result],
    waves: Iterable[tuple[str, ...]],
    batches: Callable[[tuple[str, ...]], Sequence[Batch]],
) -> Iterator[tuple[tuple[str, ...], Iterable[Result]]]:
    """Each wave with its results, in the order of its batches.

    Batches are told to the engine before the first of them is computed, so they should be short:
    ids, not content.

    Args:
        engine: Who computes them.
        task: What of each batch.
        waves: Groups that are committed together.
        batches: Those of a wave.
    """
    told = [(wave, batches(wave)) for wave in waves]
    results = engine.map(task, chain.from_iterable(parts for _, parts in told))
    for wave, parts in told:
        yield wave, chain.from_iterable(islice(results, len(parts)))
