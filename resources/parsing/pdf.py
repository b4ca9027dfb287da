"""PDF by pypdfium2: the text layer with its pages, cut into paragraphs by the geometry of lines.

Here: text, and headings by bookmarks or else by the size of type. Not here: pictures of text (no
OCR is installed).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING

from resources.parsing import ParsedDocument, ParseError, RejectionReason
from resources.parsing.outline import Outline

if TYPE_CHECKING:
    from pypdfium2 import PdfDocument, PdfPage

_END_MARK_WITHIN_BYTES = 2048
_PARAGRAPH_GAP = 1.2
_OTHER_SIZE = 1.2
_HEADING_CHARACTERS = 150
_BULLET = re.compile(r"[•◦▪‣∙●○■]\s*")
_NUMBERING = re.compile(
    r"^(?:(?:chapter|part|section|appendix)\s+)?(?:\d+|[A-Z])(?:\.\d+)*[.:)]?\s+", re.IGNORECASE
)
_NOT_TEXT = re.compile(r"[\x00-\x08\x0b-\x1f\ufffe\uffff]")
"""Controls, and U+FFFE, with which PDFium marks the hyphen of a word it joined again."""


@dataclass(frozen=True, slots=True)
class _Line:
    text: str
    bottom: float
    height: float
    """Points, like `bottom`, which grows upwards."""


@dataclass(frozen=True, slots=True)
class _Bookmark:
    title: str
    level: int


@dataclass(frozen=True)
class PdfParser:
    """Parses a PDF that has a text layer."""

    media_type: str

    def parse(self, key: str, data: bytes) -> ParsedDocument:
        """Parse one PDF; see `Parser`."""
        document = _open(data)
        try:
            pages = [list(_lines(document[number])) for number in range(len(document))]
            bookmarks = _bookmarks(document)
            title: str = document.get_metadata_value("Title")
        finally:
            document.close()
        if not any(pages):
            raise ParseError(
                RejectionReason.NO_TEXT,
                "the PDF has no text layer and OCR is not installed; run OCR on it first",
            )
        outline = Outline()
        _read(pages, bookmarks, outline)
        cover = max(pages[0], key=lambda line: line.height).text if pages[0] else ""
        return outline.document(key, self.media_type, "pypdfium2", title or cover)


def _open(data: bytes) -> "PdfDocument":
    import pypdfium2

    if b"%%EOF" not in data[-_END_MARK_WITHIN_BYTES:]:
        raise ParseError(RejectionReason.CORRUPT, "the PDF is truncated: its end mark is missing")
    try:
        return pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        if error.err_code == pypdfium2.raw.FPDF_ERR_PASSWORD:
            raise ParseError(
                RejectionReason.ENCRYPTED, "the PDF needs a password; save it without one"
            ) from error
        raise ParseError(RejectionReason.CORRUPT, f"not a readable PDF: {error}") from error


def _lines(page: "PdfPage") -> Iterator[_Line]:
    text_page = page.get_textpage()
    last = text_page.count_chars() - 1
    position = 0
    for line in text_page.get_text_range().split("\r\n") if last >= 0 else ():
        text = _NOT_TEXT.sub("", line).strip()
        if text:
            # The last character, as the first may be a bullet in a font of its own.
            end = min(position + len(line.rstrip()) - 1, last)
            _, bottom, _, top = text_page.get_charbox(end, loose=True)
            yield _Line(text, bottom, top - bottom)
        position += len(line) + len("\r\n")
    text_page.close()
    page.close()


def _bookmarks(document: "PdfDocument") -> dict[int, list[_Bookmark]]:
    """Bookmarks by the zero-based page they lead to."""
    by_page: dict[int, list[_Bookmark]] = {}
    for entry in document.get_toc():
        target = entry.get_dest()
        page = target.get_index() if target else None
        if page is not None:
            by_page.setdefault(page, []).append(_Bookmark(entry.get_title(), entry.level))
    return by_page


def _read(
    pages: list[list[_Line]], bookmarks: dict[int, list[_Bookmark]], outline: Outline
) -> None:
    body_height = median(line.height for page in pages for line in page)
    for number, page in enumerate(pages):
        outline.page = number + 1
        awaited = bookmarks.get(number, [])
        for paragraph in _paragraphs(page):
            text = " ".join(line.text for line in paragraph)
            found = _position(text, awaited)
            if found is not None:
                _open_sections(awaited[:found], outline)
                outline.heading(text, awaited[found].level)
                awaited = awaited[found + 1 :]
            elif not bookmarks and _is_large(paragraph[0], text, body_height):
                outline.heading(text, -round(paragraph[0].height))
            else:
                bullet = _BULLET.match(text)
                outline.add(
                    "list_item" if bullet else "paragraph", text[bullet.end() :] if bullet else text
                )
        _open_sections(awaited, outline)


def _open_sections(bookmarks: list[_Bookmark], outline: Outline) -> None:
    for bookmark in bookmarks:
        outline.section(bookmark.title, bookmark.level)


def _paragraphs(page: list[_Line]) -> Iterator[list[_Line]]:
    """Runs of lines of one size with no more than the page's usual pitch between them."""
    gaps = sorted(gap for a, b in pairwise(page) if (gap := a.bottom - b.bottom) > 0)
    widest = _PARAGRAPH_GAP * gaps[len(gaps) // 4] if gaps else 0.0
    paragraph: list[_Line] = []
    for line in page:
        if paragraph and _starts_paragraph(paragraph[-1], line, widest):
            yield paragraph
            paragraph = []
        paragraph.append(line)
    if paragraph:
        yield paragraph


def _starts_paragraph(before: _Line, line: _Line, widest: float) -> bool:
    gap = before.bottom - line.bottom
    small, large = sorted((before.height, line.height))
    return not 0 <= gap <= widest or large > _OTHER_SIZE * small or bool(_BULLET.match(line.text))


def _position(text: str, bookmarks: list[_Bookmark]) -> int | None:
    """Which bookmark the text is the heading of."""
    if not bookmarks or len(text) > _HEADING_CHARACTERS:
        return None
    titles = [_plain(bookmark.title) for bookmark in bookmarks]
    title = _plain(text)
    return titles.index(title) if title in titles else None


def _plain(title: str) -> str:
    return "".join(filter(str.isalnum, _NUMBERING.sub("", title))).lower()


def _is_large(first: _Line, text: str, body_height: float) -> bool:
    large = first.height > _OTHER_SIZE * body_height
    return large and len(text) <= _HEADING_CHARACTERS and any(map(str.isalpha, text))
