"""Model hubs: where pretrained base models come from.

Here: the protocol; one file for each hub implements it.
Not here: checkpoints that Lakeloom trains (platform_assets/checkpoints keeps those in the lake).
"""

from pathlib import Path
from typing import Protocol


class ModelHub(Protocol):
    """Brings a base model to local disk."""

    def fetch(self, model: str) -> Path:
        """Folder of the named model in sentence-transformers layout, verified by digest.

        Raises:
            LookupError: the hub has no such model; the message names what it has.
            ValueError: a file's digest differs from the pinned one.
        """
        ...
