"""Encoding text: the tokenizer that bounds chunks and the encoder that turns text into vectors.

Here: the protocols. One file for each inference system implements them.
Not here: training (resources/training), where models come from (resources/model_hub).
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]


class Tokenizer(Protocol):
    """The encoder's own view of text, used to bound chunks."""

    @property
    def digest(self) -> str:
        """sha256 of the tokenizer's definition."""
        ...

    @property
    def max_tokens(self) -> int:
        """Most tokens one text may have, special tokens included."""
        ...

    def count(self, text: str) -> int:
        """Number of tokens the encoder sees for `text`, special tokens included."""
        ...

    def offsets(self, texts: Sequence[str]) -> list[list[tuple[int, int]]]:
        """Character spans of each text's tokens, special tokens left out."""
        ...


class Encoder(Protocol):
    """A loaded encoder: texts in, unit-length vectors out."""

    @property
    def digest(self) -> str:
        """Digest of weights, tokenizer, pooling, precision and backend."""
        ...

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        ...

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer the encoder reads text with."""
        ...

    def encode(
        self, texts: Sequence[str], progress: Callable[[int], None] | None = None
    ) -> Vectors:
        """Encode texts, in the order given.

        Args:
            texts: Any number of texts, each within the tokenizer's `max_tokens`.
            progress: Called with the number of texts done since the last call.

        Returns:
            float32 array of shape (len(texts), dimensions), rows of L2 norm 1.

        Raises:
            ValueError: a text is longer than `max_tokens`; nothing is ever cut off.
        """
        ...


class EncodingBackend(Protocol):
    """An inference system that loads checkpoints."""

    def digest(self, model_dir: Path) -> str:
        """Encoder digest of a checkpoint folder, without loading the model."""
        ...

    def load(self, model_dir: Path) -> Encoder:
        """Load a checkpoint folder in sentence-transformers layout (safetensors only).

        Raises:
            ValueError: the folder is not a supported encoder; the message says why.
        """
        ...
