"""Trainings of seconds, in this process, on the small model of checkpoints.py or another one."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors.numpy import load_file

from resources.training import TrainingJob, TrainingResult
from resources.training.tasks import train
from tests.checkpoints import WORDS

STEPS = 6
SETTINGS: dict[str, Any] = {
    "steps": STEPS,
    "batch_size": 5,
    "learning_rate": 1e-3,
    "warmup_ratio": 0.1,
    "scale": 20.0,
    "dropout": 0.0,
    "precision": "float32",
    "max_tokens": 16,
    "seed": 5,
    "save_steps": 2,
}
"""What decides the weights to the last bits, but for the order of sums."""


def write_pairs(path: Path) -> Path:
    """Twelve pairs that are hard enough for the loss to move; returns the file."""
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(WORDS, size=int(n))) for n in rng.integers(2, 12, size=36)]
    rows = [
        {"query": texts[i], "positive": texts[i + 12], "negatives": [texts[i + 24]]}
        for i in range(12)
    ]
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


class Killed(BaseException):
    """Ends a training as a kill would: nothing handles it."""


@dataclass
class Trained:
    result: TrainingResult
    weights: dict[str, Any]
    log: list[str]


def train_here(job: TrainingJob, die: str = "") -> Trained:
    """Train in this process; `die` begins the message at which it is killed."""
    from accelerate.state import AcceleratorState

    log: list[str] = []

    def heard(message: str) -> None:
        log.append(message)
        if die and message.startswith(die):
            raise Killed

    AcceleratorState._reset_state(reset_partial_state=True)
    result = train(job, 1, heard)
    [weights] = job.output.glob("*.safetensors")
    return Trained(result, load_file(weights), log)


def same(one: Trained, other: Trained) -> bool:
    """Bit for bit."""
    return one.result.losses == other.result.losses and all(
        np.array_equal(one.weights[name], other.weights[name]) for name in one.weights
    )


def alike(one: Trained, other: Trained) -> bool:
    """Within rounding: the sums are the same, their order is not.

    Softmax does not depend on the biases of keys: what moves them is rounding alone.
    """
    losses = ([loss for _, loss in each.result.losses] for each in (one, other))
    names = [name for name in one.weights if not name.endswith("key.bias")]
    return np.allclose(*losses, rtol=1e-4) and all(
        np.allclose(one.weights[name], other.weights[name], atol=1e-4) for name in names
    )
