"""PDF: pages, paragraphs, headings by bookmarks or by size, and files that cannot be read."""

import pytest

from resources.parsing import ParsedDocument, ParseError, RejectionReason
from resources.parsing.formats import PDF
from resources.parsing.pdf import PdfParser

Line = tuple[str, int, int]
"""Text, type size and height above the foot of the page, both in points."""


def make_pdf(
    *pages: list[Line], bookmarks: tuple[tuple[str, int], ...] = (), extra: str = ""
) -> bytes:
    """A PDF of text lines; bookmarks are titles with the zero-based page they lead to."""
    font = "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>"
    objects = {1: "", 2: "", 3: font}
    page_ids = []
    for page in pages:
        shown = "".join(
            f"BT /F {size} Tf 72 {height} Td ({text}) Tj ET\n" for text, size, height in page
        )
        content = len(objects) + 1
        objects[content] = f"<< /Length {len(shown)} >>\nstream\n{shown}endstream"
        objects[content + 1] = (
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {content} 0 R "
            "/Resources << /Font << /F 3 0 R >> >> >>"
        )
        page_ids.append(content + 1)
    root = len(objects) + 1
    objects[root] = f"<< /First {root + 1} 0 R /Last {root + len(bookmarks)} 0 R >>"
    for number, (title, page_number) in enumerate(bookmarks, start=1):
        following = f"/Next {root + number + 1} 0 R" if number < len(bookmarks) else ""
        objects[root + number] = (
            f"<< /Title ({title}) /Parent {root} 0 R {following} "
            f"/Dest [{page_ids[page_number]} 0 R /Fit] >>"
        )
    objects[1] = f"<< /Type /Catalog /Pages 2 0 R {f'/Outlines {root} 0 R' if bookmarks else ''} >>"
    kids = " ".join(f"{number} 0 R" for number in page_ids)
    objects[2] = f"<< /Type /Pages /Kids [{kids}] /Count {len(page_ids)} >>"
    return _assemble(objects, extra)


def _assemble(objects: dict[int, str], extra: str) -> bytes:
    body, offsets = "%PDF-1.4\n", []
    for number, text in objects.items():
        offsets.append(len(body))
        body += f"{number} 0 obj\n{text}\nendobj\n"
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    size = len(objects) + 1
    return (
        f"{body}xref\n0 {size}\n0000000000 65535 f \n{table}"
        f"trailer\n<< /Size {size} /Root 1 0 R {extra} >>\nstartxref\n{len(body)}\n%%EOF\n"
    ).encode("latin-1")


FIRST: list[Line] = [
    ("The Harbour Handbook", 24, 700),
    ("1 Arrivals", 16, 660),
    ("Ships arrive at dawn, and the", 10, 640),
    ("master writes them down.", 10, 627),
    ("A second paragraph.", 10, 600),
]
SECOND: list[Line] = [
    ("2 Departures", 16, 700),
    ("Leave slowly.", 10, 680),
    ("\x95 mind the tide", 10, 667),
    ("\x95 mind the ferry, which", 10, 654),
    ("never waits", 10, 641),
]


def parse(data: bytes) -> ParsedDocument:
    return PdfParser(PDF).parse("a.pdf", data)


def test_pages_paragraphs_and_headings_by_size() -> None:
    document = parse(make_pdf(FIRST, SECOND))
    book, arrivals, departures = "The Harbour Handbook", "1 Arrivals", "2 Departures"
    assert document.title == book
    assert [(e.type, e.text, e.page, e.heading_path) for e in document.elements] == [
        ("title", book, 1, (book,)),
        ("title", arrivals, 1, (book, arrivals)),
        (
            "paragraph",
            "Ships arrive at dawn, and the master writes them down.",
            1,
            (book, arrivals),
        ),
        ("paragraph", "A second paragraph.", 1, (book, arrivals)),
        ("title", departures, 2, (book, departures)),
        ("paragraph", "Leave slowly.", 2, (book, departures)),
        ("list_item", "mind the tide", 2, (book, departures)),
        ("list_item", "mind the ferry, which never waits", 2, (book, departures)),
    ]


def test_bookmarks_are_the_headings_where_there_are_any() -> None:
    bookmarks = (("Arrivals", 0), ("Not in the text", 1), ("Departures", 1))
    document = parse(make_pdf(FIRST, SECOND, bookmarks=bookmarks))
    paths = {element.text: element.heading_path for element in document.elements}
    assert paths["The Harbour Handbook"] == ()
    assert paths["A second paragraph."] == ("1 Arrivals",)
    assert paths["Leave slowly."] == ("2 Departures",)
    assert "Not in the text" not in paths


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (make_pdf(FIRST)[:-300], RejectionReason.CORRUPT),
        (b"%PDF-1.7\n garbage %%EOF", RejectionReason.CORRUPT),
        (make_pdf([]), RejectionReason.NO_TEXT),
        (
            make_pdf(
                FIRST,
                extra=f"/Encrypt << /Filter /Standard /V 1 /R 2 /O <{'5a' * 32}> "
                f"/U <{'a5' * 32}> /P -4 >> /ID [<{'00' * 16}> <{'00' * 16}>]",
            ),
            RejectionReason.ENCRYPTED,
        ),
    ],
    ids=["truncated", "garbage", "no text layer", "encrypted"],
)
def test_a_pdf_that_cannot_be_read(data: bytes, reason: RejectionReason) -> None:
    with pytest.raises(ParseError) as caught:
        parse(data)
    assert caught.value.reason is reason
