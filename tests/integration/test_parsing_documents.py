"""Real files of every format, good and bad, through the guarded pool."""

import io
import re
import zipfile
from pathlib import Path

import pytest

from resources.parsing import DocumentParser, Element, ParsedDocument, Rejection, RejectionReason
from resources.parsing.pool import GuardedParser
from resources.parsing.process import Limits

HANDBOOK = """# The Harbour Handbook

Ships arrive at dawn, and the master writes each of them down.

## Arrivals

- Report the name of the vessel.
- Moor at the berth that was given.

### Fees

| Vessel | Fee |
|--------|-----|
| Dinghy | 5   |
| Ferry  | 120 |

## Departures

Leave slowly. The tide waits for nobody.
"""
FORMATS = {
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "epub": "application/epub+zip",
    "html": "text/html",
    "md": "text/markdown",
    "odt": "application/vnd.oasis.opendocument.text",
    "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "rst": "text/x-rst",
    "rtf": "application/rtf",
}


@pytest.fixture(scope="module")
def handbooks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ParsedDocument]:
    """The same handbook, written by pandoc in each format, parsed in one call."""
    import pypandoc

    folder = tmp_path_factory.mktemp("handbooks")
    documents = []
    for name in FORMATS:
        path = folder / f"handbook.{name}"
        writer = "gfm" if name == "md" else name
        pypandoc.convert_text(
            HANDBOOK, writer, format="gfm", outputfile=str(path), extra_args=["--standalone"]
        )
        documents.append((path.name, path.read_bytes()))
    outcomes = dict(GuardedParser().parse(documents))
    parsed = {
        Path(key).suffix[1:]: o for key, o in outcomes.items() if isinstance(o, ParsedDocument)
    }
    assert parsed.keys() == FORMATS.keys(), outcomes
    return parsed


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_a_handbook_in_every_format(name: str, handbooks: dict[str, ParsedDocument]) -> None:
    document = handbooks[name]
    found = {element.text: element for element in document.elements}
    assert document.media_type == FORMATS[name]
    assert document.title == "The Harbour Handbook"
    assert _words(document) == _words_of(HANDBOOK)
    last = found["Leave slowly. The tide waits for nobody."]
    assert last.heading_path == ("The Harbour Handbook", "Departures")
    assert last.page == (2 if name == "pptx" else None)
    assert found["Dinghy | 5"].type == "table"
    if name != "pptx":
        assert found["Report the name of the vessel."].type == "list_item"
        assert found["Dinghy | 5"].heading_path[1:] == ("Arrivals", "Fees")


def _words(document: ParsedDocument) -> list[str]:
    return _words_of(" ".join(e.text.replace("|", " ") for e in document.elements))


def _words_of(text: str) -> list[str]:
    return sorted(re.findall(r"\w+", text))


@pytest.mark.slow
def test_a_spreadsheet() -> None:
    from openpyxl import Workbook

    book = Workbook()
    fees = book.active
    fees.title = "Fees"
    for row in (["Vessel", "Fee"], ["Dinghy", 5], ["Ferry", 120]):
        fees.append(row)
    tides = book.create_sheet("Tides")
    tides.append(["Hour", "Height"])
    tides.append([6, 1.5])
    file = io.BytesIO()
    book.save(file)
    [(_, document)] = GuardedParser().parse([("fees.xlsx", file.getvalue())])
    assert isinstance(document, ParsedDocument)
    assert document.elements == (
        Element("table", "Vessel | Fee", 1, ("Fees",)),
        Element("table", "Dinghy | 5", 1, ("Fees",)),
        Element("table", "Ferry | 120", 1, ("Fees",)),
        Element("table", "Hour | Height", 2, ("Tides",)),
        Element("table", "6 | 1.5", 2, ("Tides",)),
    )


def _zip_bomb() -> bytes:
    """A DOCX of half a megabyte that would unpack to 600 MB."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        with archive.open("word/document.xml", "w") as part:
            for _ in range(600):
                part.write(b" " * 1_000_000)
    return file.getvalue()


@pytest.mark.slow
def test_bad_input_is_rejected_and_the_rest_is_parsed() -> None:
    expected = {
        "truncated.pdf": RejectionReason.CORRUPT,
        "garbage.pdf": RejectionReason.CORRUPT,
        "empty.html": RejectionReason.EMPTY,
        "folder": RejectionReason.EMPTY,
        "binary.html": RejectionReason.UNDECODABLE,
        "binary.txt": RejectionReason.UNDECODABLE,
        "broken.docx": RejectionReason.CORRUPT,
        "bomb.docx": RejectionReason.TOO_LARGE,
        "deep.html": RejectionReason.TIMEOUT,
        "deep.json": RejectionReason.CORRUPT,
    }
    documents = {
        "truncated.pdf": b"%PDF-1.4\n1 0 obj\n<< /Type /Catalog /Pages 2 0 R >>\nendobj\n",
        "garbage.pdf": bytes(range(256)) * 20,
        "empty.html": b"",
        "folder": b"",
        "folder/file.txt": b"I stand under a name that is also a file.",
        "binary.html": bytes(range(256)) * 20,
        "binary.txt": bytes(range(128, 256)) * 20,
        "broken.docx": b"PK\x03\x04" + bytes(99),
        "bomb.docx": _zip_bomb(),
        "deep.html": b"<div>" * 1_000_000 + b"x",
        "deep.json": b"[" * 100_000,
        "page.txt": b"<!doctype html><h1>I am a page",
        "line.html": b"<p>" + b"word " * 200_000,
        "good.md": b"# I am fine",
    }
    parser: DocumentParser = GuardedParser(limits=Limits(seconds=10))
    outcomes = dict(parser.parse(documents.items()))
    rejected = {key: o.reason for key, o in outcomes.items() if isinstance(o, Rejection)}
    assert rejected == expected
    parsed = {key: o.elements for key, o in outcomes.items() if isinstance(o, ParsedDocument)}
    assert parsed.keys() == documents.keys() - expected.keys()
    assert parsed["page.txt"] == (Element("title", "I am a page", None, ("I am a page",)),)
    assert len(parsed["line.html"][0].text) == 999_999
