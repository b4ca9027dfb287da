"""Pairs and settings of a training of seconds, on the small model of checkpoints.py."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

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
