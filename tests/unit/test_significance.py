import math

import numpy as np
import pytest

from platform_assets.evaluation.significance import confidence_interval, paired_difference


def scores(seed: int, count: int = 200, shift: float = 0.0) -> dict[str, float]:
    values = np.random.default_rng(seed).normal(0.6 + shift, 0.2, count)
    return {f"q{n}": float(value) for n, value in enumerate(values)}


def test_interval_is_about_the_normal_one_on_many_values() -> None:
    values = list(scores(1, 500).values())
    interval = confidence_interval(values)
    half = float(1.96 * np.std(values) / math.sqrt(len(values)))
    assert interval.mean == pytest.approx(np.mean(values))
    assert interval.low == pytest.approx(interval.mean - half, abs=0.15 * half)
    assert interval.high == pytest.approx(interval.mean + half, abs=0.15 * half)


def test_interval_holds_the_true_mean_about_19_times_in_20() -> None:
    held = 0
    for seed in range(100):
        interval = confidence_interval(scores(seed, 60).values())
        held += interval.low <= 0.6 <= interval.high
    assert 88 <= held <= 99


def test_interval_does_not_depend_on_the_order_of_the_values() -> None:
    values = list(scores(2).values())
    assert confidence_interval(values) == confidence_interval(reversed(values))


def test_interval_of_equal_values_has_no_width() -> None:
    interval = confidence_interval([0.5, 0.5, 0.5])
    assert (interval.mean, interval.low, interval.high) == (0.5, 0.5, 0.5)


def test_no_values_are_an_error() -> None:
    with pytest.raises(ValueError, match="no query was evaluated"):
        confidence_interval([])


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_value_that_is_not_finite_is_an_error(value: float) -> None:
    with pytest.raises(ValueError, match="not finite"):
        confidence_interval([0.5, value])


def test_a_small_steady_gain_is_found_under_large_spread() -> None:
    base = scores(3)
    noise = np.random.default_rng(4).normal(0.02, 0.02, len(base))
    tuned = {query: base[query] + step for query, step in zip(base, noise, strict=True)}
    test = paired_difference(tuned, base)
    assert 0 < test.low < test.mean < test.high
    assert test.p_value < 0.01
    assert test.queries == len(base)


def test_swapping_the_systems_mirrors_the_test() -> None:
    a, b = scores(5), scores(6, shift=0.05)
    forward, backward = paired_difference(a, b), paired_difference(b, a)
    assert forward.mean == pytest.approx(-backward.mean)
    assert forward.low == pytest.approx(-backward.high, abs=0.005)
    assert forward.p_value == pytest.approx(backward.p_value, abs=0.02)


def test_p_values_of_equal_systems_are_spread_evenly() -> None:
    p_values = [paired_difference(scores(n, 40), scores(n + 1000, 40)).p_value for n in range(100)]
    assert sum(p < 0.05 for p in p_values) <= 12
    assert 0.35 <= np.mean(p_values) <= 0.65


def test_identical_systems_do_not_differ() -> None:
    test = paired_difference(scores(7), scores(7))
    assert (test.mean, test.low, test.high, test.p_value) == (0.0, 0.0, 0.0, 1.0)


def test_only_common_queries_are_compared() -> None:
    test = paired_difference({"a": 1.0, "b": 0.5, "x": 0.0}, {"a": 0.5, "b": 0.5, "y": 1.0})
    assert (test.mean, test.queries) == (0.25, 2)


def test_five_queries_cannot_be_significant() -> None:
    five, none = dict.fromkeys("abcde", 1.0), dict.fromkeys("abcde", 0.0)
    assert paired_difference(five, none).p_value == pytest.approx(2 / 2**5, abs=0.02)


def test_no_common_query_is_an_error() -> None:
    with pytest.raises(ValueError, match="no query in common"):
        paired_difference({"a": 1.0}, {"b": 1.0})
