"""Speeds of the device at hand: what may be asked of a benchmark, its clock, turns and table.

Here: what bench_training.py and bench_compile.py have in common. Not here: what is measured.
"""

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch

from resources.training.stepping.processes import computes_in_bf16

GOAL = 2.0
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
STEPS = {"cpu": 10, "cuda": 200}
BATCH = {"cpu": 16, "cuda": 128}
"""Pairs a step by default: enough to keep the device busy."""
TEXTS = {"cpu": 512, "cuda": 32_768}
"""Texts to embed by default: some seconds' work of the device."""
PEAK_SIDE = {"cpu": 4096, "cuda": 8192}
PRODUCTS = {"cpu": 1, "cuda": 20}
"""Products in a row, so that launching one costs nothing."""


@dataclass(frozen=True, slots=True)
class Speed:
    """What one side did."""

    name: str
    texts: int
    tokens: int
    seconds: float

    @property
    def speed(self) -> float:
        """Tokens a second."""
        return self.tokens / self.seconds

    def line(self, flops_a_token: float, peak: float) -> str:
        """A row of the table."""
        return (
            f"{self.name:>40}: {self.texts / self.seconds:8.1f} texts/s "
            f"{self.speed:10,.0f} tokens/s   MFU {self.speed * flops_a_token / peak:6.1%}"
        )


@dataclass(frozen=True, slots=True)
class Done:
    """What a side did after its first stretch."""

    texts: int
    tokens: int


Turn = Callable[[], None]
"""Called by a side at the end of each stretch; returns when it may go on."""
Side = Callable[[Turn], Done]
"""Works in stretches of one length."""


def in_turn(sides: Mapping[str, Side]) -> list[Speed]:
    """Speeds of sides that work in turn, each in a process of its own, all but the first stretch.

    A machine that is slower for a while is so for all of them. Prints how long each took to load,
    compile and warm up.

    Raises:
        RuntimeError: a side's process ended before its work; its own error is on stderr.
    """
    context = get_context("spawn")
    lines: dict[str, Connection] = {}
    seconds = dict.fromkeys(sides, 0.0)
    done: dict[str, Done] = {}
    with ExitStack() as stack:
        processes = []
        for name, side in sides.items():
            lines[name], its = context.Pipe()
            process = context.Process(target=_work, args=(side, its), name=name, daemon=True)
            process.start()
            its.close()
            processes.append(process)
            stack.callback(process.join)
            stack.callback(process.terminate)
            print(f"{name}: first stretch done after {_stretch(name, lines[name]):.0f} s")
        while len(done) < len(sides):
            for name in [name for name in sides if name not in done]:
                told = _stretch(name, lines[name])
                if isinstance(told, Done):
                    done[name] = told
                else:
                    seconds[name] += told
        for process in processes:
            process.join()
    return [Speed(name, done[name].texts, done[name].tokens, seconds[name]) for name in sides]


def _stretch(name: str, line: Connection) -> Any:
    """Let a side do a stretch: its seconds, or what it did in all if it was at its end."""
    try:
        line.send("go on")
        return line.recv()
    except (EOFError, OSError) as error:
        raise RuntimeError(f"{name} ended before its work") from error


def _work(side: Side, line: Connection) -> None:
    """A side's process: tells the seconds of each stretch, in the end what it did."""
    line.recv()
    start = clock()

    def turn() -> None:
        nonlocal start
        line.send(clock() - start)
        line.recv()
        start = clock()

    line.send(side(turn))


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
    """Print both comparisons, the last side against the others; 1 where it misses the goal.

    The goal is held against the last but one.
    """
    forward, peak = 2.0 * _parameters(base), _peak()
    print(f"{_name()}; peak {peak / 1e12:.2f} TFLOP/s")
    missed = False
    for what, sides, flops in (
        ("training", trained, 3 * forward),
        ("embedding", embedded, forward),
    ):
        print(what)
        for each in sides:
            print(each.line(flops, peak))
        *others, ours = sides
        ratios = {each.name: ours.speed / each.speed for each in others}
        for name, ratio in ratios.items():
            print(f"{'times ' + name:>40}: {ratio:8.2f}")
        missed |= ratios[others[-1].name] < GOAL
    print(f"goal: {GOAL}")
    return int(missed)


def clock() -> float:
    """Seconds, when the device has done all it was given."""
    if DEVICE == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def stretch(steps: int) -> int:
    """Steps of a turn: those from one report of a training to the next."""
    return max(1, steps // 20)


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
    """FLOP a second of large products, the best of a few tries after a first.

    In bf16 only where the chip computes in it: elsewhere a product takes minutes.
    """
    size, count = PEAK_SIDE[DEVICE], PRODUCTS[DEVICE]
    precision = torch.bfloat16 if computes_in_bf16() else torch.float32
    side = torch.randn(size, size, device=DEVICE, dtype=precision)
    out = side @ side
    times = []
    for _ in range(5):
        start = clock()
        for _ in range(count):
            torch.matmul(side, side, out=out)
        times.append((clock() - start) / count)
    return float(2 * size**3 / np.min(times))
