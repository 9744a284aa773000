"""
SQLite as Airflow's database, so that a backfill can be created while the scheduler works.

Python's sqlite3 begins no transaction before SAVEPOINT, within which Airflow creates the runs of a backfill one by
one. Each is then seen as soon as it is there, and a write of the scheduler in between fails the next one with
"database is locked": the backfill is taken back, and the scheduler dies of the run that it has already taken up.
A transaction that begins as a writer waits for its turn instead, and shows all runs at once.

See SQLAlchemy, "SQLite: Serializable isolation / Savepoints / Transactional DDL", and apache/airflow#67900.
"""

from __future__ import annotations

import sqlite3
from typing import Any


class _Cursor(sqlite3.Cursor):
    def execute(self, sql: str, parameters: Any = ()) -> _Cursor:
        if sql.startswith("SAVEPOINT") and not self.connection.in_transaction:
            super().execute("BEGIN IMMEDIATE")
        return super().execute(sql, parameters)


class _Connection(sqlite3.Connection):
    def cursor(self, factory: Any = _Cursor) -> Any:
        return super().cursor(factory)


CONNECT_ARGS = {"factory": _Connection}
"""For ``[database] sql_alchemy_connect_args`` of Airflow."""
