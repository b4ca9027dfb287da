"""The card of a published encoder: what it was made of, how good it is, under which licence.

Here: the text, from provenance and evaluations. Not here: the hub's metadata and the upload
(resources/model_hub).
"""

import json
from collections.abc import Iterable, Mapping, Sequence

from platform_assets.checkpoints.recipes import Recipe
from platform_assets.evaluation.refresh import Quality
from platform_assets.evaluation.significance import Interval
from platform_assets.provenance import Record
from resources.model_hub import ModelCard, Origin

TAGS = ("sentence-transformers", "feature-extraction", "sentence-similarity", "lakeloom")
METRICS = {"ndcg@10": "nDCG@10", "recall@10": "Recall@10", "mrr@10": "MRR@10"}


def model_card(
    repo: str,
    recipe: Recipe,
    checkpoint: Record,
    chain: Iterable[Record],
    qualities: Mapping[str, Mapping[str, Quality]],
    origin: Origin,
) -> ModelCard:
    """The card of a checkpoint.

    Args:
        repo: Where it is published, owner/name.
        recipe: How it was made.
        checkpoint: Its record.
        chain: Every record that it was made from.
        qualities: Corpus -> retriever -> what its evaluation found.
        origin: Whose the base model is.
    """
    trained = checkpoint.details["trained"] == "yes"
    base = f"[{origin.repo}](https://huggingface.co/{origin.repo})"
    made = f"trained by Lakeloom from {base}" if trained else f"{base}, unchanged"
    parts = [
        f"# {recipe.name}",
        f"A sentence encoder: {made}. The base in its recipe is `{recipe.base}`.",
        _usage(repo),
        "## Quality",
        *_quality(qualities),
        "## Data",
        *_data(chain if trained else ()),
        "## Recipe",
        f"```json\n{json.dumps(recipe.what(), indent=2)}\n```",
        "## Provenance",
        _provenance(checkpoint),
        "## Licence",
        _licence(origin),
    ]
    return ModelCard(origin.repo, origin.licence, TAGS, "\n\n".join(parts) + "\n")


def _usage(repo: str) -> str:
    return (
        "```python\nfrom sentence_transformers import SentenceTransformer\n\n"
        f'model = SentenceTransformer("{repo}")\nvectors = model.encode(["some text"])\n```'
    )


def _quality(qualities: Mapping[str, Mapping[str, Quality]]) -> list[str]:
    rows = [
        [corpus, retriever, *map(_figure, map(intervals.get, METRICS)), str(len(found.attempted))]
        for corpus, retrievers in sorted(qualities.items())
        for retriever, found in retrievers.items()
        if (intervals := found.intervals())
    ]
    if not rows:
        return ["This checkpoint was not measured."]
    said = (
        "Retrieval of documents on the test queries of each corpus: the mean and its 95% "
        "bootstrap interval. BM25 is the baseline without any encoder, hybrid is BM25 "
        "and this encoder fused."
    )
    return [said, _table(["corpus", "retrieval", *METRICS.values(), "queries"], rows)]


def _figure(interval: Interval | None) -> str:
    return f"{interval.mean:.3f} [{interval.low:.3f}, {interval.high:.3f}]" if interval else ""


def _data(chain: Iterable[Record]) -> list[str]:
    pinned = sorted(
        [record.asset, record.partition, record.snapshot, f"`{record.digest[:16]}`"]
        for record in chain
        if record.snapshot
    )
    if not pinned:
        return ["Nothing was trained here."]
    said = "Snapshots of the tables that the training pairs were made from:"
    return [said, _table(["table", "partition", "snapshot", "digest of the rows"], pinned)]


def _provenance(checkpoint: Record) -> str:
    named = {"record": checkpoint.record_id} | {
        name: checkpoint.details[name]
        for name in ("checkpoint", "base", "encoder_digest", "pair_count")
        if name in checkpoint.details
    }
    return "\n".join(f"- {name.replace('_', ' ')}: `{value}`" for name, value in named.items())


def _licence(origin: Origin) -> str:
    if origin.licence == "unknown":
        return f"Unknown: the card of {origin.repo} declares none. Ask its authors before any use."
    return (
        f"`{origin.licence}`, as {origin.repo} declares. Texts it was trained on may have terms of "
        "their own."
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
