"""What a document is: by its bytes first, by its name second."""

import io
import zipfile

import pytest

from resources.parsing import ParseError, RejectionReason, formats


def archive(*names: str, mimetype: str = "") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        if mimetype:
            file.writestr("mimetype", mimetype)
        for name in names:
            file.writestr(name, "<x/>")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("key", "data", "media_type"),
    [
        ("a.pdf", b"%PDF-1.7\n", formats.PDF),
        ("pdf.txt", b"%PDF-1.7\n", formats.PDF),
        ("page.html", b"<p>hello", formats.HTML),
        ("page.txt", b"\xef\xbb\xbf <!-- x -->\n<!DOCTYPE html><p>hello", formats.HTML),
        ("page.pdf", b"<html><body>hello", formats.HTML),
        ("report.docx", b"only text", formats.TEXT),
        ("README.md", b"# hello", formats.MARKDOWN),
        ("README.RST", b"hello\n=====", formats.RST),
        ("LICENSE", b"hello", formats.TEXT),
        ("t.tsv", b"a\tb", formats.CSV),
        ("t.json", b"{}", formats.JSON),
        ("t.jsonl", b"{}\n{}", formats.JSON_LINES),
        ("note.txt", b"{\\rtf1 hello}", formats.RTF),
        ("00001.7c53", b"From a@b Mon\nReceived: x\n\ty\nSubject: s\n\nhello", formats.EMAIL),
        ("note.txt", b"Subject: hello\n\nno mail at all", formats.TEXT),
        ("a.zip", archive("[Content_Types].xml", "word/document.xml"), formats.DOCX),
        ("a.docx", archive("ppt/presentation.xml"), formats.PPTX),
        ("a.xlsx", archive("xl/workbook.xml"), formats.XLSX),
        ("a.epub", archive("a.xhtml", mimetype="application/epub+zip"), formats.EPUB),
        ("a", archive("content.xml", mimetype=formats.ODT), formats.ODT),
    ],
)
def test_the_bytes_decide_before_the_name(key: str, data: bytes, media_type: str) -> None:
    assert formats.sniff(key, data) == media_type


@pytest.mark.parametrize(
    ("key", "data", "reason"),
    [
        ("a.html", b"", RejectionReason.EMPTY),
        ("a.pdf", b"\x00\x9a garbage", RejectionReason.CORRUPT),
        ("a.docx", b"PK\x03\x04 garbage", RejectionReason.CORRUPT),
        ("a.zip", archive("a.txt"), RejectionReason.UNSUPPORTED),
        ("a.png", b"\x89PNG\r\n\x1a\n\x00\x00", RejectionReason.UNSUPPORTED),
        ("a.html", b"\x89PNG\r\n\x1a\n\x00\x00", RejectionReason.UNDECODABLE),
        ("a.doc", bytes.fromhex("d0cf11e0a1b11ae1") + bytes(99), RejectionReason.UNSUPPORTED),
        (
            "a.docx",
            bytes.fromhex("d0cf11e0a1b11ae1") + "EncryptedPackage".encode("utf-16-le"),
            RejectionReason.ENCRYPTED,
        ),
    ],
)
def test_what_is_no_document_is_rejected(key: str, data: bytes, reason: RejectionReason) -> None:
    with pytest.raises(ParseError) as caught:
        formats.sniff(key, data)
    assert caught.value.reason is reason
    assert caught.value.message


def test_a_zip_bomb_is_rejected_by_its_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "UNPACKED_BYTES", 9)
    with pytest.raises(ParseError) as caught:
        formats.sniff("a.docx", archive("word/document.xml", "word/styles.xml", "word/x.xml"))
    assert caught.value.reason is RejectionReason.TOO_LARGE


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Grüße", "utf-8"),
        ("Grüße", "utf-8-sig"),
        ("Grüße", "utf-16"),
        ("Grüße aus Österreich", "cp1252"),
        ("Le café était fermé à cause de la grève générale. " * 5, "cp1252"),
        ("Съешь же ещё этих мягких французских булок. " * 5, "koi8-r"),
        ("これは日本語の文章です。漢字とかなが混ざっています。" * 5, "shift-jis"),
    ],
)
def test_text_is_decoded(text: str, encoding: str) -> None:
    assert formats.decode(text.encode(encoding)) == text


def test_markup_is_decoded_as_it_declares() -> None:
    markup = '<meta charset="iso-8859-2"><p>Zażółć gęślą jaźń'
    assert formats.decode(markup.encode("iso-8859-2"), markup=True) == markup


def test_a_few_broken_bytes_do_not_change_the_encoding() -> None:
    text = "Größe und Übermut in der Straße. " * 20
    assert formats.decode(text.encode() + b"\xff") == text + "\ufffd"


def test_bytes_that_are_no_text_are_undecodable() -> None:
    noise = bytes((7 * i * i + 31 * i) % 128 + 128 for i in range(4000))
    with pytest.raises(ParseError) as caught:
        formats.decode(noise)
    assert caught.value.reason is RejectionReason.UNDECODABLE
