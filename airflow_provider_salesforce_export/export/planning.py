"""
From COUNT to a plan: which fields, which API, which pages.

Three paginations. *offset*, for up to 2,000 rows: one LIMIT/OFFSET query a page. *range*, above: the Id space is cut
into ranges that can be read in parallel; inside a range each page begins after the last Id of the one before. *bulk*,
for large objects: a job of Bulk API 2.0 reads, and its results come in chunks, which are known once it is complete.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timezone
from functools import cache
from math import ceil
from typing import TYPE_CHECKING

from airflow_provider_salesforce_export.exceptions import PaginationError, SalesforceError
from airflow_provider_salesforce_export.export.api_choice import choose_api
from airflow_provider_salesforce_export.export.plan import Plan, Segment, new_run
from airflow_provider_salesforce_export.export.ranges import IdRange, find_ranges, survey
from airflow_provider_salesforce_export.export.schema import resolve_schema
from airflow_provider_salesforce_export.export.words import counted
from airflow_provider_salesforce_export.salesforce.soql import MAX_OFFSET

if TYPE_CHECKING:
    from airflow_provider_salesforce_export.export.plan import Request
    from airflow_provider_salesforce_export.export.schema import Describe
    from airflow_provider_salesforce_export.salesforce.client import SalesforceClient

log = logging.getLogger(__name__)

_TOO_SLOW = {"QUERY_TIMEOUT", "REQUEST_RUNNING_TOO_LONG"}
_API_NAMES = {"rest": "REST", "bulk": "Bulk API 2.0"}
_PAGINATION_NAMES = {"offset": "LIMIT and OFFSET", "range": "ranges of Ids"}
_FILL = 0.95  # so full are the pages of a range planned: ranges come out a little larger and smaller than their share


def make_plan(
    client: SalesforceClient, request: Request, *, readers: int, run_id: str, describe: Describe | None = None
) -> Plan:
    """
    Count the rows, look the fields up, and plan the pages; those of a Bulk job are not known yet.

    The client then keeps to the login with which it counts.

    :param client: The org.
    :param request: What is to be exported, its fields as people write them.
    :param readers: How many threads will read at once, over all tasks: the most ranges that are worth finding.
    :param run_id: What tells the DAG run from all others.
    :param describe: Asks the org, or remembers what it said.
    :raises ConfigurationError: There are no such fields, the user may not see them, or the API that was asked for
        cannot read them.
    :raises PaginationError: ``pagination="offset"`` was asked for, and the object is too large for it.
    :raises LoginChangedError: The login changed meanwhile.
    :raises SalesforceError: The org refused a query.
    """
    started_at = datetime.now(timezone.utc)
    identity = client.identity
    client.require_identity(identity)
    describe = describe or cache(client.describe)
    query = request.query
    with ThreadPoolExecutor(1) as thread:  # neither needs the other: no round trip more than to count
        resolving = thread.submit(
            resolve_schema,
            describe,
            query.sobject,
            query.fields,
            optional=request.optional_fields,
            with_parents=request.output_format == "parquet",
        )
        whole, refused = _survey(client, request)
    total = whole.rows
    api, api_reason, schema = choose_api(describe, request, resolving.result(), None if refused else total)
    if refused and api == "rest":
        raise refused
    request = replace(request, query=replace(query, fields=schema.paths))
    rows = "too many rows to be counted" if refused else counted(total, "row")
    log.info("%s: %s, to be read by %s: %s.", request.object_type, rows, _API_NAMES[api], api_reason)
    pagination = "bulk" if api == "bulk" else _choose_pagination(request, total)
    segments = [] if api == "bulk" else _pages(client, request, whole, pagination, readers)
    total_pages = sum(segment.pages for segment in segments)
    if api == "rest":
        log.info("%s, by %s.", counted(total_pages, "page"), _PAGINATION_NAMES[pagination])
    return Plan(
        request=request,
        schema=schema,
        pagination=pagination,
        api_reason=api_reason,
        total=total,
        total_pages=total_pages,
        run=new_run(run_id),
        started_at=started_at.isoformat(timespec="milliseconds"),
        is_countable=not refused,
        identity=identity,
        segments=tuple(segments),
    )


def _survey(client: SalesforceClient, request: Request) -> tuple[IdRange, SalesforceError | None]:
    """Return all rows, as counted; none, and the refusal, where counting takes too long: a job may take longer."""
    try:
        return survey(client, request), None
    except SalesforceError as error:
        if error.error_code not in _TOO_SLOW:
            raise
        return IdRange(None, None, 0), error


def _choose_pagination(request: Request, total: int) -> str:
    if request.pagination == "auto":
        return "offset" if total <= MAX_OFFSET else "range"
    highest_offset = (_whole_pages(total, request.page_size) - 1) * request.page_size
    if request.pagination == "offset" and highest_offset > MAX_OFFSET:
        raise PaginationError(
            f"{request.object_type} has {total} rows: its last page would need OFFSET {highest_offset}, and Salesforce "
            f"refuses OFFSET above {MAX_OFFSET}. Use pagination='auto' or 'range'."
        )
    return request.pagination


def _pages(client: SalesforceClient, request: Request, whole: IdRange, pagination: str, readers: int) -> list[Segment]:
    size = request.page_size
    if not whole.rows:
        return []
    if pagination == "offset":
        return [Segment(number + 1, 1, number * size) for number in range(_whole_pages(whole.rows, size))]
    wanted = _ranges_wanted(whole.rows, size, readers)
    return _number(find_ranges(client, request, whole, wanted=wanted), size)


def _whole_pages(rows: int, page_size: int) -> int:
    return -(-rows // page_size)


def _ranges_wanted(total: int, page_size: int, readers: int) -> int:
    """Return the fewest ranges with which the readers take no longer: none a little larger than its whole pages."""
    page = page_size * _FILL
    pages_each = ceil(total / (readers * page))
    return ceil(total / (pages_each * page))


def _number(ranges: Iterable[IdRange], page_size: int) -> list[Segment]:
    segments = []
    page, rows = 1, 0
    for id_range in ranges:
        pages = max(1, _whole_pages(id_range.rows, page_size))
        segments.append(Segment(page, pages, rows, after=id_range.after, until=id_range.until))
        page, rows = page + pages, rows + id_range.rows
    return segments
