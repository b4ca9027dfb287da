"""Notices that came by webhook, in a durable queue: one SQLite file under LAKELOOM_HOME.

Here: the queue, which the receiver's process writes and the sensor's reads. A corpus has at most
one row, so a flood of notices takes no more room than one, and neither order nor repetition means
anything. Not here: HTTP (receiver.py).
"""

import sqlite3
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from resources.events import Batch

PATIENCE_SECONDS = 30
"""How long another process's transaction is waited for."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS notices (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    corpus TEXT NOT NULL UNIQUE,
    handed_out INTEGER NOT NULL DEFAULT 0
)"""


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
        self._database.execute(_SCHEMA)

    def put(self, corpora: Collection[str]) -> None:
        """Have corpora looked at; on the disk when this returns.

        A row that nobody has taken yet says it already: then nothing is written. A row that was
        handed out gives way to a new one, since the sensor may have looked before.

        Raises:
            OSError: the file cannot be written.
        """
        with self._lock:
            if not (new := [corpus for corpus in corpora if not self._waits(corpus)]):
                return
            with self._transaction():
                rows = [(corpus,) for corpus in new]
                self._database.executemany(
                    "DELETE FROM notices WHERE corpus = ? AND handed_out", rows
                )
                self._database.executemany(
                    "INSERT INTO notices (corpus) VALUES (?) ON CONFLICT (corpus) DO NOTHING", rows
                )

    def receive(self) -> Batch:
        """Every corpus that waits, handed out before or not."""
        with self._lock, self._transaction():
            rows = self._database.execute("SELECT sequence, corpus FROM notices").fetchall()
            if not rows:
                return Batch()
            self._database.execute("UPDATE notices SET handed_out = 1 WHERE NOT handed_out")
        last = max(sequence for sequence, _ in rows)
        return Batch(frozenset(corpus for _, corpus in rows), str(last))

    def acknowledge(self, receipt: str) -> None:
        """Forget what was handed out up to a receipt."""
        if not receipt:
            return
        with self._lock, self._transaction():
            self._database.execute(
                "DELETE FROM notices WHERE handed_out AND sequence <= ?", (int(receipt),)
            )

    def _waits(self, corpus: str) -> bool:
        query = "SELECT 1 FROM notices WHERE corpus = ? AND NOT handed_out"
        return self._database.execute(query, (corpus,)).fetchone() is not None

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            self._database.execute("BEGIN IMMEDIATE")
            with self._database:  # commits, or rolls back
                yield
        except sqlite3.OperationalError as error:
            raise OSError(f"the queue of notices cannot be used: {error}") from error
