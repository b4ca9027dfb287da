"""Finding a sentence that stands in a document, whatever its markup, and cutting it.

Here: the comparison and the cut by which the demo corpora keep their queries from being trivial.
Not here: where documents and queries come from (demo.py), how they are written (judged.py).
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import pairwise

_MARKUP = re.compile(
    r"""<https?://[^<>\s]*>             # link target of reStructuredText
    | (?P<tag><!--.*?-->|<[/!a-z][^<>]*>)
    | \]\([^()]*\) | \]\[[^\[\]]*\]     # link target of Markdown
    | https?://[^\s<>]+
    | &\#?\w+;""",
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)
_WORD = re.compile(r"[^\W_]+")
_TAG = "\f"
# Where one piece of text ends and the next begins: tags, lines that are no running text, the
# ends of sentences, colons and dashes. Too many ends do no harm: whatever a match touches goes.
_END = re.compile(
    rf"(?<!{_TAG})(?={_TAG})|(?<={_TAG})(?!{_TAG})|\n(?=\W)|(?<=\W)\n|(?<=[.!?:])\s+|\s[-\u2013\u2014]+\s"
)
_KEPT = re.compile(r"<[^<>]*>|\n")


def plain(text: str) -> str:
    """The words of a text, casefolded, with one space between; markup and punctuation out."""
    return " ".join(_WORD.findall(_masked(text).casefold()))


def stands_in(sentence: str, words: str) -> bool:
    """Whether a sentence, or four fifths of it in a row, stands in a text given as `plain`."""
    padded = f" {words} "
    return any(f" {' '.join(run)} " in padded for run in _runs(sentence))


def without(text: str, sentences: Iterable[str]) -> str:
    """The text without some sentences: every piece of it goes in which `stands_in` finds one.

    Tags and line ends stay, so that the rest of the document keeps its structure.
    """
    masked = _masked(text)
    ends = sorted({0, len(text), *(match.end() for match in _END.finditer(masked))})
    doomed: set[int] = set()
    for start, end in _spans(masked, set().union(*map(_runs, sentences))):
        doomed.update(range(bisect_right(ends, start) - 1, bisect_right(ends, end - 1)))
    pieces = (text[start:end] for start, end in pairwise(ends))
    return "".join(
        "".join(_KEPT.findall(piece)) if index in doomed else piece
        for index, piece in enumerate(pieces)
    )


def _masked(text: str) -> str:
    """The text with its markup blanked, so that positions stay."""
    return _MARKUP.sub(lambda match: (_TAG if match["tag"] else " ") * len(match[0]), text)


def _runs(sentence: str) -> set[tuple[str, ...]]:
    words = plain(sentence).split()
    size = -(-len(words) * 4 // 5)
    return {tuple(words[start : start + size]) for start in range(len(words) - size + 1)}


def _spans(masked: str, runs: Iterable[tuple[str, ...]]) -> Iterator[tuple[int, int]]:
    """Character spans of the runs of words, wherever they stand."""
    by_first: dict[str, list[tuple[str, ...]]] = {}
    for run in runs:
        by_first.setdefault(run[0], []).append(run)
    words = list(_WORD.finditer(masked))
    folded = [word[0].casefold() for word in words]
    for at, word in enumerate(folded):
        for run in by_first.get(word, ()):
            if tuple(folded[at : at + len(run)]) == run:
                yield words[at].start(), words[at + len(run) - 1].end()
