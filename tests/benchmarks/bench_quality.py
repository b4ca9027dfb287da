"""What training is worth: nDCG@10 on test queries that it never saw, with paired tests.

    python -m tests.benchmarks.bench_quality [--xquad FOLDER] [--home FOLDER] [--only RECIPE ...]

Runs the graph on the demo corpora, and on XQuAD where its folder is given (BEIR's files, one
paragraph a document): half of its articles are for training, the other half for testing. Each
ablation of quality.toml is the shipped recipe with one thing changed, trained on the pairs of all
corpora together. `--home` keeps the state, so that another run only does what is new.
Exits 1 where the shipped recipe is not significantly better, over the queries of all corpora: in
dense search than its base, in hybrid search than its base in either and than BM25.
"""

import argparse
import csv
import json
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from platform_assets.checkpoints import recipes
from platform_assets.evaluation.refresh import BASELINE, Quality, qualities
from platform_assets.evaluation.significance import (
    PairedTest,
    confidence_interval,
    paired_difference,
)
from platform_assets.raw_objects.demo import write_packages, write_stdlib
from resources.settings import Settings
from resources.vector_store import Retriever

BASE, TUNED = "minilm", "minilm-tuned"
ABLATIONS = Path(__file__).with_name("quality.toml")

Scores = Mapping[str, float]
"""`corpus/query` -> nDCG@10."""


def main() -> int:
    """Run the benchmark; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--xquad", type=Path, help="folder with en.corpus.jsonl and its judgements")
    parser.add_argument("--home", type=Path, help="keep the state here")
    parser.add_argument("--only", nargs="*", help="ablations to run; default: all")
    options = parser.parse_args()
    chosen = _recipes(options.only)
    with TemporaryDirectory() as scratch, pytest.MonkeyPatch.context() as patch:
        # Partitions are made of the recipes when they are imported.
        patch.setattr(recipes, "RECIPES", _written(chosen, Path(scratch)))
        home = (options.home or Path(scratch) / "home").absolute()
        patch.setenv("LAKELOOM_HOME", str(home))
        folders = dict(_corpora(Path(scratch), options.xquad))
        scores = _measured(folders, chosen)
    return _judged(scores, list(folders))


def _recipes(only: Sequence[str] | None) -> dict[str, object]:
    """Tables of the base, the shipped recipe and its ablations."""
    shipped = tomllib.loads(recipes.RECIPES.read_text())
    tables = {name: shipped[name] for name in (BASE, TUNED)}
    for name, change in tomllib.loads(ABLATIONS.read_text()).items():
        if only is None or name in only:
            tables[name] = shipped[TUNED] | {"training": shipped[TUNED]["training"] | change}
    return tables


def _written(tables: Mapping[str, object], folder: Path) -> Path:
    """The recipes as a file; JSON's scalars, arrays and keys are TOML's too."""
    path = folder / "recipes.toml"
    path.write_text("\n".join(f"{name} = {_inline(table)}" for name, table in tables.items()))
    return path


def _inline(value: object) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key} = {_inline(each)}" for key, each in value.items()) + "}"
    return json.dumps(value)


def _corpora(folder: Path, xquad: Path | None) -> Iterator[tuple[str, Path]]:
    for name, write in (("packages", write_packages), ("stdlib", write_stdlib)):
        write(folder / name)
        yield name, folder / name
    if xquad:
        write_xquad(xquad, folder / "xquad")
        yield "xquad", folder / "xquad"


def write_xquad(source: Path, target: Path) -> None:
    """One document a paragraph, and judgements parted by article: no article is in both parts."""
    documents = [json.loads(line) for line in (source / "en.corpus.jsonl").read_text().splitlines()]
    titles = sorted({document["title"] for document in documents})
    split = {title: ("train", "test")[place % 2] for place, title in enumerate(titles)}
    (target / "qrels").mkdir(parents=True)
    parts: dict[str, list[str]] = {"train": [], "test": []}
    of = {}
    for document in documents:
        name = f"{document['_id']}.txt"
        (target / name).write_text(document["text"])
        of[document["_id"]] = split[document["title"]]
    with (source / "en.qrels.tsv").open() as file:
        for row in csv.DictReader(file, delimiter="\t"):
            line = f"{row['query-id']}\t{row['corpus-id']}\t{row['score']}"
            parts[of[row["corpus-id"]]].append(line)
    for part, lines in parts.items():
        text = "\n".join(["query-id\tcorpus-id\tscore", *lines]) + "\n"
        (target / "qrels" / f"{part}.tsv").write_text(text)
    (target / "queries.jsonl").write_text((source / "en.queries.jsonl").read_text())


def _measured(
    folders: Mapping[str, Path], tables: Mapping[str, object]
) -> dict[str, dict[str, Scores]]:
    """System -> corpus -> its scores; prints each encoder's rows as they are there."""
    from platform_assets.commands.ingest import ingest
    from platform_assets.commands.materialize import Request, materialize
    from platform_assets.commands.state import State

    state = State(Settings.from_env())
    for corpus, folder in folders.items():
        ingest(state, folder, corpus, mirror=True)
    found: dict[str, dict[str, Scores]] = {}
    for encoder in tables:
        select = "+key:retrieval_evaluation or key:promoted_encoder"
        request = Request(list(folders), [encoder], select)
        answer = materialize(state, request, lambda line: print(line, file=sys.stderr))
        for row in answer["assets"]:
            if row["failed"]:
                print(row["asset"], row["partition"], row["failed"], file=sys.stderr)
        for corpus in folders:
            for name, quality in _systems(encoder, qualities(state.warehouse, corpus, encoder)):
                found.setdefault(name, {})[corpus] = quality.ndcg_10
        _print_rows(found, encoder, list(folders))
        print(f"{'':24}{state.ledger.require('promoted_encoder', encoder).details['why']}")
    return found


