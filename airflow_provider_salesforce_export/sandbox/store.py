"""The org's records, in SQLite: many readers at once, one writer."""

from __future__ import annotations

import sqlite3
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_salesforce_export.sandbox.ids import next_id
from airflow_provider_salesforce_export.sandbox.writing import java_double

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from airflow_provider_salesforce_export.sandbox.schema import Field, SObject

_COLUMN_TYPES = {
    "boolean": "INTEGER",
    "int": "INTEGER",
    "long": "INTEGER",
    "double": "REAL",
    "currency": "REAL",
    "percent": "REAL",
}


class Store:
    """
    One table per object, in a file that goes with the store.

    Row numbers follow the order in which records were loaded or inserted; they are not the order of the Ids.

    :param objects: The objects.
    """

    def __init__(self, objects: tuple[SObject, ...]) -> None:
        self.objects = objects
        self._folder = tempfile.TemporaryDirectory(prefix="salesforce-sandbox-")
        self._path = Path(self._folder.name, "org.sqlite")
        self._writing = threading.RLock()
        self._idle: list[sqlite3.Connection] = []
        self._all: list[sqlite3.Connection] = []
        self._last_ids: dict[str, str] = {}
        with self._connection() as connection:
            connection.execute("PRAGMA journal_mode = OFF")
            for sobject in objects:
                connection.execute(f'CREATE TABLE "{sobject.name}" ({", ".join(_columns(sobject))})')

    def load(self, sobject: SObject, columns: list[str], rows: Iterable[tuple[Any, ...]], last_id: str) -> None:
        """
        Fill an object's table.

        :param sobject: The object.
        :param columns: Names of the values in a row.
        :param rows: The rows, in the order that queries without ORDER BY answer.
        :param last_id: The greatest Id among them: new records get those after it.
        """
        self._last_ids[sobject.name] = last_id
        with self._connection() as connection:
            connection.execute("BEGIN")
            connection.executemany(_insert(sobject.name, columns), rows)
            connection.execute("COMMIT")

    def finish_loading(self) -> None:
        """Build the indexes, and let readers and a writer work side by side from here on."""
        with self._connection() as connection:
            for sobject in self.objects:
                name = sobject.name
                connection.execute(f'CREATE INDEX "{name}_id" ON "{name}" (Id, IsDeleted)')
                connection.execute(f'CREATE INDEX "{name}_stamp" ON "{name}" (SystemModstamp, Id, IsDeleted)')
            connection.execute("ANALYZE")
            connection.execute("PRAGMA journal_mode = WAL")

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Give a connection on which all reads see the same state."""
        with self._connection() as connection, _transaction(connection, "BEGIN"):
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Give a connection on which to change something, all or nothing."""
        with self._writing, self._connection() as connection, _transaction(connection, "BEGIN IMMEDIATE"):
            yield connection

    def insert(self, sobject: str, values: dict[str, Any]) -> str:
        """
        Insert a record and return its Id.

        :param sobject: Name of the object.
        :param values: Its values by column; without Id it gets the next one.
        """
        with self.writing() as connection:
            if "Id" not in values:
                self._last_ids[sobject] = next_id(self._last_ids[sobject])
                values = {"Id": self._last_ids[sobject], **values}
            connection.execute(_insert(sobject, list(values)), tuple(values.values()))
        return str(values["Id"])

    def update(self, sobject: str, record_id: str, values: dict[str, Any]) -> None:
        """
        Change a record.

        :param sobject: Name of the object.
        :param record_id: Its Id, 18 characters.
        :param values: New values by column.
        """
        changes = ", ".join(f'"{name}" = ?' for name in values)
        with self.writing() as connection:
            connection.execute(f'UPDATE "{sobject}" SET {changes} WHERE Id = ?', (*values.values(), record_id))

    def remove(self, sobject: str, record_id: str) -> None:
        """
        Remove a record for good.

        :param sobject: Name of the object.
        :param record_id: Its Id, 18 characters.
        """
        with self.writing() as connection:
            connection.execute(f'DELETE FROM "{sobject}" WHERE Id = ?', (record_id,))

    def find(self, sobject: str, record_id: str) -> dict[str, Any] | None:
        """
        Return a record's values by column, or None.

        :param sobject: Name of the object.
        :param record_id: Its Id, 18 characters.
        """
        with self.reading() as connection:
            cursor = connection.execute(f'SELECT * FROM "{sobject}" WHERE Id = ?', (record_id,))
            row = cursor.fetchone()
            names = [column[0] for column in cursor.description]
        return dict(zip(names, row, strict=True)) if row else None

    def close(self) -> None:
        """Close all connections and remove the file."""
        with self._writing:
            for connection in self._all:
                connection.close()
            self._all.clear()
            self._idle.clear()
            self._folder.cleanup()

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        """Lend a connection: one per request at a time, so that no two threads share one."""
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self._open()
        try:
            yield connection
        finally:
            self._idle.append(connection)

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, timeout=30)
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA cache_size = -16000")
        connection.execute("PRAGMA mmap_size = 2000000000")
        connection.create_function("java_double", 1, java_double, deterministic=True)
        self._all.append(connection)
        return connection


@contextmanager
def _transaction(connection: sqlite3.Connection, begin: str) -> Iterator[None]:
    connection.execute(begin)
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _columns(sobject: SObject) -> list[str]:
    columns = [_column(field) for field in sobject.stored]
    # Users have no recycle bin, but every query leaves deleted records out.
    if not any(field.name == "IsDeleted" for field in sobject.stored):
        columns.append('"IsDeleted" INTEGER DEFAULT 0')
    return columns


def _column(field: Field) -> str:
    default = " DEFAULT 0" if field.type == "boolean" else ""
    return f'"{field.name}" {_COLUMN_TYPES.get(field.type, "TEXT")}{default}'


def _insert(table: str, columns: list[str]) -> str:
    names = ", ".join(f'"{name}"' for name in columns)
    return f'INSERT INTO "{table}" ({names}) VALUES ({", ".join("?" * len(columns))})'
