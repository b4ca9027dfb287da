"""HTML becomes elements: every visible text of the main content once, under its headings."""

import pydoc
from importlib import import_module

import pytest
from selectolax.lexbor import LexborHTMLParser

from resources.parsing import ParsedDocument
from resources.parsing.formats import HTML
from resources.parsing.html import HtmlParser


def parse(markup: str) -> ParsedDocument:
    return HtmlParser(HTML).parse("a/page.html", markup.encode())


def brief(document: ParsedDocument) -> list[tuple[str, str]]:
    return [(element.type, element.text) for element in document.elements]


PAGE = """<!DOCTYPE html><html><head><title>moor &mdash; Harbour docs</title><style>p {}</style>
<script>var a = "<p>no</p>";</script></head><body><header>Site name</header>
<nav><a href="/">Home</a></nav>
<div role="main"><section>
<h1><code>moor</code> &#8212; Berths<a class="headerlink" href="#x">¶</a></h1>
<p>Ships arrive <em>at</em>
  dawn.<br>And leave at dusk.</p>
<aside class="sidebar"><p>See also the tower.</p></aside>
<h2>Calls</h2>
<dl class="py function"><dt><em>class</em> <code>Ship</code>(<em>name</em>, <em>size=1</em>)<a
class="headerlink" href="#y">¶</a></dt><dd><p>A vessel.</p><pre>
ship = Ship("a")

    ship.moor()
</pre></dd></dl>
<ul><li>one<ul><li><p>inner</p></li></ul>rest of one</li><li>two</li></ul>
<h2>Fees</h2>
<table><caption>In crowns</caption><tr><th><p>Vessel</p></th><th><p>Fee</p></th><th></th></tr>
<tr><td><p>Dinghy</p></td><td><p>5</p><p>or 6</p></td><td></td></tr></table>
loose text<div>a box</div>
</section></div><footer>Copyright</footer></body></html>"""


def test_a_page() -> None:
    document = parse(PAGE)
    assert document.title == "moor — Berths"
    assert document.media_type == "text/html"
    assert brief(document) == [
        ("title", "moor — Berths"),
        ("paragraph", "Ships arrive at dawn.\nAnd leave at dusk."),
        ("paragraph", "See also the tower."),
        ("title", "Calls"),
        ("list_item", "class Ship(name, size=1)"),
        ("paragraph", "A vessel."),
        ("code", 'ship = Ship("a")\n\n    ship.moor()'),
        ("list_item", "one"),
        ("list_item", "inner"),
        ("list_item", "rest of one"),
        ("list_item", "two"),
        ("title", "Fees"),
        ("paragraph", "In crowns"),
        ("table", "Vessel | Fee"),
        ("table", "Dinghy | 5 or 6"),
        ("paragraph", "loose text"),
        ("paragraph", "a box"),
    ]


def test_headings_make_the_path() -> None:
    document = parse("<p>x<h1>A</h1><h3>B</h3><p>y<h2>C</h2><p>z<h1>D</h1><p>w")
    paths = {element.text: element.heading_path for element in document.elements}
    assert paths == {
        "x": (),
        "A": ("A",),
        "B": ("A", "B"),
        "y": ("A", "B"),
        "C": ("A", "C"),
        "z": ("A", "C"),
        "D": ("D",),
        "w": ("D",),
    }


def test_a_page_without_main_loses_its_frame_only() -> None:
    document = parse(
        "<title>T</title><body><header>site</header><article><header><p>by me</header>"
        "<p>text</article><footer>end</footer>"
    )
    assert document.title == "T"
    assert brief(document) == [("paragraph", "by me"), ("paragraph", "text")]


def test_two_line_breaks_end_a_paragraph() -> None:
    assert brief(parse("<body>one<br>two<br> <br>three")) == [
        ("paragraph", "one\ntwo"),
        ("paragraph", "three"),
    ]


def test_a_layout_table_is_no_data() -> None:
    document = parse("<table><tr><td>menu</td><td><h2>H</h2><table><tr><td>1<td>2</table></table>")
    assert brief(document) == [("paragraph", "menu"), ("title", "H"), ("table", "1 | 2")]


def test_nul_bytes_do_not_look_like_marks() -> None:
    assert parse("<p>a&#0;h1&#0;b<p>c\0/p\0").elements[-1].heading_path == ()


def test_deep_nesting_is_no_trouble() -> None:
    document = parse("<div>" * 5000 + "x" + "</div>" * 5000 + "y")
    assert brief(document) == [("paragraph", "x"), ("paragraph", "y")]


def test_a_page_without_heading_or_title_is_called_by_its_name() -> None:
    assert parse("<p>x").title == "page"


@pytest.mark.parametrize("name", ["json", "argparse", "email.message", "sqlite3"])
def test_no_visible_text_is_lost_or_doubled(name: str) -> None:
    module = import_module(name)
    markup = pydoc.HTMLDoc().page(name, pydoc.HTMLDoc().document(module))
    body = LexborHTMLParser(markup).body
    assert body is not None
    document = parse(markup)
    assert len(document.elements) > 50
    assert _letters(*(element.text for element in document.elements)) == _letters(body.text())


def _letters(*texts: str) -> str:
    """All text without space, and without the bars between the cells of a row."""
    return "".join("".join(texts).replace("|", "").split())
