"""The records of an object type as a response: one page, or all, streamed."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any

from anyio import CancelScope
from fastapi.responses import StreamingResponse

from airflow_provider_salesforce_export.exceptions import SalesforceExportError
from airflow_provider_salesforce_export.export.formats.json_pages import PageNumbers, json_page_chunks
from airflow_provider_salesforce_export.plugin.threads import in_thread
from airflow_provider_salesforce_export.salesforce.record_ids import interpolate, sort_key
from airflow_provider_salesforce_export.salesforce.soql import MAX_OFFSET, Query

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from airflow_provider_salesforce_export.hooks.salesforce_export import SalesforceExportHook
    from airflow_provider_salesforce_export.object_types import ObjectType
    from airflow_provider_salesforce_export.salesforce.client import SalesforceClient

log = logging.getLogger(__name__)

_BATCH = 2000  # records in a reply of Salesforce


def open_page(hook: SalesforceExportHook, object_type: ObjectType, page: int, limit: int | None) -> Iterator[bytes]:
    """
    Return a page as chunks of JSON. The first one has been read, so that what fails at once fails here.

    :param hook: The org.
    :param object_type: What to read.
    :param page: From 1.
    :param limit: Records per page; None for all of them on one page.
    :raises SalesforceExportError: Salesforce or MongoDB refuse or are away.
    """
    client = hook.client
    query = Query(object_type.sobject, object_type.all_fields()).where(object_type.where)
    total = client.count(query.count())
    per_page = limit or total
    offset = (page - 1) * per_page
    wanted = max(0, min(per_page, total - offset))
    client.require_quota(-(-wanted // _BATCH))
    numbers = PageNumbers(page, per_page, total, -(-total // per_page) if per_page else 0, offset)
    batches = _records(client, query, offset, wanted if limit else None, total) if wanted else iter(())
    chunks = json_page_chunks(batches, numbers)
    return chain([next(chunks)], chunks)


class PageResponse(StreamingResponse):
    """
    A page that is sent as it is read.

    The status is out when an error comes in the middle, and a client must not take half of the records for all: the
    JSON is cut, and the connection ends without the last chunk of HTTP.

    :param hook: What the page is read with; closed at the end, also where the client leaves before it.
    :param chunks: The page.
    """

    media_type = "application/json"

    def __init__(self, hook: SalesforceExportHook, chunks: Iterator[bytes]) -> None:
        super().__init__(_in_threads(chunks))
        self._hook = hook

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """
        Send the page.

        :param scope: As ASGI defines it.
        :param receive: As ASGI defines it.
        :param send: As ASGI defines it.
        """
        try:
            await super().__call__(scope, receive, send)
        finally:
            with CancelScope(shield=True):  # in a thread: it tells MongoDB, which may hang
                await in_thread(self._hook.close)

    async def stream_response(self, send: Send) -> None:
        """
        Send the chunks.

        :param send: As ASGI defines it.
        """
        try:
            await super().stream_response(send)
        except SalesforceExportError as error:
            log.error("The export of %s ended in the middle: %s", self._hook.salesforce_conn_id, error)
            # Airflow's middlewares end a response properly after an exception; what is no part of one, they refuse.
            await send({"type": "http.response.aborted", "more_body": True})
            raise


async def _in_threads(chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    while (chunk := await in_thread(next, chunks, None)) is not None:
        yield chunk


def _records(client: SalesforceClient, query: Query, offset: int, limit: int | None, total: int) -> Iterator[list[Any]]:
    """Yield the records from an offset on; Salesforce itself knows offsets up to 2,000 only."""
    if offset > MAX_OFFSET:
        after, offset = _near(client, query, offset, total)
        query = query.between(after, None)
    if offset:
        # A reply to OFFSET may be cut short: what follows is read by Id.
        records = client.first_batch(query.select(limit=limit, offset=offset), record_type=query.record_type)
        yield records
        if not records or (limit and len(records) >= limit):
            return
        query = query.between(records[-1].Id, None)
        limit = limit and limit - len(records)
    yield from client.query(query.select(limit=limit), record_type=query.record_type)


def _near(client: SalesforceClient, query: Query, offset: int, total: int) -> tuple[str | None, int]:
    """
    Return an Id at most 2,000 records before an offset, and how many records lie between.

    It is found by halving the space of Ids: ten counts for a million records, some dozens where Ids lie far apart.
    """
    ((extent,),) = client.query(query.extent())
    low, high = extent["expr1"], extent["expr2"]
    after: str | None = None
    while low and offset > MAX_OFFSET:
        middle = interpolate(low, high, 1, 2)
        if middle == sort_key(low):
            break  # the records have gone since they were counted
        rows = client.count(query.between(after, middle).count())
        if rows <= offset:
            after, low, offset = middle, middle, offset - rows
        else:
            high = middle
    return after, min(offset, MAX_OFFSET)
