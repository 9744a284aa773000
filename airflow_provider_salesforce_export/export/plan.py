"""What will be read, in which pieces, and by which tasks; as plain data, it goes from task to task."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from airflow_provider_salesforce_export.export.schema import Schema
from airflow_provider_salesforce_export.salesforce.soql import Query

if TYPE_CHECKING:
    from airflow_provider_salesforce_export.export.drift import SchemaChange
    from airflow_provider_salesforce_export.export.window import WindowRead

ROWS_PER_CHUNK_FILE = 10_000
"""The most rows in a file of a Bulk job's results: a file is in memory while it is made."""

_RUN_KEY_LENGTH = 8  # hexadecimal digits
_ATTEMPT_BYTES = 2  # of randomness


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
    :param window: What an incremental run reads; None for a full one.
    :param api: ``auto``, ``rest`` or ``bulk``.
    :param bulk_threshold: From how many rows on ``auto`` is ``bulk``.
    :param optional_fields: Those of the query that are left out where the sObject has none.
    """

    object_type: str
    query: Query
    include_deleted: bool
    page_size: int
    pagination: str
    output_format: str = "json"
    compression: str | None = None
    flatten: bool = False
    window: WindowRead | None = None
    api: str = "rest"
    bulk_threshold: int = 1
    optional_fields: tuple[str, ...] = ()


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
    :param submitted_at: When it was about to be submitted, in ISO 8601, UTC, by the worker's clock.
    :param records: How many records it found; None before it is complete.
    :param identity: As whom it was submitted, as in :class:`Plan`.
    """

    id: str
    soql: str
    include_deleted: bool
    submitted_at: str
    records: int | None = None
    identity: str | None = None


@dataclass(frozen=True)
class Plan:
    """
    How an export will be read.

    :param request: What is to be exported, its fields as Salesforce spells them.
    :param schema: The columns.
    :param pagination: ``offset``, ``range`` or ``bulk``.
    :param total: Rows, as counted; those that the job found where they could not be, and 0 before it is complete.
    :param total_pages: Pages, as planned; the chunks of a job's results, and 0 before it is complete.
    :param run: A short name that all files of this attempt share; it begins with :attr:`run_key`.
    :param started_at: When the rows were counted, in ISO 8601, UTC.
    :param api_reason: Why it is, or is not, ``bulk``.
    :param job: The Bulk job, once it is submitted.
    :param schema_change: How the columns differ from those of the export before; None where they do not.
    :param is_countable: Whether Salesforce counts the rows in time.
    :param identity: As whom they were counted, ``00D.../005...``, and are all to be read; None where that is not known.
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
    is_countable: bool = True
    identity: str | None = None
    segments: tuple[Segment, ...] = field(default=(), repr=False)

    @property
    def api(self) -> str:
        """Return by which API it is read: ``rest`` or ``bulk``."""
        return "bulk" if self.pagination == "bulk" else "rest"

    @property
    def kind_of_page(self) -> str:
        """Return what people call a part of it: ``page`` or ``chunk``."""
        return "chunk" if self.pagination == "bulk" else "page"

    @property
    def rows_per_file(self) -> int:
        """Return how many rows a file holds at most."""
        return ROWS_PER_CHUNK_FILE if self.pagination == "bulk" else self.request.page_size

    @property
    def soql(self) -> str:
        """Return the query that all that is read comes from."""
        return self.job.soql if self.job else self.request.query.select()

    @property
    def as_of(self) -> str:
        """Return from when on changes may be missing: a job that is taken up again has read before this plan began."""
        return min(self.started_at, self.job.submitted_at) if self.job else self.started_at

    @property
    def run_key(self) -> str:
        """Return what the names of all files of one DAG run begin with, whatever its attempts."""
        return self.run[:_RUN_KEY_LENGTH]

    def renewed(self) -> Plan:
        """Return the plan under a new name, for files that have nothing to do with those read by it before."""
        return replace(self, run=_attempt(self.run_key))

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
        request["optional_fields"] = tuple(request["optional_fields"])
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
            is_countable=plain["is_countable"],
            identity=plain.get("identity"),  # not there where an older version has counted
            segments=tuple(Segment(**segment) for segment in segments),
        )

    def tasks(self, max_tasks: int) -> list[dict[str, Any]]:
        """
        Return the segments in even shares, each with a label for people.

        :param max_tasks: The most shares.
        :returns: ``[{"label": "pages 5-8 of 25 · rows 8,001-16,000", "segments": [{...}, ...]}, ...]``; nobody knows
            the rows of chunks before they are read.
        """
        count = min(max_tasks, len(self.segments))
        cuts = [len(self.segments) * cut // count for cut in range(count + 1)] if count else []
        rows_before = [*(segment.rows_before for segment in self.segments), self.total]
        return [self._task(self.segments[a:b], rows_before[a] + 1, rows_before[b]) for a, b in pairwise(cuts)]

    def _task(self, segments: tuple[Segment, ...], first_row: int, last_row: int) -> dict[str, Any]:
        first, last = segments[0].first_page, segments[-1].first_page + segments[-1].pages - 1
        pages = f"{self.kind_of_page} {first}" if first == last else f"{self.kind_of_page}s {first}-{last}"
        has_rows = self.pagination != "bulk" and first_row <= last_row
        rows = f" · rows {first_row:,}-{last_row:,}" if has_rows else ""
        return {
            "label": f"{pages} of {self.total_pages}{rows}",
            "segments": [asdict(segment) for segment in segments],
        }


def new_run(run_id: str) -> str:
    """
    Return a short name for an attempt of a DAG run; those of one DAG run begin alike.

    :param run_id: What tells the DAG run from all others.
    """
    return _attempt(hashlib.sha256(run_id.encode()).hexdigest()[:_RUN_KEY_LENGTH])


def _attempt(run_key: str) -> str:
    return run_key + secrets.token_hex(_ATTEMPT_BYTES)
