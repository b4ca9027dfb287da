"""Tables and data: CSV and its relatives, JSON and JSON Lines.

Here: rows and records as elements. Not here: spreadsheets (rich.py).
"""

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from io import StringIO

from resources.parsing import ParsedDocument, ParseError, RejectionReason
from resources.parsing.formats import JSON_LINES, decode
from resources.parsing.outline import Outline

_SNIFFED_CHARACTERS = 16_384


@dataclass(frozen=True)
class CsvParser:
    """Parses delimited text: one `table` element a row, its cells between bars."""

    media_type: str

    def parse(self, key: str, data: bytes) -> ParsedDocument:
        """Parse one table; see `Parser`."""
        text = decode(data)
        csv.field_size_limit(max(csv.field_size_limit(), len(text) + 1))
        outline = Outline()
        for row in csv.reader(StringIO(text, newline=""), _dialect(key, text)):
            cells = (" ".join(cell.split()) for cell in row)
            outline.add("table", " | ".join(filter(None, cells)))
        return outline.document(key, self.media_type, "csv")


@dataclass(frozen=True)
class JsonParser:
    """Parses JSON: one element a record, a line `path: value` for each of its values.

    Records are the items of the outermost list, the entries of the outermost object (lists and
    objects under their key as heading), or the lines of JSON Lines.
    """

    media_type: str

    def parse(self, key: str, data: bytes) -> ParsedDocument:
        """Parse one JSON document; see `Parser`."""
        text = decode(data)
        outline = Outline()
        if self.media_type == JSON_LINES:
            for number, line in enumerate(text.splitlines(), start=1):
                if line.strip():
                    _read_record(_load(line, number), outline)
        else:
            _read_root(_load(text), outline)
        return outline.document(key, self.media_type, "json")


def _dialect(key: str, text: str) -> type[csv.Dialect] | str:
    if key.lower().endswith(".tsv"):
        return "excel-tab"
    try:
        return csv.Sniffer().sniff(text[:_SNIFFED_CHARACTERS], delimiters=",;\t|")
    except csv.Error:
        return "excel"


def _load(text: str, line: int | None = None) -> object:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        message = f"not JSON: {error.msg} at line {line or error.lineno}, column {error.colno}"
        raise ParseError(RejectionReason.CORRUPT, message) from error


def _read_root(root: object, outline: Outline) -> None:
    if not isinstance(root, dict):
        _read_records(root, outline)
        return
    values = {name: value for name, value in root.items() if not isinstance(value, dict | list)}
    _read_record(values, outline)
    for name in (name for name in root if name not in values):
        outline.heading(name, level=1)
        _read_records(root[name], outline)


def _read_records(value: object, outline: Outline) -> None:
    if isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        for record in value:
            _read_record(record, outline)
    else:
        _read_record(value, outline)


def _read_record(record: object, outline: Outline) -> None:
    outline.add("paragraph", "\n".join(_lines("", record)))


def _lines(path: str, value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _lines(f"{path}.{name}" if path else name, item)
    elif isinstance(value, list):
        for item in value:
            yield from _lines(path, item)
    elif value is not None:
        text = value if isinstance(value, str) else json.dumps(value)
        yield f"{path}: {text}" if path else text
