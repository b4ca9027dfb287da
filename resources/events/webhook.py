"""Notices that came by webhook, in a durable queue: one SQLite file under LAKELOOM_HOME.

Here: the queue, which the receiver's process writes and the sensor's reads. A name has at most one
row, and a corpus of which many objects are named has one for all of it, so a flood of notices takes
little room, and neither order nor repetition means anything. Not here: HTTP (receiver.py).
"""

import sqlite3
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from resources.events import MOST_KEYS, Batch, by_corpus, names_of

PATIENCE_SECONDS = 30
"""How long another process's transaction is waited for."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS names (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    corpus TEXT NOT NULL,
    name TEXT NOT NULL UNIQUE,
    handed_out INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS names_by_corpus ON names (corpus)"""


class WebhookQueue:
    """The queue. Safe for many threads and processes of one machine."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._database = sqlite3.connect(
            path, timeout=PATIENCE_SECONDS, isolation_level=None, check_same_thread=False
        )
        self._database.execute("PRAGMA journal_mode=WAL")
        # In this mode a commit is synced to the disk before anybody can read it.
        self._database.execute("PRAGMA synchronous=FULL")
        self._database.executescript(_SCHEMA)

    def put(self, names: Collection[str]) -> None:
        """Have what is named looked at; on the disk when this returns.

        A row that nobody has taken yet says it already: then nothing is written. A row that was
        handed out gives way to a new one, since the sensor may have looked before.

        Raises:
            OSError: the file cannot be written.
        """
        if not names:
            return
        with self._lock, self._transaction():
            for corpus, keys in by_corpus(names).items():
                self._put(corpus, set(names_of(corpus, keys)))

    def _put(self, corpus: str, names: set[str]) -> None:
        whole = f"{corpus}/"
        query = "SELECT name, handed_out FROM names WHERE corpus = ?"
        rows = dict(self._database.execute(query, (corpus,)).fetchall())
        waiting = {name for name, handed_out in rows.items() if not handed_out}
        new = names - waiting
        if whole in waiting or not new:
            return
        replaced = rows.keys() & new
        if whole in new or len(rows.keys() | new) > MOST_KEYS:
            replaced, new = set(rows), {whole}
        self._database.executemany("DELETE FROM names WHERE name = ?", [(x,) for x in replaced])
        inserted = [(corpus, name) for name in sorted(new)]
        self._database.executemany("INSERT INTO names (corpus, name) VALUES (?, ?)", inserted)

    def receive(self) -> Batch:
        """Everything that waits, handed out before or not."""
        with self._lock, self._transaction():
            rows = self._database.execute("SELECT sequence, name FROM names").fetchall()
            if not rows:
                return Batch()
            self._database.execute("UPDATE names SET handed_out = 1 WHERE NOT handed_out")
        last = max(sequence for sequence, _ in rows)
        return Batch(frozenset(name for _, name in rows), str(last))

    def acknowledge(self, receipt: str) -> None:
        """Forget what was handed out up to a receipt."""
        if not receipt:
            return
        with self._lock, self._transaction():
            self._database.execute(
                "DELETE FROM names WHERE handed_out AND sequence <= ?", (int(receipt),)
            )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            self._database.execute("BEGIN IMMEDIATE")
            with self._database:  # commits, or rolls back
                yield
        except sqlite3.OperationalError as error:
            raise OSError(f"the queue of notices cannot be used: {error}") from error
