"""
The pages of a share of a plan: query after query, several at once.

Each page covers an interval of Ids ``(after, until]``: when it was read, it held every row of the object in that
interval. A LIMIT/OFFSET page does not know where the page before it ended, so it asks for one row more in front, the
*fence*, and covers what comes after it. Publishing checks that the intervals of all pages meet.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from itertools import chain
from typing import TYPE_CHECKING, Any

from airflow_provider_salesforce_export.export.bulk_chunk import export_chunk
from airflow_provider_salesforce_export.export.page import Page, PageResult, ids_of, position, write_pages
from airflow_provider_salesforce_export.export.plan import Segment
from airflow_provider_salesforce_export.export.progress import INTERVAL, Progress

if TYPE_CHECKING:
    from airflow_provider_salesforce_export.export.destination import Folder
    from airflow_provider_salesforce_export.export.plan import Plan
    from airflow_provider_salesforce_export.salesforce.client import SalesforceClient


def export_segments(
    client: SalesforceClient,
    plan: Plan,
    folder: Folder,
    *,
    threads: int,
    attempt: int,
    done: list[PageResult] | None = None,
) -> list[PageResult]:
    """
    Read the pages of a plan's segments, and write them. A thread holds one page at a time.

    :param client: The org.
    :param plan: The plan, with the segments that this task works on.
    :param folder: Where the files go.
    :param threads: How many segments are read at once.
    :param attempt: Which try of the task this is, from 1: a later try never overwrites the files of an earlier one,
        which a manifest may name.
    :param done: What this task wrote before it was interrupted, which is not read again. The pages written now are
        added to it, also where an error ends this call.
    :returns: One small dict for each page.
    :raises LoginChangedError: The login is another than when the rows were counted.
    :raises SalesforceExportError: A page cannot be read or written; the pages that are done stay where they are.
    """
    client.require_identity(plan.identity)
    suffix = f"-try{attempt}" if attempt > 1 else ""
    done = [] if done is None else done
    segments = [rest for segment in plan.segments if (rest := _unread(segment, done, plan.request.page_size))]
    progress = Progress(client, done, sum(segment.pages for segment in plan.segments), plan.kind_of_page)
    with ThreadPoolExecutor(max_workers=threads) as pool:
        reading = {pool.submit(_export_segment, client, plan, rest, folder, suffix, progress) for rest in segments}
        try:
            while reading:
                finished, reading = wait(reading, timeout=INTERVAL, return_when=FIRST_COMPLETED)
                for future in finished:
                    future.result()
                progress.tell_sometimes()
        finally:
            pool.shutdown(cancel_futures=True)
    progress.tell()
    return sorted(done, key=position)


def _unread(segment: Segment, done: Iterable[PageResult], page_size: int) -> Segment | None:
    """Return what is left to read of a segment; None where nothing is."""
    end = segment.first_page + segment.pages
    last = max((page for page in done if segment.first_page <= page["page"] < end), key=position, default=None)
    if last is None:
        return segment
    pages, read = end - last["page"] - 1, last["page"] + 1 - segment.first_page
    if not pages or last["until"] == segment.until:
        return None
    rows_before = segment.rows_before + read * page_size
    return Segment(last["page"] + 1, pages, rows_before, after=last["until"], until=segment.until)


def _export_segment(
    client: SalesforceClient, plan: Plan, segment: Segment, folder: Folder, suffix: str, progress: Progress
) -> None:
    written = progress.new_list()
    if segment.chunk:
        progress.done += _metered(client, plan, export_chunk(client, plan, segment, folder, suffix, written))
        return
    read_pages = _offset_page if plan.pagination == "offset" else range_pages
    for parts in write_pages(read_pages(client, plan, segment), plan, folder, suffix):
        written += parts
        progress.done += _metered(client, plan, parts)


def _metered(client: SalesforceClient, plan: Plan, parts: list[PageResult]) -> list[PageResult]:
    for part in parts:
        client.meter.time("page.duration", part["seconds"], object_type=plan.request.object_type)
    return parts


def _offset_page(client: SalesforceClient, plan: Plan, segment: Segment) -> Iterator[Page]:
    request, number, offset = plan.request, segment.first_page, segment.rows_before
    is_last = number == plan.total_pages
    if number == 1 and is_last:
        yield from range_pages(client, plan, segment)
        return
    fences = 1 if number > 1 else 0
    soql = request.query.select(limit=request.page_size + fences, offset=offset - fences)
    records = client.first_batch(soql, include_deleted=request.include_deleted, record_type=request.query.record_type)
    after = None
    if fences:
        if not records:
            return  # Not even the fence is there: the page proves nothing, and publishing sees what is missing.
        after, records = records[0].Id, records[1:]
    missing = request.page_size - len(records)
    rest: Iterator[list[Any]] = iter(())
    if is_last or missing:
        # A reply to OFFSET may be cut short, and rows may have been pushed down: what follows is read by Id.
        following = request.query.between(records[-1].Id if records else after, None)
        soql = following.select(limit=None if is_last else missing)
        rest = client.query(soql, include_deleted=request.include_deleted, record_type=request.query.record_type)
    batches = chain([records], rest)
    yield from _parts(batches, request.page_size, number, offset, after, until=None, limited=not is_last)


def range_pages(client: SalesforceClient, plan: Plan, segment: Segment) -> Iterator[Page]:
    """
    Read the pages of a range of Ids: each begins after the last Id of the one before.

    :param client: The org.
    :param plan: The plan.
    :param segment: The range, and how many pages are planned in it; the last one is read to the end of the range.
    """
    request, after = plan.request, segment.after
    for index in range(segment.pages):
        is_last = index == segment.pages - 1
        soql = request.query.between(after, segment.until).select(limit=None if is_last else request.page_size)
        batches = client.query(soql, include_deleted=request.include_deleted, record_type=request.query.record_type)
        number, offset = segment.first_page + index, segment.rows_before + index * request.page_size
        for page in _parts(batches, request.page_size, number, offset, after, segment.until, limited=not is_last):
            reached = page.until
            yield page
            del page  # or its records would be there until those of the next page are
        if reached == segment.until:
            return  # Fewer rows than counted: the range is read to its end before its last page.
        after = reached


def _parts(
    batches: Iterable[list[Any]],
    page_size: int,
    number: int,
    offset: int,
    after: str | None,
    until: str | None,
    *,
    limited: bool,
) -> Iterator[Page]:
    """Cut what a query brings into pages; ``limited``: a full page may have been cut by its LIMIT."""
    part, records = 0, []
    for batch in batches:
        records += batch
        while len(records) > page_size:
            page_records, records = records[:page_size], records[page_size:]
            ids = ids_of(page_records)
            yield Page(number, part, offset, after, ids[-1], ids, page_records, is_last_part=False)
            part, offset, after = part + 1, offset + page_size, ids[-1]
    ids = ids_of(records)
    if limited and len(records) == page_size:
        until = ids[-1]
    yield Page(number, part, offset, after, until, ids, records)
