"""
From COUNT to pages: what will be read, in which pieces, and by which tasks.

Three paginations. *offset*, for up to 2,000 rows: one LIMIT/OFFSET query a page. *range*, above: the Id space is cut
into ranges that can be read in parallel; inside a range each page begins after the last Id of the one before. *bulk*,
for large objects: a job of Bulk API 2.0 reads, and its results come in chunks, which are known once it is complete.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timezone
from itertools import pairwise
from math import ceil
from typing import TYPE_CHECKING, Any

from airflow_provider_salesforce_export.exceptions import PaginationError
from airflow_provider_salesforce_export.export.api_choice import choose_api
from airflow_provider_salesforce_export.export.ranges import IdRange, find_ranges, survey
from airflow_provider_salesforce_export.export.schema import Schema, resolve_schema
from airflow_provider_salesforce_export.salesforce.soql import MAX_OFFSET, Query

if TYPE_CHECKING:
    from airflow_provider_salesforce_export.export.drift import SchemaChange
    from airflow_provider_salesforce_export.export.schema import Description
    from airflow_provider_salesforce_export.salesforce.client import SalesforceClient

log = logging.getLogger(__name__)

ROWS_PER_CHUNK_FILE = 10_000
"""The most rows in a file of a Bulk job's results: a file is in memory while it is made."""

_RUN_KEY_LENGTH = 8  # hexadecimal digits
_ATTEMPT_BYTES = 2  # of randomness
_FILL = 0.95  # so full are the pages of a range planned: ranges come out a little larger and smaller than their share


@dataclass(frozen=True)
class Request:
    """
    What is to be exported.

    :param object_type: The name of the export.
    :param query: The records.
    :param include_deleted: Read those in the recycle bin too.
    :param page_size: Rows per page, 1 to 2000.
    :param pagination: ``auto``, ``offset`` or ``range``.
    :param output_format: ``json``, ``jsonl``, ``csv`` or ``parquet``.
    :param compression: ``gzip``, ``zstd``, or None.
    :param flatten: Write the fields of relations beside the others; csv and parquet always do.
    :param window: ``{"cursor_field", "start", "end"}`` of an incremental run, as it is read; None for a full one.
    :param api: ``auto``, ``rest`` or ``bulk``.
    :param bulk_threshold: From how many rows on ``auto`` is ``bulk``.
    """

    object_type: str
    query: Query
    include_deleted: bool
    page_size: int
    pagination: str
    output_format: str = "json"
    compression: str | None = None
    flatten: bool = False
    window: dict[str, str] | None = None
    api: str = "rest"
    bulk_threshold: int = 1


@dataclass(frozen=True)
class Segment:
    """
    Pages that follow one another, or a chunk of a Bulk job's results, to be read by one thread.

    :param first_page: Number of the first page, counted from 1 over the whole object.
    :param pages: How many pages were planned.
    :param rows_before: Rows of the object before these pages, as counted.
    :param after: Only Ids above this one; None for no bound. Not used by offset pages.
    :param until: Only Ids up to this one; None for no bound. Not used by offset pages.
    :param chunk: Where the chunk is that this page is, from the host on; None of pages.
    """

    first_page: int
    pages: int
    rows_before: int
    after: str | None = None
    until: str | None = None
    chunk: str | None = None


@dataclass(frozen=True)
class Job:
    """
    The Bulk query job that reads an export.

    :param id: Its Id.
    :param soql: Its query.
    :param include_deleted: Whether it reads the recycle bin too.
    :param submitted_at: When it was submitted, in ISO 8601, UTC, by the worker's clock.
    :param records: How many records it found; None before it is complete.
    """

    id: str
    soql: str
    include_deleted: bool
    submitted_at: str
    records: int | None = None


