"""What the log tells of each query."""

from __future__ import annotations

import logging

log = logging.getLogger(__name__)

SLOW = 5.0
"""Seconds from which on a query is told to everybody, and not only to who debugs."""


def log_query(seconds: float, rows: int, size: int, what: str) -> None:
    """
    Log a query that was answered.

    :param seconds: How long it took.
    :param rows: How many records came.
    :param size: How many bytes these were, decompressed.
    :param what: The SOQL, or what else was read.
    """
    level = logging.INFO if seconds >= SLOW else logging.DEBUG
    log.log(level, "Query: %.3f s, %d rows, %d bytes: %s", seconds, rows, size, what)


def log_failed_query(seconds: float, what: str) -> None:
    """
    Log a query that brought nothing: the error that follows tells why.

    :param seconds: How long it took, with its repetitions.
    :param what: The SOQL, or what else was read.
    """
    log.info("Query: failed after %.3f s: %s", seconds, what)
