"""The parser for every format: sniff, then hand over to the parser of that format.

Here: the registry of formats. Not here: guarding (pool.py), or how any format is read.
"""

from functools import cache
from importlib import import_module

from resources.parsing import ParsedDocument, ParseError, Parser, RejectionReason, formats

_MODULE = "resources.parsing"
_PARSERS = {
    formats.PDF: "pdf:PdfParser",
    formats.HTML: "html:HtmlParser",
    formats.MARKDOWN: "text:MarkdownParser",
    formats.RST: "text:RstParser",
    formats.TEXT: "text:TextParser",
    formats.EMAIL: "mail:MailParser",
    formats.CSV: "data:CsvParser",
    formats.JSON: "data:JsonParser",
    formats.JSON_LINES: "data:JsonParser",
    formats.DOCX: "rich:RichParser",
    formats.PPTX: "rich:RichParser",
    formats.XLSX: "rich:RichParser",
    formats.EPUB: "rich:RichParser",
    formats.ODT: "rich:RichParser",
    formats.RTF: "rich:RichParser",
}


class FormatParser:
    """Parses a document of any known format; implements `Parser`."""

    def parse(self, key: str, data: bytes) -> ParsedDocument:
        """Parse one document; one without any text is rejected as NO_TEXT."""
        media_type = formats.sniff(key, data)
        document = _parser(media_type).parse(key, data)
        if not document.elements:
            raise ParseError(RejectionReason.NO_TEXT, f"no text in this {media_type} document")
        return document


@cache
def _parser(media_type: str) -> Parser:
    module, _, name = _PARSERS[media_type].partition(":")
    parser: Parser = getattr(import_module(f"{_MODULE}.{module}"), name)(media_type)
    return parser
