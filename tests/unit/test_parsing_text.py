"""Text, Markdown, reStructuredText, tables, data and mail: one real file each, and their traps."""

import pytest

from resources.parsing import Element, ParsedDocument, ParseError, RejectionReason
from resources.parsing.router import FormatParser


def parse(key: str, text: str) -> ParsedDocument:
    return FormatParser().parse(key, text.encode())


def brief(document: ParsedDocument) -> list[tuple[str, str]]:
    return [(element.type, element.text) for element in document.elements]


def find(document: ParsedDocument, text: str) -> Element:
    return next(element for element in document.elements if element.text == text)


def test_plain_text_is_cut_at_blank_lines() -> None:
    document = parse("notes/a.txt", "one\ntwo\r\n \r\n\n  three  \n\n\n")
    assert brief(document) == [("paragraph", "one\ntwo"), ("paragraph", "three")]
    assert document.title == "a"


def test_a_million_characters_on_one_line_stay_whole() -> None:
    line = "word " * 200_000
    for key in ("a.txt", "a.md", "a.rst", "a.html"):
        assert [len(e.text) for e in parse(key, line).elements] == [len(line) - 1], key


def test_markdown() -> None:
    document = parse(
        "README.md",
        "---\nowner: me\n---\n# Harbour *docs*\n\nSome `code` and ~~old~~ text.\n\n## Use\n\n"
        "- one\n- two\n\n  more of two\n\n```python\nx = 1\n\ny = 2\n```\n\n"
        "| a | b |\n|---|---|\n| 1 | 2 |\n\n<p align=center>raw <b>markup</b></p>\n"
        "<!-- hidden -->\n\nLast\n----\n\n> quoted\n",
    )
    assert document.title == "Harbour docs"
    assert brief(document) == [
        ("code", "owner: me"),
        ("title", "Harbour docs"),
        ("paragraph", "Some code and old text."),
        ("title", "Use"),
        ("list_item", "one"),
        ("list_item", "two"),
        ("list_item", "more of two"),
        ("code", "x = 1\n\ny = 2"),
        ("table", "a | b"),
        ("table", "1 | 2"),
        ("paragraph", "raw markup"),
        ("title", "Last"),
        ("paragraph", "quoted"),
    ]
    assert find(document, "quoted").heading_path == ("Harbour docs", "Last")


def test_markdown_keeps_deep_lists() -> None:
    document = parse("a.md", "".join(f"{'  ' * depth}- item{depth}\n" for depth in range(15)))
    assert [e.text for e in document.elements] == [f"item{depth}" for depth in range(15)]


def test_restructured_text() -> None:
    document = parse(
        "README.rst",
        "Harbour\n=======\n\nCall :func:`moor` now.\n\n.. automodule:: harbour\n   :members:\n\n"
        "Use\n---\n\n- one\n- two\n\n::\n\n    x = 1\n\n.. note:: Take care.\n\n"
        "=== ===\na   b\n=== ===\n1   2\n=== ===\n",
    )
    assert document.title == "Harbour"
    assert brief(document) == [
        ("title", "Harbour"),
        ("paragraph", "Call :func:`moor` now."),
        ("code", ".. automodule:: harbour\n   :members:"),
        ("title", "Use"),
        ("list_item", "one"),
        ("list_item", "two"),
        ("code", "x = 1"),
        ("paragraph", "Note"),
        ("paragraph", "Take care."),
        ("table", "a | b"),
        ("table", "1 | 2"),
    ]
    assert find(document, "x = 1").heading_path == ("Harbour", "Use")


def test_restructured_text_reads_no_other_file() -> None:
    text = parse("a.rst", f"x\n\n.. include:: {__file__}\n\n.. raw:: html\n   :file: {__file__}\n")
    assert not any("reads_no_other_file" in element.text for element in text.elements)


@pytest.mark.parametrize(
    ("key", "text"), [("a.csv", 'a,b\n"1, one",\n,x\n'), ("a.tsv", 'a\tb\n"1, one"\t\n\tx\n')]
)
def test_a_table_has_an_element_for_each_row(key: str, text: str) -> None:
    assert brief(parse(key, text)) == [("table", "a | b"), ("table", "1, one"), ("table", "x")]


def test_a_cell_may_be_long() -> None:
    assert len(parse("a.csv", "a," + "b" * 1_000_000).elements[0].text) == 1_000_004


def test_json_records() -> None:
    document = parse(
        "a.json",
        '{"name": "harbour", "tags": ["sea", "ship"], "open": true, "gone": null,'
        ' "berths": [{"id": 1, "at": {"pier": "A"}}, {"id": 2}]}',
    )
    assert brief(document) == [
        ("paragraph", "name: harbour\nopen: true"),
        ("title", "tags"),
        ("paragraph", "sea\nship"),
        ("title", "berths"),
        ("paragraph", "id: 1\nat.pier: A"),
        ("paragraph", "id: 2"),
    ]
    assert document.elements[-1].heading_path == ("berths",)


def test_json_lines() -> None:
    assert brief(parse("a.jsonl", '{"a": 1}\n\n{"a": "two"}\n')) == [
        ("paragraph", "a: 1"),
        ("paragraph", "a: two"),
    ]


def test_broken_json_is_corrupt_and_says_where() -> None:
    with pytest.raises(ParseError, match="line 2, column 1") as caught:
        parse("a.jsonl", '{"a": 1}\nnonsense\n')
    assert caught.value.reason is RejectionReason.CORRUPT


def test_every_text_can_be_stored_as_utf8() -> None:
    document = parse("a.json", r'{"a": "x\ud800y"}')
    assert document.elements[0].text.encode() == b"a: x?y"


MAIL = """From: Ann <ann@example.org>
To: bob@example.org
Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= from the
 harbour
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="x"

--x
Content-Type: multipart/alternative; boundary="y"

--y
Content-Type: text/plain; charset=iso-8859-1
Content-Transfer-Encoding: quoted-printable

Der Kapit=E4n gr=FC=DFt.

Bis bald.
--y
Content-Type: text/html

<p>ignored where there is plain text</p>
--y--
--x
Content-Type: application/octet-stream
Content-Disposition: attachment; filename="map.bin"
Content-Transfer-Encoding: base64

AAEC
--x--
"""


def test_mail() -> None:
    document = parse("inbox/1.eml", MAIL)
    assert document.title == "Grüße from the harbour"
    assert brief(document) == [
        ("title", "Grüße from the harbour"),
        ("paragraph", "From: Ann <ann@example.org>\nTo: bob@example.org"),
        ("paragraph", "Der Kapitän grüßt."),
        ("paragraph", "Bis bald."),
        ("list_item", "Attachment: map.bin"),
    ]


def test_mail_in_html_of_an_unknown_charset() -> None:
    head = "Subject: Sale\nMIME-Version: 1.0\nContent-Type: text/html; charset=nonsense\n\n"
    assert brief(parse("1.eml", head + "<p>Buy <b>now</b></p>")) == [
        ("title", "Sale"),
        ("paragraph", "Buy now"),
    ]


@pytest.mark.parametrize("key", ["a.txt", "a.md", "a.rst", "a.html", "a.csv"])
def test_no_text_is_a_rejection(key: str) -> None:
    with pytest.raises(ParseError) as caught:
        parse(key, " \n \n")
    assert caught.value.reason is RejectionReason.NO_TEXT
