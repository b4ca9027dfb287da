"""Tokenizers of checkpoints, by the `tokenizers` library.

Here: counting tokens, placing them in the text, turning text into ids. Never cuts a text.
Not here: where a text is cut into chunks (platform_assets/chunks).
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from resources.digests import sha256_file
from resources.encoding.checkpoint import Checkpoint, read_checkpoint

if TYPE_CHECKING:
    import tokenizers


class FastTokenizer:
    """The tokenizer of a checkpoint; batches use every core."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._definition = checkpoint.tokenizer
        self._max_tokens = checkpoint.max_tokens

    def __getstate__(self) -> dict[str, object]:
        """With the definition itself, which another machine has not."""
        return {
            "_definition": self._definition,
            "_max_tokens": self._max_tokens,
            "digest": self.digest,
            "_splitter": self._splitter,
        }

    @property
    def max_tokens(self) -> int:
        """Most tokens one text may have, special tokens included."""
        return self._max_tokens

    @cached_property
    def digest(self) -> str:
        """sha256 of tokenizer.json."""
        return sha256_file(self._definition)

    def count(self, text: str) -> int:
        """Number of tokens of `text`, special tokens included."""
        return len(self._splitter.encode(text))

    def offsets(self, texts: Sequence[str]) -> list[list[tuple[int, int]]]:
        """Character spans of each text's tokens, special tokens left out."""
        encodings = self._splitter.encode_batch(list(texts), add_special_tokens=False)
        return [encoding.offsets for encoding in encodings]

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, special tokens included."""
        encodings = self._splitter.encode_batch_fast(list(texts))
        return [encoding.ids for encoding in encodings]

    @cached_property
    def _splitter(self) -> "tokenizers.Tokenizer":
        import tokenizers

        try:
            splitter = tokenizers.Tokenizer.from_file(str(self._definition))
        except Exception as error:  # the library raises nothing more specific
            raise ValueError(f"{self._definition} is no tokenizer definition: {error}") from error
        # The file carries the settings of some training run; text is neither cut nor filled up.
        splitter.no_truncation()
        splitter.no_padding()
        return splitter


def load_tokenizer(model_dir: Path) -> FastTokenizer:
    """Tokenizer of a checkpoint folder.

    Raises:
        ValueError: the folder is not a supported encoder; the message says why.
    """
    return FastTokenizer(read_checkpoint(model_dir))
