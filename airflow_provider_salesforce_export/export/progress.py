"""What the log tells of pages while they are read."""

from __future__ import annotations

import logging
import time
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

    def __init__(self, client: SalesforceClient, done: list[dict[str, Any]], planned: int, kind: str) -> None:
        self.done = done
        self._client = client
        self._planned = planned
        self._kind = kind
        self._rows_before = sum(page["rows"] for page in done)
        self._written: list[list[dict[str, Any]]] = []
        self._began = self._told = time.monotonic()

    def new_list(self) -> list[dict[str, Any]]:
        """
        Return a list for the results of files, each put in as soon as the file is written.

        A large chunk is not done for minutes, and its rows and bytes count meanwhile. Where it begins anew, its list
        is cleared.
        """
        self._written.append([])
        return self._written[-1]

    def tell_sometimes(self) -> None:
        """Log how far it is, unless that was told a moment ago."""
        if time.monotonic() - self._told >= INTERVAL:
            self.tell()

    def tell(self) -> None:
        """Log how far it is: pages, rows, speed, calls, and what is left of the org's API quota."""
        self._told = time.monotonic()
        written = [page for pages in self._written for page in list(pages)]
        megabytes = sum(page["bytes"] for page in written) / 1e6
        usage = self._client.usage
        left = ""
        if usage.limit and usage.used is not None:
            left = f", {max(0, usage.limit - usage.used) / usage.limit:.0%} of the API quota left"
        log.info(
            "%d of %s, %s, %.1f MB/s, %s%s.",
            len({page["page"] for page in list(self.done)}),
            counted(self._planned, self._kind),
            counted(self._rows_before + sum(page["rows"] for page in written), "row"),
            megabytes / max(self._told - self._began, 0.001),
            counted(usage.calls, "API call"),
            left,
        )
