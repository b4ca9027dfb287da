"""What other engines should find in the tables: a small corpus in a real REST catalog."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from platform_assets.chunks.table import CHUNKS
from platform_assets.documents.table import DOCUMENTS
from platform_assets.embeddings.table import EMBEDDINGS
from tests.catalogs import catalog_env
from tests.spies import Platform

CORPUS = "harbour"
TABLES = (DOCUMENTS, CHUNKS, EMBEDDINGS)


@contextmanager
def harbour(request: pytest.FixtureRequest, folder: Path) -> Iterator[Platform]:
    """A platform on S3 and REST whose embeddings were edited once after they were made."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in catalog_env("rest", request).items():
            patch.setenv(name, value)
        platform = Platform(folder, patch)
        for number in range(4):
            platform.write(CORPUS, f"{number}.md", f"# Basin {number}\n\nIt is {number} deep.")
        platform.materialize(CORPUS, select="+key:embeddings")
        platform.write(CORPUS, "0.md", "# Basin 0\n\nIt is dry.\n\n# Basin 5\n\nIt is wide.")
        platform.materialize(CORPUS, select="+key:embeddings")
        yield platform


def counts(platform: Platform) -> dict[str, int]:
    """Rows of each table as we count them."""
    return {table.name: len(platform.rows(table, corpus=CORPUS)) for table in TABLES}


def texts(platform: Platform) -> list[tuple[str, str]]:
    """Key and text of every chunk, sorted."""
    rows: list[dict[str, Any]] = platform.rows(CHUNKS, corpus=CORPUS)
    return sorted((row["key"], row["text"]) for row in rows)
