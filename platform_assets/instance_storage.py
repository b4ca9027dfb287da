"""Dagster's SQLite storage with its connections kept open, for a process that runs many steps.

Here: the classes behind Dagster's own files, so that the command line shares them with the UI and
the daemon. Dagster opens a database anew for every event, and compiles every statement anew with
it, which takes longer than an asset that has nothing to do.
Not here: where the files lie, and any other kind of storage (dagster.yaml).
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import dagster as dg
import sqlalchemy as sa
from dagster._core.events.log import EventLogEntry
from dagster._core.instance.ref import InstanceRef
from dagster._core.storage.event_log.sqlite.sqlite_event_log import (
    INDEX_SHARD_NAME,
    SqliteEventLogStorage,
)
from dagster._core.storage.runs.sqlite.sqlite_run_storage import SqliteRunStorage
from dagster._core.storage.sqlite import create_db_conn_string
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._serdes import ConfigurableClassData

BUSY_SECONDS = 30
"""How long a write waits for another process's; as Dagster's own storages do."""


def open_with_kept_connections(home: Path) -> dg.DagsterInstance:
    """The instance whose dagster.yaml lies in `home`; another storage than SQLite is left as is."""
    ref = InstanceRef.from_dir(str(home))
    storage = ref.storage_data
    if storage is not None and storage.class_name == DagsterSqliteStorage.__name__:
        kept = ConfigurableClassData(__name__, KeptSqliteStorage.__name__, storage.config_yaml)
        ref = ref._replace(storage_data=kept)
    return dg.DagsterInstance.from_ref(ref)


class KeptRuns(SqliteRunStorage):
    """The runs, through one engine."""

    @cached_property
    def _engine(self) -> sa.Engine:
        return _engine(self._conn_string)

    @contextmanager
    def connect(self) -> Iterator[sa.Connection]:
        """A transaction."""
        with self._engine.begin() as connection:
            yield connection


class KeptEventLog(SqliteEventLogStorage):
    """The event log, through one engine for the index and one for the run that writes now."""

    def __init__(self, base_dir: str) -> None:
        self._engines: dict[str, sa.Engine] = {}
        self._blank: bytes | None = None
        super().__init__(base_dir)

    def store_event(self, event: EventLogEntry) -> None:
        """Store an event and tell watchers, who see no change while the log is kept open."""
        super().store_event(event)
        Path(self.path_for_shard(event.run_id)).touch()

    def dispose(self) -> None:
        """Close everything."""
        super().dispose()
        for engine in self._engines.values():
            engine.dispose()

    @contextmanager
    def _connect(self, shard: str) -> Iterator[sa.Connection]:
        with self._db_lock:
            engine = self._kept(shard)
            if shard not in self._initialized_dbs:
                self._initdb(engine)
                self._initialized_dbs.add(shard)
            with engine.begin() as connection:
                yield connection

    def _initdb(self, engine: sa.Engine, for_index_shard: bool = False) -> None:
        """Prepare a database; that of a new run is a copy of the last new one, before its events.

        Dagster would load its whole history of migrations for each.
        """
        path = Path(engine.url.database or "")
        new = not path.exists() and not for_index_shard
        if new and self._blank:
            draft = path.with_name(f"{path.name}.{os.getpid()}~")
            draft.write_bytes(self._blank)
            draft.replace(path)
            return
        super()._initdb(engine, for_index_shard)
        if new:
            with engine.connect() as connection:
                file = connection.connection.driver_connection
                assert file is not None
                self._blank = file.serialize()

    def _kept(self, shard: str) -> sa.Engine:
        if shard not in self._engines:
            for other in self._engines.keys() - {INDEX_SHARD_NAME}:
                self._engines.pop(other).dispose()
            self._engines[shard] = _engine(self.conn_string_for_shard(shard))
        return self._engines[shard]


class KeptSqliteStorage(DagsterSqliteStorage):
    """Dagster's default storage on the classes above."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(base_dir, inst_data)
        history = Path(base_dir) / "history"
        self._run_storage = KeptRuns(create_db_conn_string(str(history), "runs"))
        self._event_log_storage = KeptEventLog(str(history / "runs"))

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> Self:
        """The storage that an instance reference describes."""
        return cls(config_value["base_dir"], inst_data)


def _engine(url: str) -> sa.Engine:
    engine = sa.create_engine(url, connect_args={"timeout": BUSY_SECONDS})

    @sa.event.listens_for(engine, "connect")
    def _(connection: sa.PoolProxiedConnection, _: object) -> None:
        # The files are in WAL mode: this risks the last events on a power cut, not the file.
        connection.execute("PRAGMA synchronous = NORMAL")

    return engine
