"""What the log tells of pages while they are read."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_salesforce_export.export.words import counted

if TYPE_CHECKING:
    from airflow_provider_salesforce_export.salesforce.client import SalesforceClient

log = logging.getLogger(__name__)

INTERVAL = 5.0
"""Seconds from one line to the next."""


class Progress:
    """
    How far a task is with its pages.

    :param client: The org.
    :param done: The results of the pages that are written; it grows.
    :param planned: How many pages the task reads in all.
    :param kind: What they are called: ``page`` or ``chunk``.
    """

    def __init__(self, client: SalesforceClient, done: Sequence[dict[str, Any]], planned: int, kind: str) -> None:
        self._client = client
        self._done = done
        self._planned = planned
        self._kind = kind
        self._bytes_before = _bytes(done)
        self._began = self._told = time.monotonic()

    def tell_sometimes(self) -> None:
        """Log how far it is, unless that was told a moment ago."""
        if time.monotonic() - self._told >= INTERVAL:
            self.tell()

    def tell(self) -> None:
        """Log how far it is: pages, rows, speed, calls, and what is left of the org's API quota."""
        self._told = time.monotonic()
        done = list(self._done)
        megabytes = (_bytes(done) - self._bytes_before) / 1e6
        usage = self._client.usage
        left = ""
        if usage.limit and usage.used is not None:
            left = f", {max(0, usage.limit - usage.used) / usage.limit:.0%} of the API quota left"
        log.info(
            "%d of %s, %s, %.1f MB/s, %s%s.",
            len({page["page"] for page in done}),
            counted(self._planned, self._kind),
            counted(sum(page["rows"] for page in done), "row"),
            megabytes / max(self._told - self._began, 0.001),
            counted(usage.calls, "API call"),
            left,
        )


def _bytes(pages: Sequence[dict[str, Any]]) -> int:
    return sum(page["bytes"] for page in list(pages))
