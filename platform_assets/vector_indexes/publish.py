"""The gate: which index of a corpus is served, and whether it may be.

Here: the choice among a corpus's indexes and the rules that each must hold; pure but for reading.
Not here: building a collection (refresh.py), what is measured of it (measuring.py), the alias
itself (resources/vector_store).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from platform_assets.evaluation.gate import SIGNIFICANCE, quality_regression, unanswered
from platform_assets.evaluation.refresh import MEASURED, Quality, qualities
from platform_assets.evaluation.significance import paired_difference
from platform_assets.partitions import corpus_and_encoder
from platform_assets.provenance import Ledger, Record
from platform_assets.vector_indexes.parts import is_outdated
from resources.vector_store import Retriever, Served, VectorStore
from resources.warehouse import Warehouse


@dataclass(frozen=True, slots=True)
class Candidate:
    """An index that could be served."""

    encoder: str
    index: Record
    evaluation: Record
    qualities: Mapping[str, Quality]
    """Retriever -> its quality on the test queries."""

    @property
    def collection(self) -> str:
        """Name of its collection."""
        return self.index.details["collection"]

    def scores(self, retriever: Retriever) -> Mapping[str, float]:
        """nDCG@10 of each test query."""
        return self.qualities[retriever].ndcg_10 if retriever in self.qualities else {}


Choice = tuple[Candidate, Retriever]


def choose(candidates: Sequence[Candidate], served: Served | None) -> Choice:
    """The index and retriever with the best mean nDCG@10.

    What is served now stays unless the best is better by a paired test, so that noise does not
    switch encoders with every upload.

    Raises:
        ValueError: there is no candidate.
    """
    options = [(candidate, retriever) for candidate in candidates for retriever in MEASURED]
    if not options:
        raise ValueError("No index has been built and evaluated: materialise vector_index first.")
    best = max(options, key=_mean)
    incumbent = next((option for option in options if served and _is(option, served)), None)
    if incumbent is None or incumbent == best:
        return best
    a, b = best[0].scores(best[1]), incumbent[0].scores(incumbent[1])
    if not a.keys() & b.keys():
        return incumbent
    test = paired_difference(a, b)
    return best if test.low > 0 and test.p_value < SIGNIFICANCE else incumbent


def quality_faults(choice: Choice, served: Mapping[str, float]) -> list[str]:
    """Why the choice may not be served, as far as its evaluation tells; empty if it may.

    An index of a corpus with no query to ask may be, unmeasured, as long as nothing measured is.

    Args:
        choice: Index and retriever.
        served: nDCG@10 of each query in the index that is served now, as it was published.
    """
    candidate, retriever = choice
    if not candidate.evaluation.rows and not served:
        return []
    if retriever not in candidate.qualities:
        return [f"{candidate.encoder} has no {retriever} evaluation: no query was evaluated"]
    quality = candidate.qualities[retriever]
    faults = (
        unanswered(quality.attempted, quality.ndcg_10),
        quality_regression(quality.ndcg_10, served),
    )
    return [fault for fault in faults if fault]


def candidates(
    corpus: str, ledger: Ledger, warehouse: Warehouse, encoders: Iterable[str], generation: str = ""
) -> list[Candidate]:
    """Indexes of the corpus's present chunks whose evaluation is of the index as it is now.

    Those from before its last erasure (see `is_outdated`) are none.
    """
    found = []
    chunks = ledger.require("chunks", corpus)
    for encoder in encoders:
        key = f"{corpus}|{encoder}"
        index = ledger.latest("vector_index", key)
        if index and is_outdated(index.details["collection"], generation):
            continue
        evaluation = ledger.latest("retrieval_evaluation", key)
        measured = evaluation.upstream.get(f"vector_index/{key}") if evaluation else None
        indexed = index.upstream[chunks.name] if index else None
        if not indexed or indexed.digest != chunks.digest:
            continue
        if index and evaluation and measured and measured.digest == index.digest:
            scored = qualities(warehouse, corpus, encoder)
            found.append(Candidate(encoder, index, evaluation, scored))
    return found


def served_scores(served: Served | None, ledger: Ledger, warehouse: Warehouse) -> dict[str, float]:
    """nDCG@10 of each query in the index that is served, as it was when it was published."""
    if served is None:
        return {}
    for name, link in ledger.get(served.record).upstream.items():
        if name.startswith("retrieval_evaluation/") and name.endswith(f"|{served.encoder}"):
            evaluation = ledger.get(link.record)
            corpus, encoder = corpus_and_encoder(evaluation.partition)
            try:
                found = qualities(warehouse, corpus, encoder, evaluation.snapshot)
            except LookupError:  # the tables were lost, and made anew
                return {}
            if served.retriever in found:
                return dict(found[served.retriever].ndcg_10)
    return {}


def drop_unserved(corpus: str, vectors: VectorStore, keep: Iterable[str]) -> list[str]:
    """Remove a corpus's collections but those served, served before, and in `keep`.

    What these consist of stays too. Parts of an index that is still being built belong to none, so
    they may go; its run builds them again (refresh.py).
    """
    ends = (vectors.served(corpus), vectors.previous(corpus))
    kept = {*keep, *(served.collection for served in ends if served)}
    there = vectors.collections()
    kept |= {part for name in kept.intersection(there) for part in vectors.parts(name)}
    return _drop(vectors, [n for n in there if n.split(".")[0] == corpus and n not in kept])


def drop_outdated(corpus: str, vectors: VectorStore, generation: str) -> list[str]:
    """Remove what was built of a corpus before its last erasure, finished or not.

    Its alias forgets them, so that no rollback brings back what they hold.
    """
    names = [*vectors.collections(), *vectors.unfinished()]
    of_corpus = [name for name in names if name.split(".")[0] == corpus]
    gone = [name for name in of_corpus if is_outdated(name, generation)]
    for name in gone:
        vectors.forget(corpus, name)
    return _drop(vectors, gone)


def _drop(vectors: VectorStore, names: Iterable[str]) -> list[str]:
    """Drop collections, the gathered ones first, so that none lacks a part after a crash."""
    finished = set(vectors.collections())
    gathered = {name: name in finished and vectors.parts(name) != (name,) for name in names}
    gone = sorted(gathered, key=lambda name: (not gathered[name], name))
    for name in gone:
        vectors.drop(name)
    return gone


def _mean(option: Choice) -> float:
    scores = option[0].scores(option[1])
    return sum(scores.values()) / len(scores) if scores else -1.0


def _is(option: Choice, served: Served) -> bool:
    return option[0].encoder == served.encoder and option[1] == served.retriever
