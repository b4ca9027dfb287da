"""The training worker, whose second process has memory for the activations of three texts."""

import os
from typing import Any

import torch

from resources.training.contrastive.encoder import TextEncoder
from resources.training.worker import main

MOST = 3
_forward = TextEncoder.forward


def forward(self: TextEncoder, texts: Any) -> torch.Tensor:
    """Encode, and run out of memory at the end."""
    found = _forward(self, texts)
    if len(texts) > MOST and torch.is_grad_enabled() and os.environ["RANK"] == "1":
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to ...")
    return found


if __name__ == "__main__":
    TextEncoder.forward = forward  # type: ignore[method-assign]
    main()