def _systems(encoder: str, found: Mapping[str, Quality]) -> Iterator[tuple[str, Quality]]:
    if encoder == BASE:
        yield "BM25", found[BASELINE]
    for retriever in (Retriever.DENSE, Retriever.HYBRID):
        yield f"{encoder} {retriever}", found[retriever]


def _print_rows(
    found: Mapping[str, Mapping[str, Scores]], encoder: str, corpora: Sequence[str]
) -> None:
    if encoder == BASE:
        print(f"{'nDCG@10 [95% interval]':24}" + "".join(f"{name:>24}" for name in corpora))
    for system in found:
        if system.startswith(f"{encoder} ") or (system, encoder) == ("BM25", BASE):
            cells = (confidence_interval(found[system][corpus].values()) for corpus in corpora)
            shown = (f"{each.mean:.3f} [{each.low:.3f} {each.high:.3f}]" for each in cells)
            print(f"{system:24}" + "".join(f"{cell:>24}" for cell in shown), flush=True)


def _judged(found: Mapping[str, Mapping[str, Scores]], corpora: Sequence[str]) -> int:
    """Print paired differences; returns 1 where the shipped recipe is not better than its base."""
    opponents = {
        Retriever.DENSE: [f"{BASE} dense"],
        Retriever.HYBRID: [f"{BASE} hybrid", f"{BASE} dense", "BM25"],
    }
    better = []
    print(f"\n{'paired difference':44}" + "".join(f"{name:>26}" for name in (*corpora, "all")))
    for system in (name for name in found if name.split()[0] not in (BASE, "BM25")):
        for opponent in opponents[Retriever(system.split()[1])]:
            tests = [_difference(found, system, opponent, [corpus]) for corpus in corpora]
            tests.append(_difference(found, system, opponent, corpora))
            cells = (f"{each.mean:+.4f} (p = {each.p_value:.4f})" for each in tests)
            print(f"{system} - {opponent:20}"[:44].ljust(44) + "".join(f"{c:>26}" for c in cells))
            if system.split()[0] == TUNED:
                better.append(tests[-1].low > 0 and tests[-1].p_value < 0.05)
    return int(not all(better))


def _difference(
    found: Mapping[str, Mapping[str, Scores]], one: str, other: str, corpora: Sequence[str]
) -> PairedTest:
    both = (
        {
            f"{corpus}/{query}": score
            for corpus in corpora
            for query, score in found[name][corpus].items()
        }
        for name in (one, other)
    )
    return paired_difference(*both)


if __name__ == "__main__":
    sys.exit(main())
