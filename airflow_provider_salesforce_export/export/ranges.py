"""
Cutting the Id space of an object into ranges that hold about equally many rows.

One query tells how many rows a range holds, and its first and last Id. Cuts are interpolated between these, as if the
rows lay evenly there. Real orgs have gaps (several blocks of Ids far apart) and crowds, so the ranges are surveyed in
turn, and where one is much fuller than its share, all is cut anew by what is known by then, three times at most.
Hopping to bounds with OFFSET would cost as many calls, one after another, as reading the pages.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from math import ceil
from typing import TYPE_CHECKING

from airflow_provider_salesforce_export.salesforce.record_ids import distance, interpolate

if TYPE_CHECKING:
    from airflow_provider_salesforce_export.export.plan import Request
    from airflow_provider_salesforce_export.salesforce.client import SalesforceClient

log = logging.getLogger(__name__)

_ROUNDS = 3
_FINE_SLICES = 32  # at least, to find crowds; then joined to as many ranges as are wanted
_SPARSE = 2  # Ids to a row; blocks are less sparse, as the Ids in them follow one another
_FULL = 1.1  # times its share: so much may be in a range that was joined of slices
_PARALLEL_CALLS = 8  # of Salesforce's 25 concurrent long-running requests; COUNT is short, but other programs live too


@dataclass(frozen=True)
class IdRange:
    """
    The Ids in ``(after, until]``, and what the org says of them.

    :param after: None for no lower bound.
    :param until: None for no upper bound.
    :param rows: How many rows there are in it.
    :param ends: The first and the last Id, where there are rows and it has been asked for.
    """

    after: str | None
    until: str | None
    rows: int
    ends: tuple[str, str] | None = None


def survey(client: SalesforceClient, request: Request, after: str | None = None, until: str | None = None) -> IdRange:
    """
    Ask the org about a range, in one call.

    :param client: The org.
    :param request: What is to be exported.
    :param after: Only Ids above this one; None for no bound.
    :param until: Only Ids up to this one; None for no bound.
    """
    soql = request.query.between(after, until).extent()
    ((answer,),) = client.query(soql, include_deleted=request.include_deleted)
    rows, first, last = (answer[f"expr{number}"] for number in range(3))
    return IdRange(after, until, rows, (first, last) if rows else None)


def find_ranges(client: SalesforceClient, request: Request, whole: IdRange, *, wanted: int) -> list[IdRange]:
    """
    Cut the Id space into ranges that meet: the first and the last are open, none holds much more than its share.

    :param client: The org.
    :param request: What is to be exported.
    :param whole: The Id space, surveyed.
    :param wanted: How many ranges there should be; a few more or fewer come back.
    """
    ranges, fine = [whole], wanted * ceil(_FINE_SLICES / wanted)
    with ThreadPoolExecutor(_PARALLEL_CALLS) as threads:
        for number in range(_ROUNDS):
            sparse = number > 0 and any(map(_is_sparse, ranges))
            slices = fine if sparse else wanted
            largest, share = max(id_range.rows for id_range in ranges), _rows(ranges) / wanted
            if largest - share <= request.page_size * ceil(slices / _PARALLEL_CALLS):
                break  # to read what is too much takes no more round trips than to ask again
            log.debug("The fullest of %d Id ranges holds %d rows, not %d: cutting anew.", len(ranges), largest, share)
            cuts = _cuts(ranges, slices) | (_cuts_off_blocks(ranges, share) if sparse else set())
            bounds = pairwise([None, *sorted(cuts), None])
            ranges = list(threads.map(lambda bounds: survey(client, request, *bounds), bounds))
    return _join(ranges, _FULL * _rows(ranges) / wanted)


def _rows(ranges: Iterable[IdRange]) -> int:
    return sum(id_range.rows for id_range in ranges)


def _ids(id_range: IdRange) -> int:
    return distance(*id_range.ends) + 1 if id_range.ends else 0


def _is_sparse(id_range: IdRange) -> bool:
    """Return whether many Ids between the ends are free: then the rows may crowd anywhere between them."""
    return _ids(id_range) > _SPARSE * id_range.rows


def _cuts_off_blocks(ranges: Iterable[IdRange], share: float) -> set[str]:
    """Return cuts so close to the ends of full but sparse ranges that a block of Ids at an end is then found alone."""
    cuts = set()
    for id_range in filter(_is_sparse, ranges):
        if id_range.ends and id_range.rows > share:
            steps, block = _ids(id_range) - 1, _SPARSE * id_range.rows
            cuts |= {interpolate(*id_range.ends, part, steps) for part in (block, steps - block) if 0 < part < steps}
    return cuts


def _cuts(ranges: Iterable[IdRange], slices: int) -> set[str]:
    """Return the Ids that cut the space into slices of equally many rows, if these lie evenly within each range."""
    total, below, cuts = _rows(ranges), 0, set[str]()
    for id_range in ranges:
        if id_range.ends:
            reached = below + id_range.rows
            for cut in range(below * slices // total + 1, min(reached * slices // total, slices - 1) + 1):
                rank = -(-total * cut // slices) - below  # of the row after which to cut, from 1
                cuts.add(interpolate(*id_range.ends, rank - 1, max(1, id_range.rows - 1)))
            below = reached
    return cuts


def _join(ranges: Iterable[IdRange], most: float) -> list[IdRange]:
    """Join neighbours that together hold no more rows than that, so that empty stretches cost no query."""
    joined: list[IdRange] = []
    for id_range in ranges:
        if joined and (joined[-1].rows + id_range.rows <= most or 0 in (joined[-1].rows, id_range.rows)):
            before = joined.pop()
            id_range = IdRange(before.after, id_range.until, before.rows + id_range.rows)
        joined.append(id_range)
    return joined
