"""HTML by selectolax: the main content of a page as elements.

Here: reading markup into an `Outline`, which Markdown, reStructuredText, mail and the tables of
office files use as well. Not here: how the bytes become text (formats.py).

The tree becomes one flat string, in C: a mark between NULs (which no parsed page can hold) stands
before and after each block, and the text of the whole tree is then split at the marks. So Python
works once a block, not once a node, and each piece of text falls into exactly one block, the
innermost around it.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from resources.parsing import ParsedDocument
from resources.parsing.formats import decode
from resources.parsing.outline import Outline

if TYPE_CHECKING:
    from selectolax.lexbor import LexborHTMLParser, LexborNode

_NOISE = (
    "script, style, noscript, template, svg, iframe, object, nav, button, select, datalist, "
    "[hidden], [role=navigation], [role=search], a.headerlink, a.hash-link, td.linenos, "
    ".sphinxsidebar, .system-message > p"
)
_PAGE_FRAME = "header, footer, aside"
_HEADINGS = "h1, h2, h3, h4, h5, h6"
_DATA_TABLES = f"table:not(:has(table, pre, dl, {_HEADINGS}))"
_BREAKS_IN_CELLS = "td p, td div, td li, td br, th p, th div, th li, th br"
_BREAKS_IN_LINES = "pre br, h1 br, h2 br, h3 br, h4 br, h5 br, h6 br"
_FLOW = (
    "p, li, dt, dd, div, section, article, main, header, footer, aside, blockquote, figure, "
    "figcaption, details, summary, address, fieldset, legend, form, table, caption, tr, td, th, "
    "ul, ol, dl, center, hr"
)
_KINDS = {
    "li": "list_item",
    "dt": "list_item",
    "dd": "paragraph",
    "pre": "code",
    "row": "table",
    **{f"h{level}": f"h{level}" for level in range(1, 7)},
}


@dataclass(frozen=True)
class HtmlParser:
    """Parses an HTML page."""

    media_type: str

    def parse(self, key: str, data: bytes) -> ParsedDocument:
        """Parse one page; see `Parser`."""
        outline = Outline()
        title = read_html(decode(data, markup=True), outline)
        return outline.document(key, self.media_type, "selectolax", title)


def read_html(markup: str, outline: Outline) -> str:
    """Read the main content of a page into the outline.

    Returns:
        The page's title: its `<h1>`, or else its `<title>`, or else nothing.
    """
    from selectolax.lexbor import LexborHTMLParser

    tree = LexborHTMLParser(markup)
    for node in tree.css(_NOISE):
        node.decompose()
    root = _main_content(tree)
    title = root.css_first("h1") or tree.css_first("head > title")
    name = title.text() if title else ""
    _mark_blocks(root)
    _read_marked(root.text(), outline)
    return name


def _main_content(tree: "LexborHTMLParser") -> "LexborNode":
    """The page's one main element, or else its body without what frames the content."""
    main = tree.css("main, [role=main]")
    if len(main) == 1 and main[0].text().strip():
        return main[0]
    body = tree.body
    assert body is not None, "the HTML parsing algorithm always makes a body"
    inside_articles = {node.mem_id for node in body.css("article :is(header, footer, aside)")}
    for node in body.css(_PAGE_FRAME):
        if node.mem_id not in inside_articles:
            node.decompose()
    return body


def _mark_blocks(root: "LexborNode") -> None:
    """Put marks around blocks; rows, code and headings become plain text between marks first."""
    for node in root.css(_BREAKS_IN_CELLS):
        node.insert_before(" ")
    for node in root.css(_BREAKS_IN_LINES):
        node.insert_before("\n")
    for table in root.css(_DATA_TABLES):
        for row in table.css("tr"):
            cells = (" ".join(cell.text().split()) for cell in row.css("td, th"))
            row.replace_with(_marked("row", " | ".join(filter(None, cells))))
    for node in root.css("pre"):
        node.replace_with(_marked("pre", node.text()))
    for node in root.css(_HEADINGS):
        node.replace_with(_marked(node.tag or "h6", node.text()))
    for node in root.css("br"):
        node.insert_before("\0br\0")
    for node in root.css(_FLOW):
        tag = node.tag
        node.insert_before(f"\0{tag}\0")
        node.insert_after(f"\0/{tag}\0")


def _marked(tag: str, text: str) -> str:
    return f"\0{tag}\0{text}\0/{tag}\0"


def _read_marked(text: str, outline: Outline) -> None:
    pieces = text.split("\0")
    kinds = ["paragraph"]
    lines = [pieces[0]]
    for mark, piece in zip(pieces[1::2], pieces[2::2], strict=True):
        if mark == "br" and (len(lines) == 1 or not lines[-1].isspace()):
            lines.append(piece)
            continue
        _close_block(kinds[-1], lines, outline)
        lines = [piece]
        if mark.startswith("/"):
            kinds.pop()
        elif mark != "br":
            kinds.append(_KINDS.get(mark) or _inherited(kinds[-1]))
    _close_block("paragraph", lines, outline)


def _inherited(kind: str) -> str:
    """A paragraph or a box in a list item is part of the list; elsewhere it is a paragraph."""
    return kind if kind == "list_item" else "paragraph"


def _close_block(kind: str, lines: list[str], outline: Outline) -> None:
    if len(lines) == 1 and (not lines[0] or lines[0].isspace()):
        return
    if kind == "code":
        outline.add(kind, "\n".join(lines).strip("\n").rstrip())
        return
    text = "\n".join(filter(None, (" ".join(line.split()) for line in lines)))
    if kind[0] == "h":
        outline.heading(text, int(kind[1]))
    else:
        outline.add(kind, text)
