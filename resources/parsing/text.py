"""Plain text, Markdown and reStructuredText.

Here: paragraphs of plain text, and the two markup languages by way of the HTML that markdown-it-py
and docutils make of them. Not here: mail, tables and data (mail.py, data.py).
"""

import re
import sys
from dataclasses import dataclass

from resources.parsing import ParsedDocument
from resources.parsing.formats import decode
from resources.parsing.html import read_html
from resources.parsing.outline import Outline

_BLANK_LINES = re.compile(r"\n[^\S\n]*\n\s*")
_FRONT_MATTER = re.compile(r"\A---[^\S\n]*\n(.*?)\n---[^\S\n]*(?:\n|\Z)", re.DOTALL)
_NESTING = 100
"""Levels of blocks; markdown-it drops what stands deeper."""
_DOCUTILS_SETTINGS = {
    "_disable_config": True,
    "embed_stylesheet": False,
    "file_insertion_enabled": False,
    "halt_level": 5,
    "line_length_limit": sys.maxsize,
    "report_level": 3,
    "stylesheet_path": "",
    "syntax_highlight": "none",
    "warning_stream": False,
}


@dataclass(frozen=True)
class TextParser:
    """Parses plain text: a paragraph ends at a blank line."""

    media_type: str

    def parse(self, key: str, data: bytes) -> ParsedDocument:
        """Parse one text file; see `Parser`."""
        outline = Outline()
        read_text(decode(data), outline)
        return outline.document(key, self.media_type, "text")


@dataclass(frozen=True)
class MarkdownParser:
    """Parses CommonMark with tables; YAML front matter is kept as code."""

    media_type: str

    def parse(self, key: str, data: bytes) -> ParsedDocument:
        """Parse one Markdown file; see `Parser`."""
        from markdown_it import MarkdownIt

        source = _FRONT_MATTER.sub(r"~~~~yaml\n\1\n~~~~\n", decode(data).replace("\r\n", "\n"))
        outline = Outline()
        renderer = MarkdownIt("commonmark", {"maxNesting": _NESTING}).enable(
            ["table", "strikethrough"]
        )
        title = read_html(renderer.render(source), outline)
        return outline.document(key, self.media_type, "markdown-it-py", title)


@dataclass(frozen=True)
class RstParser:
    """Parses reStructuredText; directives that docutils does not know are kept as code."""

    media_type: str

    def parse(self, key: str, data: bytes) -> ParsedDocument:
        """Parse one reStructuredText file; see `Parser`."""
        from docutils.core import publish_parts

        parts = publish_parts(decode(data), writer="html5", settings_overrides=_DOCUTILS_SETTINGS)
        outline = Outline()
        title = read_html(str(parts["html_body"]), outline)
        return outline.document(key, self.media_type, "docutils", title)


def read_text(text: str, outline: Outline) -> None:
    """Read plain text into the outline, a paragraph for each run of lines without a blank one."""
    for paragraph in _BLANK_LINES.split(text.replace("\r\n", "\n")):
        outline.add("paragraph", paragraph.strip())
