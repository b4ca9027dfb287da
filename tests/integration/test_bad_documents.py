"""Bad documents through the whole graph: each is filed with its reason, and stops nothing."""

import hashlib
import io
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest
from pypdf import PdfReader, PdfWriter

from platform_assets.commands.check import check
from platform_assets.commands.status import status
from platform_assets.documents.table import DOCUMENTS, REJECTED_DOCUMENTS
from resources.parsing.pool import GuardedParser
from resources.parsing.process import Limits
from tests.spies import ParserSpy, Platform
from tests.unit.test_parsing_pdf import make_pdf

pytestmark = pytest.mark.slow

CORPUS = "mixed"
PARSER = "tests.integration.planted_parsers:FormatParserWithBugs"
LIMITS = Limits(seconds=2, memory_bytes=400 << 20)


def zip_bomb() -> bytes:
    """A DOCX of half a megabyte that would unpack to 600 MB."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        with archive.open("word/document.xml", "w") as part:
            for _ in range(600):
                part.write(b" " * 1_000_000)
    return file.getvalue()


def encrypted(pdf: bytes) -> bytes:
    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(pdf)))
    writer.encrypt("secret", algorithm="RC4-128")
    file = io.BytesIO()
    writer.write(file)
    return file.getvalue()


TARIFF = make_pdf(
    [("Tariff of the northern lighthouse", 24, 700), ("Each lamp is taxed.", 12, 650)]
)
NOISE = bytes((7 * i * i + 31 * i) % 128 + 128 for i in range(4_000))
BAD = {
    "truncated.pdf": (TARIFF[: len(TARIFF) // 2], {"corrupt"}),
    "encrypted.pdf": (encrypted(TARIFF), {"encrypted"}),
    "garbage.pdf": (b"\x00\x9a garbage" * 99, {"corrupt"}),
    "empty.md": (b"", {"empty"}),
    "picture.docx": (b"\x89PNG\r\n\x1a\n\x00\x00", {"corrupt"}),
    "undecodable.txt": (NOISE, {"undecodable"}),
    "deep.html": (b"<div>" * 1_000_000 + b"x", {"timeout", "corrupt", "out_of_memory"}),
    "bomb.docx": (zip_bomb(), {"too_large"}),
    "quay": (b"", {"empty"}),
    "spin.md": (b"# Hangs\n", {"timeout"}),
    "eat.md": (b"# Eats memory\n", {"out_of_memory"}),
}
"""Key -> bytes, and the reasons that fit."""
GOOD = {
    "quay.md": (b"# The quay of Bergen\n\nHerring is landed there at dawn.\n", "herring at dawn"),
    "page.txt": (b"<!doctype html><h1>Pilots</h1><p>A pilot boards at the buoy.", "pilot boards"),
    "line.txt": (b"Sailmakers sew canvas. " + b"word " * 200_000, "sailmakers sew canvas"),
    "tariff.pdf": (TARIFF, "tariff of the northern lighthouse"),
}
"""Key -> bytes, and a query that it answers."""


class Mixed:
    """A corpus of good and bad documents."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        for key, (data, _) in (BAD | GOOD).items():
            platform.write(CORPUS, key, data)
        self.report = self.materialize()
        self.parsed = sorted(platform.calls.parsed)

    def materialize(self) -> dict[str, Any]:
        """Row of `documents` in the report."""
        parser = GuardedParser(LIMITS, parser=PARSER)
        spy = ParserSpy(parser, self.platform.calls)
        rows = self.platform.materialize(CORPUS, select="+key:published_index", parser=spy)
        return rows["documents", CORPUS]

    def rejected(self) -> dict[str, dict[str, Any]]:
        rows = self.platform.rows(REJECTED_DOCUMENTS, corpus=CORPUS)
        return {row["key"]: row for row in rows}


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mixed]:
    with pytest.MonkeyPatch.context() as patch:
        yield Mixed(Platform(tmp_path_factory.mktemp("mixed"), patch))


@pytest.mark.parametrize("key", BAD)
def test_a_bad_document_is_filed_with_its_reason(mixed: Mixed, key: str) -> None:
    data, reasons = BAD[key]
    row = mixed.rejected()[key]
    assert row["sha256"] == hashlib.sha256(data).hexdigest()
    assert row["reason"] in reasons
    assert row["message"]


@pytest.mark.parametrize("key", GOOD)
def test_a_good_document_among_them_is_searchable(mixed: Mixed, key: str) -> None:
    _, query = GOOD[key]
    assert mixed.platform.search(CORPUS, query)[0]["key"] == key
    assert key not in mixed.rejected()


def test_every_document_was_tried_once_and_settled(mixed: Mixed) -> None:
    assert mixed.parsed == sorted(BAD | GOOD)
    documents = {row["key"] for row in mixed.platform.rows(DOCUMENTS, corpus=CORPUS)}
    assert documents == GOOD.keys()
    assert mixed.rejected().keys() == BAD.keys()


def test_rejections_are_counted_where_people_look(mixed: Mixed) -> None:
    fault = f"{len(BAD)} documents were rejected"
    assert any(fault in warning for warning in mixed.report["warnings"])
    shown = status(mixed.platform.state)["corpora"][CORPUS]
    assert shown["rejected"] == len(BAD)
    assert shown["rejections"].keys() == BAD.keys()
    assert shown["documents"] == len(GOOD)
    answer = check(mixed.platform.state, lambda _: None)
    [found] = [each for each in answer["checks"] if each["check"] == "no_rejected_documents"]
    assert answer["ok"]
    assert (found["passed"], found["severity"]) == (False, "WARN")
    assert fault in found["description"]


def test_only_mended_documents_are_tried_again(mixed: Mixed) -> None:
    mixed.materialize()
    assert mixed.platform.calls.none()
    text = "# Ropewalk of Riga\n\nHemp is twisted into hawsers.\n"
    mixed.platform.write(CORPUS, "empty.md", text)
    report = mixed.materialize()
    assert mixed.platform.calls.parsed == ["empty.md"]
    assert mixed.rejected().keys() == BAD.keys() - {"empty.md"}
    assert any(f"{len(BAD) - 1} documents" in warning for warning in report["warnings"])
    assert mixed.platform.search(CORPUS, "hemp twisted into hawsers")[0]["key"] == "empty.md"
