"""The outline of a document while it is read: elements in order, under the headings above them.

Here: `Outline`, which every parser fills. Not here: anything that knows a file format.
"""

from bisect import bisect_left
from pathlib import PurePosixPath

from resources.parsing import Element, ParsedDocument


class Outline:
    """Collects the elements of one document in reading order."""

    def __init__(self) -> None:
        self.elements: list[Element] = []
        self.page: int | None = None
        """The one-based page that the next elements stand on."""
        self._levels: list[int] = []
        self._path: tuple[str, ...] = ()

    def section(self, name: str, level: int) -> None:
        """Open a section that no line of text names (a sheet, a bookmark); see `heading`."""
        name = " ".join(_encodable(name).split())
        if name:
            depth = bisect_left(self._levels, level)
            self._levels[depth:] = [level]
            self._path = (*self._path[:depth], name)

    def heading(self, text: str, level: int) -> None:
        """Open a section and append its title; smaller levels are outer ones."""
        if text and not text.isspace():
            self.section(text, level)
            self.elements.append(Element("title", self._path[-1], self.page, self._path))

    def add(self, kind: str, text: str) -> None:
        """Append an element of type `kind`; blank text adds nothing."""
        text = _encodable(text)
        if text and not text.isspace():
            self.elements.append(Element(kind, text, self.page, self._path))

    def document(self, key: str, media_type: str, parser: str, title: str = "") -> ParsedDocument:
        """The document read so far; its title is `title`, or its first heading, or its name."""
        headings = (element.text for element in self.elements if element.type == "title")
        name = " ".join(_encodable(title).split()) or next(headings, PurePosixPath(key).stem)
        return ParsedDocument(name, media_type, parser, tuple(self.elements))


def _encodable(text: str) -> str:
    """`?` for lone surrogates (from JSON escapes, mail headers), which have no UTF-8 form."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
