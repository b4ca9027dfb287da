"""Cleaning: what the search found in places that can be made again, or that only log.

Here: caches, unfinished trainings, Dagster's own history and logs, free pages of SQLite.
Not here: tables, indexes and objects, which an erasure removes whether or not it finds them.
"""

import shutil
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from platform_assets.erasure.forms import columns_of, form_of
from platform_assets.erasure.passages import Passages
from platform_assets.erasure.search import Find

BUSY_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Cleaner:
    """Removes or rewrites files of ours that hold an erased text."""

    cache: Path
    """Folder of what can be made again."""
    trainings: Path
    """Folder of unfinished trainings, asset/recipe; each goes whole."""
    dagster: Path
    """Dagster's home."""
    forget_run: Callable[[str], None]
    """Removes a run from Dagster's history."""
    passages: Passages

    def clean(self, finds: Iterable[Find]) -> list[str]:
        """Do what can be done about finds; returns the files, or folders, that were dealt with."""
        paths = sorted({Path(find.item) for find in finds})
        return sorted({str(done) for path in paths if (done := self._cleaned(path))})

    def _cleaned(self, path: Path) -> Path | None:
        if not path.is_file():
            return None
        if path.is_relative_to(self.trainings):
            folder = self.trainings.joinpath(*path.relative_to(self.trainings).parts[:2])
            shutil.rmtree(folder, ignore_errors=True)
            return folder
        if path.is_relative_to(self.cache):
            path.unlink()
            return self.cache / path.relative_to(self.cache).parts[0]  # its name may be a key
        database = path.with_name(path.name.removesuffix("-wal"))
        if _is_sqlite(database):
            self._rewrite(database)
            return database
        if path.is_relative_to(self.dagster / "storage"):
            path.unlink()
            return path
        return None

    def _rewrite(self, database: Path) -> None:
        """Forget the runs whose rows hold the text, then free no page without emptying it."""
        for run_id in self._runs(database):
            self.forget_run(run_id)
        with closing(sqlite3.connect(database, BUSY_SECONDS, isolation_level=None)) as connection:
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _runs(self, database: Path) -> set[str]:
        """Ids of Dagster's runs in rows that hold a passage."""
        if not database.is_relative_to(self.dagster):
            return set()
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
            columns = columns_of(connection)
            tables = {table for table, column in columns if column == "run_id"}
            pairs = [(table, column) for table, column in columns if table in tables]
            return {run for pair in pairs for run in self._runs_in(connection, *pair)}

    def _runs_in(self, database: sqlite3.Connection, table: str, column: str) -> Iterator[str]:
        query = f'SELECT run_id, "{column}" FROM "{table}" WHERE run_id IS NOT NULL'  # noqa: S608
        for run_id, value in database.execute(query):
            if isinstance(value, str) and len(self.passages.found(value.encode())):
                yield run_id


def _is_sqlite(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return form_of(file.read(16)) == "sqlite"
    except FileNotFoundError:
        return False
