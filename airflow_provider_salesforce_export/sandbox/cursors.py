"""Query cursors: what is left of a query that needs more than one reply."""

from __future__ import annotations

import itertools
import threading
from dataclasses import dataclass

from airflow_provider_salesforce_export.sandbox.errors import SalesforceError
from airflow_provider_salesforce_export.sandbox.ids import encode, to_18

MAX_OPEN = 10


@dataclass
class QueryCursor:
    """
    A query's records, fixed when it was asked, and how to write them.

    :param rows: Row numbers in order.
    :param page: SQL that writes some of them.
    :param batch_size: Records in a reply.
    :param finished: Whether the client has read to the end.
    """

    rows: list[str]
    page: str
    batch_size: int
    finished: bool = False


class QueryCursors:
    """A user's open cursors. When there are too many, one that is read to the end goes, else the oldest."""

    def __init__(self) -> None:
        self._cursors: dict[str, QueryCursor] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def open(self, cursor: QueryCursor) -> str:
        """
        Keep a cursor and return its locator.

        :param cursor: The cursor.
        """
        locator = to_18("01gTn0000A" + encode(next(self._numbers), 5))
        with self._lock:
            if len(self._cursors) >= MAX_OPEN:
                finished = (name for name, kept in self._cursors.items() if kept.finished)
                del self._cursors[next(finished, next(iter(self._cursors)))]
            self._cursors[locator] = cursor
        return locator

    def get(self, locator: str) -> QueryCursor:
        """
        Return a cursor.

        :param locator: What ``open`` gave.
        :raises SalesforceError: It is gone or never was (INVALID_QUERY_LOCATOR).
        """
        with self._lock:
            cursor = self._cursors.get(locator)
        if cursor is None:
            raise SalesforceError(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
        return cursor