@dataclass(frozen=True)
class Plan:
    """
    How an export will be read.

    :param request: What is to be exported, its fields as Salesforce spells them.
    :param schema: The columns.
    :param pagination: ``offset``, ``range`` or ``bulk``.
    :param total: Rows, as counted.
    :param total_pages: Pages, as planned; the chunks of a job's results, and 0 before it is complete.
    :param run: A short name that all files of this attempt share; it begins with :attr:`run_key`.
    :param started_at: When the rows were counted, in ISO 8601, UTC.
    :param api_reason: Why it is, or is not, ``bulk``.
    :param job: The Bulk job, once it is submitted.
    :param schema_change: How the columns differ from those of the export before; None where they do not.
    :param segments: Together, all pages.
    """

    request: Request
    schema: Schema
    pagination: str
    total: int
    total_pages: int
    run: str
    started_at: str
    api_reason: str = ""
    job: Job | None = None
    schema_change: SchemaChange | None = None
    segments: tuple[Segment, ...] = field(default=(), repr=False)

    @property
    def api(self) -> str:
        """Return by which API it is read: ``rest`` or ``bulk``."""
        return "bulk" if self.pagination == "bulk" else "rest"

    @property
    def rows_per_file(self) -> int:
        """Return how many rows a file holds at most."""
        return ROWS_PER_CHUNK_FILE if self.pagination == "bulk" else self.request.page_size

    @property
    def soql(self) -> str:
        """Return the query that all that is read comes from."""
        return self.job.soql if self.job else self.request.query.select()

    @property
    def run_key(self) -> str:
        """Return what the names of all files of one DAG run begin with, whatever its attempts."""
        return self.run[:_RUN_KEY_LENGTH]

    def renewed(self) -> Plan:
        """Return the plan under a new name, for files that have nothing to do with those read by it before."""
        return replace(self, run=self.run_key + secrets.token_hex(_ATTEMPT_BYTES))

    def to_dict(self) -> dict[str, Any]:
        """Return the plan without its segments as plain data, for an XCom."""
        plain = asdict(self)
        del plain["segments"]
        return plain

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any], segments: Iterable[Mapping[str, Any]] = ()) -> Plan:
        """
        Return the plan that :meth:`to_dict` made plain.

        :param plain: The plan.
        :param segments: The segments that the caller works on.
        """
        request = dict(plain["request"])
        query = request["query"]
        request["query"] = Query(query["sobject"], tuple(query["fields"]), tuple(query["conditions"]))
        return cls(
            request=Request(**request),
            schema=Schema.from_dict(plain["schema"]),
            pagination=plain["pagination"],
            api_reason=plain["api_reason"],
            total=plain["total"],
            total_pages=plain["total_pages"],
            run=plain["run"],
            started_at=plain["started_at"],
            job=Job(**plain["job"]) if plain["job"] else None,
            schema_change=plain["schema_change"],
            segments=tuple(Segment(**segment) for segment in segments),
        )

    def tasks(self, max_tasks: int) -> list[dict[str, Any]]:
        """
        Return the segments in even shares, each with a label for people.

        :param max_tasks: The most shares.
        :returns: ``[{"label": "pages 5-8 of 25", "segments": [{...}, ...]}, ...]``
        """
        count = min(max_tasks, len(self.segments))
        cuts = [len(self.segments) * cut // count for cut in range(count + 1)] if count else []
        return [self._task(self.segments[a:b]) for a, b in pairwise(cuts)]

    def _task(self, segments: tuple[Segment, ...]) -> dict[str, Any]:
        first, last = segments[0].first_page, segments[-1].first_page + segments[-1].pages - 1
        kind = "chunk" if self.pagination == "bulk" else "page"
        pages = f"{kind} {first}" if first == last else f"{kind}s {first}-{last}"
        return {
            "label": f"{pages} of {self.total_pages}",
            "segments": [asdict(segment) for segment in segments],
        }


def make_plan(
    client: SalesforceClient,
    request: Request,
    *,
    readers: int,
    run_id: str,
    description: Description | None = None,
) -> Plan:
    """
    Count the rows, look the fields up, and plan the pages; those of a Bulk job are not known yet.

    :param client: The org.
    :param request: What is to be exported, its fields as people write them.
    :param readers: How many threads will read at once, over all tasks: the most ranges that are worth finding.
    :param run_id: What tells the DAG run from all others.
    :param description: What the describe call says of the sObject, where it is known.
    :raises ConfigurationError: There are no such fields, the user may not see them, or Bulk API 2.0 cannot read them
        though it was asked for.
    :raises PaginationError: ``pagination="offset"`` was asked for, and the object is too large for it.
    :raises SalesforceError: The org refused a query.
    """
    started_at = datetime.now(timezone.utc)
    query = request.query
    with ThreadPoolExecutor(1) as thread:  # neither needs the other: no round trip more than to count
        resolving = thread.submit(
            resolve_schema,
            client,
            query.sobject,
            query.fields,
            description=description,
            with_parents=request.output_format == "parquet",
        )
        whole = survey(client, request)
    total = whole.rows
    api, api_reason, typed = choose_api(client, request, total)
    schema = typed or resolving.result()
    request = replace(request, query=replace(query, fields=schema.paths))
    pages = -(-total // request.page_size)
    pagination = "bulk" if api == "bulk" else _choose_pagination(request, total, pages)
    if pagination == "bulk":
        segments = []
    elif pagination == "offset":
        segments = [
            Segment(first_page=number + 1, pages=1, rows_before=number * request.page_size) for number in range(pages)
        ]
    elif not pages:
        segments = []
    else:
        wanted = _ranges_wanted(total, request.page_size, readers)
        segments = _number(find_ranges(client, request, whole, wanted=wanted), request.page_size)
    total_pages = sum(segment.pages for segment in segments)
    log.info("%s: %d rows, to be read by the API %s: %s.", request.object_type, total, api, api_reason)
    if pagination != "bulk":
        log.info("%d page(s), by %s.", total_pages, pagination)
    return Plan(
        request=request,
        schema=schema,
        pagination=pagination,
        api_reason=api_reason,
        total=total,
        total_pages=total_pages,
        run=hashlib.sha256(run_id.encode()).hexdigest()[:_RUN_KEY_LENGTH] + secrets.token_hex(_ATTEMPT_BYTES),
        started_at=started_at.isoformat(timespec="milliseconds"),
        segments=tuple(segments),
    )


def _choose_pagination(request: Request, total: int, pages: int) -> str:
    if request.pagination == "auto":
        return "offset" if total <= MAX_OFFSET else "range"
    highest_offset = (pages - 1) * request.page_size
    if request.pagination == "offset" and highest_offset > MAX_OFFSET:
        raise PaginationError(
            f"{request.object_type} has {total} rows: its last page would need OFFSET {highest_offset}, and Salesforce "
            f"refuses OFFSET above {MAX_OFFSET}. Use pagination='auto' or 'range'."
        )
    return request.pagination


def _ranges_wanted(total: int, page_size: int, readers: int) -> int:
    """Return the fewest ranges with which the readers take no longer: none a little larger than its whole pages."""
    page = page_size * _FILL
    pages_each = ceil(total / (readers * page))
    return ceil(total / (pages_each * page))


def _number(ranges: Iterable[IdRange], page_size: int) -> list[Segment]:
    segments = []
    page, rows = 1, 0
    for id_range in ranges:
        pages = max(1, -(-id_range.rows // page_size))
        segments.append(Segment(page, pages, rows, after=id_range.after, until=id_range.until))
        page, rows = page + pages, rows + id_range.rows
    return segments
