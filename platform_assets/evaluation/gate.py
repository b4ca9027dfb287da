"""What evaluation results decide: the rules that let an index be served.

Here: pure rules; each returns None when it holds and a message for people when it does not.
Not here: the asset checks that run them (checks.py), the alias (platform_assets/vector_indexes).
"""

from collections.abc import Collection, Mapping

from platform_assets.evaluation.significance import paired_difference

SIGNIFICANCE = 0.05
_NAMED = 5


def unanswered(attempted: Collection[str], answered: Collection[str]) -> str | None:
    """Every attempted query was answered, and there was at least one.

    Args:
        attempted: Ids of the queries that were to be evaluated.
        answered: Ids of the queries that have a score.
    """
    if not attempted:
        return "No query was evaluated: upload queries.jsonl and qrels/test.tsv beside the corpus."
    missing = sorted(set(attempted).difference(answered))
    if not missing:
        return None
    named = ", ".join(missing[:_NAMED]) + (", ..." if len(missing) > _NAMED else "")
    return f"{len(missing)} of {len(set(attempted))} queries failed: {named}"


def quality_regression(candidate: Mapping[str, float], served: Mapping[str, float]) -> str | None:
    """The candidate is not below the served index by more than its 95% confidence bound.

    The bootstrap interval of a handful of queries is too narrow, so the randomisation test has to
    agree; it cannot with fewer than six queries.

    Only queries that both answered are compared. Without any in common there is nothing to hold
    the candidate against, and the rule holds; `unanswered` is what catches an empty evaluation.

    Args:
        candidate: Score of each query id in the new index.
        served: Score of each query id in the index that is served now.
    """
    if not candidate.keys() & served.keys():
        return None
    test = paired_difference(candidate, served)
    if test.high >= 0 or test.p_value >= SIGNIFICANCE:
        return None
    return (
        f"Quality fell by {-test.mean:.4f} against the served index on {test.queries} queries "
        f"(95% interval of the difference {test.low:+.4f} to {test.high:+.4f}, "
        f"p = {test.p_value:.4f})"
    )
