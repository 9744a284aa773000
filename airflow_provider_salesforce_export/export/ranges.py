"""
Cutting the Id space of an object into ranges that hold about equally many rows.

Bounds are interpolated between the first and the last Id, and one COUNT tells how full each range is. Real orgs have
gaps (several blocks of Ids far apart), so a range that is much too full is narrowed to its own first and last Id and
cut again. Hopping to bounds with OFFSET would cost as many calls, one after another, as reading the pages.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from math import ceil
from typing import TYPE_CHECKING

from airflow_provider_salesforce_export.salesforce.record_ids import cut_evenly, distance

if TYPE_CHECKING:
    from airflow_provider_salesforce_export.export.plan import Request
    from airflow_provider_salesforce_export.salesforce.client import SalesforceClient

log = logging.getLogger(__name__)

MAX_ROUNDS = 3
"""How often ranges that are too full are cut again."""

_TOO_FULL = 2  # times the mean
_MUCH_NARROWER = 4  # times: then the rows of a range lie in one block of Ids
_FINE_SLICES = 32  # for a range with rows all over it and a dense spot somewhere
_PARALLEL_CALLS = 8  # of Salesforce's 25 concurrent long-running requests; COUNT is short, but other programs live too


@dataclass(frozen=True)
class IdRange:
    """
    The Ids in ``(after, until]``.

    :param after: None for no lower bound.
    :param until: None for no upper bound.
    :param rows: How many rows were counted in it.
    """

    after: str | None
    until: str | None
    rows: int


def find_ranges(client: SalesforceClient, request: Request, total: int, *, wanted: int) -> list[IdRange]:
    """
    Cut the Id space into ranges that meet: the first and the last are open, none holds much more than its share.

    :param client: The org.
    :param request: What is to be exported.
    :param total: Rows, as counted.
    :param wanted: How many ranges there should be; a few more or fewer come back.
    """
    if wanted < 2:
        return [IdRange(None, None, total)]
    share = total / wanted
    with ThreadPoolExecutor(_PARALLEL_CALLS) as threads:
        cutter = _Cutter(client, request, threads)
        ranges = _merge(cutter.cut(IdRange(None, None, total), share), share)
        for _ in range(MAX_ROUNDS):
            mean = total / max(wanted, len(ranges))
            too_full = [id_range for id_range in ranges if id_range.rows > _TOO_FULL * mean]
            if not too_full:
                break
            log.info(
                "%d of %d Id ranges are much fuller than the others: cutting them again.", len(too_full), len(ranges)
            )
            pieces = {id_range: cutter.cut(id_range, share) for id_range in too_full}
            ranges = _merge([piece for id_range in ranges for piece in pieces.get(id_range, [id_range])], share)
    return ranges


class _Cutter:
    """Cuts ranges by asking the org, several questions at a time."""

    def __init__(self, client: SalesforceClient, request: Request, threads: Executor) -> None:
        self._client = client
        self._query = request.query
        self._include_deleted = request.include_deleted
        self._threads = threads
        self._space: tuple[str, str] | None = None

    def cut(self, id_range: IdRange, share: float) -> list[IdRange]:
        """Return the range as slices of equal width between its first and last Id, with their rows."""
        ends = self._query.between(id_range.after, id_range.until).ends()
        first, last = self._threads.map(self._first_id, ends)
        if first is None or last is None:  # the rows have been deleted since they were counted
            return [IdRange(id_range.after, id_range.until, 0)]
        cuts = [id_range.after, *cut_evenly(first, last, self._slices(id_range, first, last, share)), id_range.until]
        bounds = list(pairwise(cuts))
        counts = self._threads.map(self._count, bounds)
        return [IdRange(after, until, rows) for (after, until), rows in zip(bounds, counts, strict=True)]

    def _slices(self, id_range: IdRange, first: str, last: str, share: float) -> int:
        """Return into how many slices to cut: as many as shares, or many where the rows crowd at an unknown spot."""
        shares = ceil(id_range.rows / share)
        if self._space is None:
            self._space = first, last
            return shares
        width = distance(id_range.after or self._space[0], id_range.until or self._space[1])
        is_one_block = width >= _MUCH_NARROWER * distance(first, last)
        return shares if is_one_block else max(shares, _FINE_SLICES)

    def _first_id(self, soql: str) -> str | None:
        for batch in self._client.query(soql, include_deleted=self._include_deleted):
            for record in batch:
                return str(record["Id"])
        return None

    def _count(self, bounds: tuple[str | None, str | None]) -> int:
        return self._client.count(self._query.between(*bounds).count(), include_deleted=self._include_deleted)


def _merge(ranges: Iterable[IdRange], share: float) -> list[IdRange]:
    """Join neighbours that together hold no more than the share, so that empty stretches cost no query."""
    merged: list[IdRange] = []
    for id_range in ranges:
        if merged and (merged[-1].rows + id_range.rows <= share or 0 in (merged[-1].rows, id_range.rows)):
            before = merged.pop()
            id_range = IdRange(before.after, id_range.until, before.rows + id_range.rows)
        merged.append(id_range)
    return merged
