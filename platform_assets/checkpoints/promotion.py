"""Promotion: the champion alias of the model registry moves only to a proven improvement.

Here: the rule and what it decides. Not here: the registry (resources/tracking).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from platform_assets.checkpoints.champion import Champion
from platform_assets.evaluation.gate import SIGNIFICANCE
from platform_assets.evaluation.refresh import qualities
from platform_assets.evaluation.significance import PairedTest, paired_difference
from platform_assets.partitions import corpus_and_encoder
from platform_assets.provenance import Ledger, Record
from resources.vector_store import Retriever
from resources.warehouse import Warehouse


@dataclass(frozen=True, slots=True)
class Promotion:
    """Whether an encoder may be champion, and why."""

    promote: bool
    why: str


def measured(ledger: Ledger, checkpoint: Record, evaluations: Iterable[Record]) -> list[Record]:
    """Those of an encoder's evaluations that are of this checkpoint, not of an earlier one."""
    found = []
    for record in evaluations:
        index = ledger.get(record.upstream[f"vector_index/{record.partition}"].record)
        if index.details["encoder_digest"] == checkpoint.details["encoder_digest"]:
            found.append(record)
    return found


def scores(
    warehouse: Warehouse, evaluations: Iterable[Record], retriever: Retriever
) -> dict[str, float]:
    """nDCG@10 by a retriever of every test query that one encoder was measured on."""
    found: dict[str, float] = {}
    for record in evaluations:
        corpus, encoder = corpus_and_encoder(record.partition)
        quality = qualities(warehouse, corpus, encoder).get(retriever)
        ndcg = quality.ndcg_10 if quality else {}
        found |= {f"{corpus}/{query_id}": score for query_id, score in ndcg.items()}
    return found


def figures(mine: Mapping[str, float], verdict: Promotion, encoder_digest: str) -> dict[str, str]:
    """What the registry shows of a version; nothing if it answered no test query.

    The encoder digest tells with which engine and precision its files were measured.
    """
    if not mine:
        return {}
    mean = sum(mine.values()) / len(mine)
    return {
        "ndcg_at_10": f"{mean:.4f}",
        "test_queries": str(len(mine)),
        "verdict": verdict.why,
        "encoder_digest": encoder_digest,
    }


def judge(mine: Champion, holder: Champion | None) -> Promotion:
    """Compare a version with the champion, on the test queries that both answered.

    It has to be significantly better in dense search, and not significantly worse in hybrid; the
    first champion has to be measured.

    Args:
        mine: The version that may become champion.
        holder: The version that is; None if there is none.
    """
    if holder is None:
        return _first(mine)
    if holder.title == mine.title:
        return Promotion(True, "it is the champion")
    if not mine.scores.keys() & holder.scores.keys():
        return Promotion(
            False, f"no test query was answered both by it and by the champion, {holder.title}"
        )
    dense = paired_difference(mine.scores, holder.scores)
    said = _said(dense, holder)
    if not (dense.low > 0 and dense.p_value < SIGNIFICANCE):
        return Promotion(False, f"not significantly better: {said}")
    if mine.hybrid.keys() & holder.hybrid.keys():
        hybrid = paired_difference(mine.hybrid, holder.hybrid)
        if hybrid.high < 0 and hybrid.p_value < SIGNIFICANCE:
            return Promotion(False, f"worse in hybrid search: {_said(hybrid, holder)}")
        said += f"; in hybrid search {hybrid.mean:+.4f} (p = {hybrid.p_value:.4f})"
    return Promotion(True, f"better: {said}")


def _first(mine: Champion) -> Promotion:
    if mine.scores:
        return Promotion(True, "the first encoder measured; those to come must beat it")
    return Promotion(False, "it answered no test query, and the first champion must be measured")


def _said(test: PairedTest, holder: Champion) -> str:
    return (
        f"nDCG@10 {test.mean:+.4f} against {holder.title} on {test.queries} test queries "
        f"(95% interval {test.low:+.4f} to {test.high:+.4f}, p = {test.p_value:.4f})"
    )
