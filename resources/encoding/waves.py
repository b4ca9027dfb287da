"""Texts as the engines take them: token ids, a wave at a time, the shortest first.

Here: tokenising, and refusing what an encoder cannot take whole.
Not here: how a wave is cut into batches, which each engine does its own way.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from resources.encoding.tokenizer import FastTokenizer

WAVE_TEXTS = 4096
"""Texts tokenised and sorted together: bounds memory; lengths repeat enough to fill batches."""


class Text(NamedTuple):
    """One text of a call."""

    row: int
    """Its place among the texts given."""
    ids: list[int]
    """Token ids, special tokens included."""


def waves(texts: Sequence[str], tokenizer: FastTokenizer) -> Iterator[list[Text]]:
    """Each wave's texts, by length.

    Raises:
        ValueError: a text has more tokens than the encoder takes; nothing is ever cut off.
    """
    for start in range(0, len(texts), WAVE_TEXTS):
        ids = tokenizer.ids(texts[start : start + WAVE_TEXTS])
        wave = [Text(row, tokens) for row, tokens in enumerate(ids, start)]
        for text in wave:
            if len(text.ids) > tokenizer.max_tokens:
                raise ValueError(
                    f"text {text.row} has {len(text.ids)} tokens and the encoder takes "
                    f"{tokenizer.max_tokens}: cut it into chunks"
                )
        yield sorted(wave, key=lambda text: len(text.ids))
