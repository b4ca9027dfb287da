"""Statistics over queries: confidence intervals of means and paired tests of two systems.

Here: resampling with a fixed seed, so that equal scores give equal figures whatever their order.
Not here: the metric of one query (metrics.py), what a result decides (gate.py).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2_000
CONFIDENCE = 0.95
_SEED = 20_260_101
_BLOCK_CELLS = 1_000_000


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean and its 95% confidence interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class PairedTest:
    """The mean difference a - b over the queries that both systems answered."""

    mean: float
    low: float
    """Lower end of the 95% interval of the mean difference."""
    high: float
    p_value: float
    """Two-sided: how often chance alone gives a difference at least this large."""
    queries: int


def confidence_interval(values: Iterable[float]) -> Interval:
    """Mean of per-query scores with a bootstrap percentile interval (Efron 1979).

    The interval of a single value has no width: one query says nothing about spread.

    Raises:
        ValueError: there are no values, or one is not finite.
    """
    scores = _sorted(values)
    generator = np.random.default_rng(_SEED)
    means = np.concatenate(
        [
            scores[generator.integers(scores.size, size=shape, dtype=np.int32)].mean(axis=1)
            for shape in _blocks(scores.size)
        ]
    )
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return Interval(mean=float(scores.mean()), low=float(low), high=float(high))


def paired_difference(a: Mapping[str, float], b: Mapping[str, float]) -> PairedTest:
    """Compare two systems query by query.

    The interval is a paired bootstrap; the p-value a two-sided randomisation test that swaps the
    systems at random on each query (Smucker, Allan and Carterette 2007). It cannot fall below
    0.05 with fewer than six queries.

    Args:
        a: Score of each query id.
        b: Score of each query id; only queries in both are compared.

    Raises:
        ValueError: the systems have no query in common, or a score is not finite.
    """
    common = a.keys() & b.keys()
    if not common:
        raise ValueError("The two systems have no query in common: evaluate both on one query set.")
    differences = _sorted(a[query] - b[query] for query in common)
    interval = confidence_interval(differences)
    return PairedTest(
        mean=interval.mean,
        low=interval.low,
        high=interval.high,
        p_value=_randomisation_p(differences),
        queries=differences.size,
    )


def _randomisation_p(differences: NDArray[np.float64]) -> float:
    generator = np.random.default_rng(_SEED)
    observed = abs(differences.sum())
    swapped = np.concatenate(
        [
            (2.0 * generator.integers(2, size=shape, dtype=np.int8) - 1.0) @ differences
            for shape in _blocks(differences.size)
        ]
    )
    # Rounding must not make a swap that restores the observed sum look smaller than it.
    at_least = np.count_nonzero(np.abs(swapped) >= observed * (1 - 1e-9))
    return float((at_least + 1) / (RESAMPLES + 1))


def _blocks(size: int) -> Iterator[tuple[int, int]]:
    """Shapes of the resampling matrices: all resamples together, in bounded memory."""
    rows = max(1, _BLOCK_CELLS // size)
    for start in range(0, RESAMPLES, rows):
        yield min(rows, RESAMPLES - start), size


def _sorted(values: Iterable[float]) -> NDArray[np.float64]:
    scores = np.sort(np.fromiter(values, dtype=np.float64))
    if not scores.size:
        raise ValueError("There is no score to average: no query was evaluated.")
    if not np.isfinite(scores).all():
        raise ValueError("A score is not finite: count the query as failed, do not average it.")
    return scores
