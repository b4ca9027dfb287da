"""`lakeloom status`: what there is, what is published, what is behind, what was rejected."""

from collections.abc import Mapping
from typing import Any

from platform_assets.checkpoints.recipes import load_recipes
from platform_assets.commands.state import State
from platform_assets.documents.table import REJECTED_DOCUMENTS
from platform_assets.evaluation.refresh import BASELINE, MEASURED, Quality, qualities
from platform_assets.raw_objects.assets import CODE_VERSION
from platform_assets.raw_objects.refresh import compare


def status(state: State) -> dict[str, Any]:
    """Counts and quality of every corpus, from provenance records and the evaluation table."""
    unfit = _stale_checkpoints(state)
    return {"corpora": {corpus: _corpus(state, corpus, unfit) for corpus in state.corpora()}}


def _corpus(state: State, corpus: str, unfit: Mapping[str, str]) -> dict[str, Any]:
    encoders = {name: _encoder(state, corpus, name) for name in load_recipes()}
    baselines = [found.pop("bm25") for found in encoders.values()]
    rejected = state.warehouse.scan(REJECTED_DOCUMENTS, {"corpus": corpus}, ["key", "reason"])
    served = state.vectors.served(corpus)
    return {
        "objects": _rows(state, "raw_objects", corpus),
        "documents": _rows(state, "documents", corpus),
        "rejected": rejected.num_rows,
        "rejections": {row["key"]: row["reason"] for row in rejected.to_pylist()},
        "chunks": _rows(state, "chunks", corpus),
        "encoders": encoders,
        "bm25_ndcg@10": next((score for score in baselines if score is not None), None),
        "published": None
        if served is None
        else {
            "encoder": served.encoder,
            "retriever": str(served.retriever),
            "collection": served.collection,
            "record": served.record,
        },
        "stale": [*_stale(state, corpus), *unfit],
        "why_stale": dict(unfit),
    }


def _encoder(state: State, corpus: str, encoder: str) -> dict[str, Any]:
    key = f"{corpus}|{encoder}"
    measured = qualities(state.warehouse, corpus, encoder)
    return {
        "embeddings": _rows(state, "embeddings", key),
        "indexed": _rows(state, "vector_index", key),
        "ndcg@10": {str(each): _ndcg(measured.get(each)) for each in MEASURED},
        "bm25": _ndcg(measured.get(BASELINE)),
    }


def _ndcg(quality: Quality | None) -> float | None:
    intervals = quality.intervals() if quality else {}
    return round(intervals["ndcg@10"].mean, 4) if intervals else None


def _rows(state: State, asset: str, partition: str) -> int:
    record = state.ledger.latest(asset, partition)
    return record.rows if record else 0


def _stale(state: State, corpus: str) -> list[str]:
    """Asset partitions of a corpus made from an upstream that has changed since."""
    found = compare(corpus, state.lake, state.warehouse, CODE_VERSION)
    stale = [f"raw_objects [{corpus}]"] if found.plan else []
    names = [(asset, corpus) for asset in ("documents", "chunks", "queries", "published_index")]
    names += [
        (asset, f"{corpus}|{encoder}")
        for asset in ("embeddings", "vector_index", "retrieval_evaluation")
        for encoder in load_recipes()
    ]
    for asset, partition in names:
        record = state.ledger.latest(asset, partition)
        for upstream, link in record.upstream.items() if record else ():
            latest = state.ledger.latest(*upstream.split("/", 1))
            if latest is not None and latest.digest != link.digest:
                stale.append(f"{asset} [{partition}]")
                break
    return stale


def _stale_checkpoints(state: State) -> dict[str, str]:
    """Checkpoints that recipe and engine would not make as they are recorded, and why."""
    found = {}
    for encoder, recipe in load_recipes().items():
        record = state.ledger.latest("checkpoints", encoder)
        if record is None:
            continue
        changed = record.details["recipe"] != recipe.digest
        why = "its recipe has changed since" if changed else state.checkpoints.unfit(record)
        if why:
            found[f"checkpoints [{encoder}]"] = why
    return found
