"""Judgements uploaded beside a corpus, in BEIR's layout (Thakur et al. 2021).

Here: which keys of a corpus are evaluation files, and reading them into judged queries.
Not here: fetching the files (the asset does), queries for a corpus without any (derive.py).
"""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from platform_assets.queries import Query, QuerySet, Split, split_of

_QUERIES = re.compile(r"(?:(?P<set>[^/]+)\.)?queries\.jsonl")
_JUDGEMENTS = re.compile(r"(?:(?P<set>[^/]+)\.)?qrels\.tsv|qrels/(?P<split>[^/]+)\.tsv")
EVALUATION_FILES = r"(queries\.jsonl|qrels\.tsv|^qrels/[^/]+\.tsv)$"
"""What every key of an evaluation file matches, and few others do."""


@dataclass(frozen=True, slots=True)
class _Judgement:
    query: str
    document: str
    score: int
    split: str
    """Name of the judgements file under `qrels/`; empty for a single unnamed one."""


def is_evaluation_file(key: str) -> bool:
    """Whether a key, relative to its corpus, holds queries or judgements, not a document.

    These are `queries.jsonl`, `qrels.tsv` and `qrels/SPLIT.tsv` at the top of the corpus, and
    `NAME.queries.jsonl` with `NAME.qrels.tsv` where there are several sets.
    """
    return bool(_QUERIES.fullmatch(key) or _JUDGEMENTS.fullmatch(key))


def uploaded_queries(files: Mapping[str, bytes], documents: Iterable[str]) -> QuerySet:
    """Read the judged queries of a corpus.

    The part of a query is the name of its judgements file: `test`, `train`, or `dev`, which
    counts as test where there is no test file and as train otherwise; a query judged in two
    parts is a test query. With a single unnamed file, a query is for training if all its
    documents are (`split_of`).

    Args:
        files: Content of every evaluation file, by key relative to the corpus.
        documents: Keys of the corpus's documents. A judged id means the document whose key it
            is, or whose key without extension, or whose file name without extension.

    Raises:
        ValueError: a file is malformed or its counterpart is missing; it names file and line.
    """
    texts = {name: _texts(key, files[key]) for name, key in _sets(files, _QUERIES)}
    judged: dict[str, list[_Judgement]] = defaultdict(list)
    for name, key in _sets(files, _JUDGEMENTS):
        judged[name] += _judgements(key, files[key])
    if lacking := sorted(texts.keys() ^ judged.keys()):
        wanted = "qrels.tsv" if lacking[0] in texts else "queries.jsonl"
        prefix = f"{lacking[0]}." if lacking[0] else ""
        raise ValueError(f"Queries and judgements go together: upload {prefix}{wanted} as well.")
    find = _finder(list(documents))
    return _joined([_query_set(name, texts[name], judged[name], find) for name in sorted(texts)])


def _sets(files: Mapping[str, bytes], pattern: re.Pattern[str]) -> Iterator[tuple[str, str]]:
    for key in sorted(files):
        if match := pattern.fullmatch(key):
            yield match["set"] or "", key


def _lines(key: str, data: bytes) -> Iterator[tuple[str, str]]:
    """Each line that is not blank, and where it stands for an error message."""
    for number, line in enumerate(data.splitlines(), start=1):
        place = f"{key}, line {number}"
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError:
            raise ValueError(f"{place}: not UTF-8 text.") from None
        if text.strip():
            yield place, text


def _texts(key: str, data: bytes) -> dict[str, str]:
    texts: dict[str, str] = {}
    for place, line in _lines(key, data):
        try:
            row = json.loads(line)
            name, text = str(row["_id"]), " ".join(row["text"].split())
        except (ValueError, LookupError, TypeError, AttributeError):
            raise ValueError(f'{place}: expected {{"_id": "...", "text": "..."}}.') from None
        if not text or name in texts:
            raise ValueError(f"{place}: the query {name!r} has no text or stands there twice.")
        texts[name] = text
    return texts


def _judgements(key: str, data: bytes) -> Iterator[_Judgement]:
    match = _JUDGEMENTS.fullmatch(key)
    split = (match and match["split"]) or ""
    for index, (place, line) in enumerate(_lines(key, data)):
        cells = [cell.strip() for cell in line.split("\t")]
        if index == 0 and cells[0] == "query-id":
            continue
        try:
            query, document, score = cells
            yield _Judgement(query, document, int(score), split)
        except ValueError:
            raise ValueError(
                f"{place}: expected query-id, corpus-id and a whole number, parted by tabs."
            ) from None


def _finder(documents: list[str]) -> Callable[[str], str | None]:
    """From a judged id to the key it means; a short form that fits two keys means none."""
    found: dict[str, str] = {}
    for short in (str, _without_extension, lambda key: PurePosixPath(key).stem):
        forms = Counter(map(short, documents))
        for key in documents:
            if forms[short(key)] == 1:
                found.setdefault(short(key), key)
    return found.get


def _without_extension(key: str) -> str:
    return str(PurePosixPath(key).with_suffix(""))


def _query_set(
    name: str,
    texts: Mapping[str, str],
    judgements: list[_Judgement],
    find: Callable[[str], str | None],
) -> QuerySet:
    grades: dict[str, dict[str, int]] = defaultdict(dict)
    splits: dict[str, set[str]] = defaultdict(set)
    for judgement in judgements:
        key = find(judgement.document)
        if key and judgement.score > 0 and judgement.query in texts:
            grades[judgement.query][key] = judgement.score
            splits[judgement.query].add(judgement.split)
    prefix = f"{name}." if name else ""
    has_test = any(judgement.split == "test" for judgement in judgements)
    queries = tuple(
        Query(prefix + query, texts[query], _part(splits[query], keys, has_test), keys, "uploaded")
        for query, keys in sorted(grades.items())
    )
    return QuerySet(
        queries,
        tuple(sorted({row.document for row in judgements if not find(row.document)})),
        tuple(sorted({prefix + row.query for row in judgements if row.query not in texts})),
        len(texts) - len(queries),
    )


def _part(names: set[str], keys: Iterable[str], has_test: bool) -> Split:
    if "test" in names or ("dev" in names and not has_test):
        return "test"
    if names <= {"train", "dev"}:
        return "train"
    return "test" if any(split_of(key) == "test" for key in keys) else "train"


def _joined(sets: list[QuerySet]) -> QuerySet:
    return QuerySet(
        tuple(query for each in sets for query in each.queries),
        tuple(sorted({name for each in sets for name in each.unknown_documents})),
        tuple(name for each in sets for name in each.unknown_queries),
        sum(each.unjudged for each in sets),
    )
