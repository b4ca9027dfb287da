"""A folder of documents with judged queries beside them, in BEIR's layout.

Here: which drafted documents and queries are kept, and writing them so that the evaluation is
fair: no query stands in any document, and each has exactly one judged document.
Not here: where the drafts come from (demo.py).
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from platform_assets.queries import query_id, split_of
from platform_assets.raw_objects.verbatim import plain, stands_in, without

_SIZES = range(200, 20_001)
"""Characters of plain text a document may have."""
_WORDS = range(4, 41)
"""Words a query may have."""
_QUERIES = "queries.jsonl"


@dataclass(frozen=True, slots=True)
class Draft:
    """A document before its sentences are withheld."""

    key: str
    """Path below the folder."""
    text: str
    sentences: tuple[str, ...]
    """Sentences that describe the document; each may become a query."""


def write_judged(drafts: Iterable[Draft], target: Path) -> int:
    """Write documents and their judged queries into a folder; returns the number of documents.

    A sentence becomes a query when no other draft has the same; it is then cut from its document,
    and dropped if it still stands there or in another document. Documents that are too short or
    too long to be worth their time in a demonstration, and repeated ones, are left out whole.
    Queries go to `queries.jsonl`, judgements to `qrels/train.tsv` and `qrels/test.tsv`, split by
    document. Files whose bytes are right already are left untouched, files of an earlier call
    that are no longer wanted are removed; `TARGET.files` beside the folder lists what is ours.

    Raises:
        ValueError: `target` holds files that no earlier call wrote.
    """
    kept = _worth_keeping(_unambiguous(list(drafts)))
    kept = [replace(draft, text=without(draft.text, draft.sentences)) for draft in kept]
    everything = " \n ".join(plain(draft.text) for draft in kept)
    judged = [
        (draft.key, sentence)
        for draft in kept
        for sentence in draft.sentences
        if not stands_in(sentence, everything)
    ]
    files = {draft.key: draft.text for draft in kept} | _evaluation(judged)
    _synchronise(target, {name: text.encode() for name, text in files.items()})
    return len(kept)


def _unambiguous(drafts: Sequence[Draft]) -> Iterator[Draft]:
    """Drafts with only those sentences that are no other draft's and long enough to ask."""
    owners = Counter(words for draft in drafts for words in set(map(plain, draft.sentences)))
    for draft in drafts:
        distinct = {plain(sentence): sentence for sentence in draft.sentences}
        yield replace(
            draft,
            sentences=tuple(
                sentence
                for words, sentence in distinct.items()
                if owners[words] == 1 and len(words.split()) in _WORDS
            ),
        )


def _worth_keeping(drafts: Iterable[Draft]) -> list[Draft]:
    """Drafts of a usable size, by key, the first of each text."""
    first: dict[str, Draft] = {}
    for draft in sorted(drafts, key=lambda each: each.key):
        words = plain(draft.text)
        if len(words) in _SIZES:
            first.setdefault(words, draft)
    return list(first.values())


def _evaluation(judged: Sequence[tuple[str, str]]) -> dict[str, str]:
    lines = [json.dumps({"_id": query_id(*each), "text": each[1]}) + "\n" for each in judged]
    tables = {f"qrels/{split}.tsv": "query-id\tcorpus-id\tscore\n" for split in ("train", "test")}
    for key, sentence in judged:
        tables[f"qrels/{split_of(key)}.tsv"] += f"{query_id(key, sentence)}\t{key}\t1\n"
    return {_QUERIES: "".join(lines), **tables}


def _synchronise(target: Path, files: Mapping[str, bytes]) -> None:
    listing = target.with_name(f"{target.name}.files")
    ours = set(listing.read_text().splitlines()) if listing.exists() else set()
    present = {path.relative_to(target).as_posix() for path in target.rglob("*") if path.is_file()}
    if present - ours:
        raise ValueError(f"{target} holds files of your own: choose an empty folder.")
    target.mkdir(parents=True, exist_ok=True)
    # Before the files, so that a call cut short leaves none that the next takes for foreign.
    listing.write_text("\n".join(sorted(ours | files.keys())))
    for name in present - files.keys():
        (target / name).unlink()
    for name, data in files.items():
        path = target / name
        if name not in present or path.read_bytes() != data:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
