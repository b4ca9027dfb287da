"""What a document is: its media type by its bytes and its name, and its text by its encoding.

Here: sniffing, decoding and the bound on what an archive may unpack to. Not here: parsing.
"""

import codecs
import mimetypes
import re
import zipfile
from contextlib import suppress
from io import BytesIO
from pathlib import PurePosixPath

from resources.parsing import ParseError, RejectionReason

PDF = "application/pdf"
HTML = "text/html"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
PPTX = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
EPUB = "application/epub+zip"
ODT = "application/vnd.oasis.opendocument.text"
RTF = "application/rtf"
MARKDOWN = "text/markdown"
RST = "text/x-rst"
TEXT = "text/plain"
EMAIL = "message/rfc822"
CSV = "text/csv"
JSON = "application/json"
JSON_LINES = "application/jsonl"

UNPACKED_BYTES = 500_000_000
"""Bound on the uncompressed size that the directory of a zip archive states."""

_BY_EXTENSION = {
    ".pdf": PDF,
    ".docx": DOCX,
    ".pptx": PPTX,
    ".xlsx": XLSX,
    ".epub": EPUB,
    ".odt": ODT,
    ".rtf": RTF,
    ".html": HTML,
    ".htm": HTML,
    ".xhtml": HTML,
    ".md": MARKDOWN,
    ".markdown": MARKDOWN,
    ".rst": RST,
    ".eml": EMAIL,
    ".csv": CSV,
    ".tsv": CSV,
    ".json": JSON,
    ".jsonl": JSON_LINES,
    ".ndjson": JSON_LINES,
}
_BINARY = {PDF, DOCX, PPTX, XLSX, EPUB, ODT}
_ARCHIVE_PARTS = {"word/document.xml": DOCX, "ppt/presentation.xml": PPTX, "xl/workbook.xml": XLSX}
_ARCHIVE_MIMETYPES = {EPUB, ODT}
_OLE = bytes.fromhex("d0cf11e0a1b11ae1")
_ENCRYPTED_PACKAGE = "EncryptedPackage".encode("utf-16-le")
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_HTML_START = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*>\s*|<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body)\b",
    re.IGNORECASE | re.DOTALL,
)
_MAIL_START = re.compile(
    rb"(?:From \S+[^\n]*\n)?(?:[!-9;-~]+:[^\n]*\n(?:[ \t][^\n]*\n)*)*?"
    rb"(?:Received|Message-ID|MIME-Version|Return-Path):\s",
    re.IGNORECASE,
)
_DECLARED = re.compile(rb"""(?:charset|encoding)\s*=\s*["']?\s*([\w.:-]+)""", re.IGNORECASE)
_LEGACY_ENCODINGS = [
    *("cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "koi8_r"),
    *("cp932", "euc_jp", "gb18030", "big5", "euc_kr"),
]
"""Those of web browsers: among all that exist, rare ones win on short texts by chance."""
_CONTROLS = bytes(set(range(32)) - set(b"\t\n\v\f\r\x1b"))
_SAMPLE_BYTES = 65_536


def sniff(key: str, data: bytes) -> str:
    """Media type of a document: what its bytes say first, then what its extension says.

    Raises:
        ParseError: EMPTY, ENCRYPTED, UNSUPPORTED, TOO_LARGE (an archive that unpacks to more than
            `UNPACKED_BYTES`), or CORRUPT for binary data that is not what its name says.
    """
    if not data:
        raise ParseError(RejectionReason.EMPTY, "the file has no bytes")
    if b"%PDF-" in data[:1024]:
        return PDF
    if data.startswith(b"PK\x03\x04"):
        return _archive_type(data)
    if data.startswith(b"{\\rtf"):
        return RTF
    named = _BY_EXTENSION.get(PurePosixPath(key).suffix.lower(), TEXT)
    if _is_binary(data):
        raise _binary_error(key, named, data)
    return _text_type(named, data)


def decode(data: bytes, *, markup: bool = False) -> str:
    """Text of a document: by its byte order mark, its declaration (markup only), UTF-8, a guess.

    Raises:
        ParseError: UNDECODABLE where none of these reads as text.
    """
    for encoding in _stated_encodings(data, markup=markup):
        with suppress(UnicodeDecodeError, LookupError):
            return data.decode(encoding)
    guess = None if _is_binary(data) else _guess(data)
    if guess is None:
        raise ParseError(
            RejectionReason.UNDECODABLE, "the bytes are text in no known encoding; save it as UTF-8"
        )
    return data.decode(guess, "replace")


def _text_type(named: str, data: bytes) -> str:
    if _HTML_START.match(data[:4096]):
        return HTML
    if named == TEXT and _MAIL_START.match(data[:8192]):
        return EMAIL
    return TEXT if named in _BINARY or named == RTF else named


def _archive_type(data: bytes) -> str:
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            entries = {entry.filename: entry for entry in archive.infolist()}
            unpacked = sum(entry.file_size for entry in entries.values())
            if unpacked > UNPACKED_BYTES:
                raise ParseError(
                    RejectionReason.TOO_LARGE,
                    f"it unpacks to {unpacked:,} bytes, more than {UNPACKED_BYTES:,}",
                )
            mimetype = archive.read("mimetype") if "mimetype" in entries else b""
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError) as error:
        raise ParseError(RejectionReason.CORRUPT, f"a broken zip archive: {error}") from error
    for part, media_type in _ARCHIVE_PARTS.items():
        if part in entries:
            return media_type
    stated = mimetype.strip().decode("ascii", "replace")
    if stated in _ARCHIVE_MIMETYPES:
        return stated
    raise ParseError(
        RejectionReason.UNSUPPORTED, "a zip archive that is no document; unpack it first"
    )


