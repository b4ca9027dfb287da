"""`lakeloom demo`: the whole graph on the demo corpora, or on a folder of one's own."""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from platform_assets.checkpoints.recipes import load_recipes
from platform_assets.commands.ingest import ingest
from platform_assets.commands.materialize import Request, materialize
from platform_assets.commands.search import search
from platform_assets.commands.state import State
from platform_assets.evaluation.refresh import BASELINE, MEASURED, Quality, qualities
from platform_assets.provenance import PREFIX
from platform_assets.queries.refresh import read_queries
from platform_assets.raw_objects.demo import write_packages, write_stdlib
from resources.settings import UsageError

SEARCHES = (
    ("packages", "validate data with type hints"),
    ("packages", "read and write columnar data"),
    ("stdlib", "how do I parse command line options"),
)
TOP = 3


def demo(state: State, docs: Path | None, show: Callable[[str], None]) -> dict[str, Any]:
    """Ingest, materialise everything, search.

    Raises:
        UsageError: `docs` is no folder of documents.
    """
    if docs is None:
        corpora = _demo_corpora(state, show)
        searches = list(SEARCHES)
    else:
        corpora = [_corpus_of(state, docs)]
        show(f"ingesting {docs} as corpus {corpora[0]}")
        ingest(state, docs, corpora[0], mirror=True)
        searches = []
    answer = materialize(state, Request(corpora, sorted(load_recipes())), show)
    served = [corpus for corpus in corpora if state.vectors.served(corpus)]
    searches = [found for found in searches if found[0] in served]
    searches = searches or [found for corpus in served for found in _own_searches(state, corpus)]
    found = [
        {"corpus": corpus, "query": query, **search(state, corpus, query, TOP)}
        for corpus, query in searches
    ]
    evaluation = [row for corpus in corpora for row in _evaluation(state, corpus)]
    lakeloom = Path(sys.executable).with_name("lakeloom")
    ui = f"{lakeloom} ui"
    return {**answer, "evaluation": evaluation, "searches": found, "ui": ui}


def _demo_corpora(state: State, show: Callable[[str], None]) -> list[str]:
    writers = {"packages": write_packages, "stdlib": write_stdlib}
    for name, write in writers.items():
        folder = state.settings.cache / "demo" / name
        folder.parent.mkdir(parents=True, exist_ok=True)
        show(f"writing the demo corpus {name}: {write(folder)} documents")
        ingest(state, folder, name, mirror=True)
    return list(writers)


def _corpus_of(state: State, folder: Path) -> str:
    """Name of a folder's corpus, which mirrors that folder and no other.

    Raises:
        UsageError: the folder is empty, or another one of its name is a corpus already.
    """
    if not folder.is_dir() or not any(folder.iterdir()):
        raise UsageError(f"{folder} is no folder with documents in it")
    name = re.sub(r"[^a-z0-9_-]+", "-", folder.resolve().name.lower()).strip("-_")[:63]
    corpus, source = name or "documents", str(folder.resolve())
    key = f"{PREFIX}/sources/{corpus}"
    try:
        known = state.lake.get(key).decode()
    except FileNotFoundError:
        known = "another folder" if corpus in state.corpora() else source
    if known != source:
        raise UsageError(
            f"corpus {corpus} is that of {known}: rename {folder} or ingest it by hand"
        )
    state.lake.put(key, source.encode())
    return corpus


def _own_searches(state: State, corpus: str) -> list[tuple[str, str]]:
    queries = read_queries(state.warehouse, corpus, "test")
    return [(corpus, query.text) for query in queries[:TOP]]


def _evaluation(state: State, corpus: str) -> list[dict[str, Any]]:
    served = state.vectors.served(corpus)
    rows, baseline = [], None
    for encoder in load_recipes():
        found = qualities(state.warehouse, corpus, encoder)
        baseline = found.get(BASELINE, baseline)
        for retriever in (each for each in MEASURED if each in found):
            here = served and (served.encoder, served.retriever) == (encoder, retriever)
            rows.append(_row(corpus, f"{encoder} {retriever}", found[retriever], bool(here)))
    return [_row(corpus, "BM25", baseline, False), *rows] if baseline else rows


def _row(corpus: str, retrieval: str, quality: Quality, published: bool) -> dict[str, Any]:
    shown = {
        metric: f"{interval.mean:.3f} [{interval.low:.3f} {interval.high:.3f}]"
        for metric, interval in quality.intervals().items()
    }
    blank = dict.fromkeys(("ndcg@10", "recall@10", "mrr@10"), "")
    return {
        "corpus": corpus,
        "retrieval": retrieval,
        "published": published,
        "queries": len(quality.attempted),
        **blank,
        **shown,
    }
