from collections.abc import Mapping

import numpy as np

from platform_assets.evaluation.gate import quality_regression, unanswered


def served() -> dict[str, float]:
    values = np.random.default_rng(1).uniform(0.3, 1.0, 100)
    return {f"q{n}": float(value) for n, value in enumerate(values)}


def changed(scores: Mapping[str, float], by: float, spread: float) -> dict[str, float]:
    noise = np.random.default_rng(2).normal(by, spread, len(scores))
    return {query: scores[query] + step for query, step in zip(scores, noise, strict=True)}


def test_a_clear_fall_is_named_with_its_bound() -> None:
    message = quality_regression(changed(served(), -0.1, 0.05), served())
    assert message is not None
    assert "100 queries" in message
    assert "95% interval" in message


def test_a_fall_within_the_bound_passes() -> None:
    assert quality_regression(changed(served(), -0.01, 0.3), served()) is None


def test_a_gain_and_no_change_pass() -> None:
    assert quality_regression(changed(served(), 0.1, 0.05), served()) is None
    assert quality_regression(served(), served()) is None


def test_queries_that_only_one_index_answered_do_not_count() -> None:
    candidate = {**served(), **{f"new{n}": 0.0 for n in range(500)}}
    assert quality_regression(candidate, served()) is None


def test_without_common_queries_there_is_no_regression() -> None:
    assert quality_regression({"a": 0.0}, {"b": 1.0}) is None
    assert quality_regression({}, {}) is None


def test_no_attempted_query_fails() -> None:
    message = unanswered([], [])
    assert message is not None
    assert "No query was evaluated" in message


def test_every_failed_query_is_counted_and_the_first_named() -> None:
    attempted = [f"q{n}" for n in range(10)]
    message = unanswered(attempted, ["q0", "q9"])
    assert message == "8 of 10 queries failed: q1, q2, q3, q4, q5, ..."
    assert unanswered(attempted, attempted) is None