def _is_binary(data: bytes) -> bool:
    sample = data[:_SAMPLE_BYTES]
    if sample.startswith(tuple(bom for bom, _ in _BOMS)):
        return False
    controls = len(sample) - len(sample.translate(None, _CONTROLS))
    return b"\0" in sample or controls > len(sample) // 100


def _binary_error(key: str, named: str, data: bytes) -> ParseError:
    if data.startswith(_OLE):
        if _ENCRYPTED_PACKAGE in data:
            return ParseError(
                RejectionReason.ENCRYPTED, "an Office file with a password; save it without one"
            )
        return ParseError(
            RejectionReason.UNSUPPORTED, "an Office file of before 2007; save it as .docx or .pdf"
        )
    if named in _BINARY or named == RTF:
        return ParseError(RejectionReason.CORRUPT, f"the bytes are not {named}")
    kind, _ = mimetypes.guess_type(key)
    if kind and not kind.startswith("text/"):
        return ParseError(RejectionReason.UNSUPPORTED, f"{kind} holds no text that can be parsed")
    return ParseError(RejectionReason.UNDECODABLE, "the bytes are binary data, not text")


def _stated_encodings(data: bytes, *, markup: bool) -> list[str]:
    for bom, encoding in _BOMS:
        if data.startswith(bom):
            return [encoding]
    declared = _DECLARED.findall(data[:4096]) if markup else []
    return [*(name.decode("ascii") for name in declared[:1]), "utf-8"]


def _guess(data: bytes) -> str | None:
    """UTF-8 with a few broken bytes stays UTF-8; other text gets the likeliest legacy encoding."""
    sample = data[:_SAMPLE_BYTES]
    text = sample.decode("utf-8", "replace")
    foreign, broken = sum(not character.isascii() for character in text), text.count("\ufffd")
    if foreign > 10 * broken:
        return "utf-8"
    from charset_normalizer import from_bytes

    best = from_bytes(sample, cp_isolation=_LEGACY_ENCODINGS).best()
    if best:
        return best.encoding
    return "cp1252" if len(sample) > 3 * foreign else None
