"""
The manifest: the one commit point of an export.

It is written last, in one step, and names every file that belongs to the export. What it does not name does not
count, and is swept once a new manifest stands.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, TypedDict

from airflow_provider_salesforce_export.export.formats.choices import ALWAYS_FLAT
from airflow_provider_salesforce_export.version import __version__

if TYPE_CHECKING:
    from airflow_provider_salesforce_export.export.destination import Folder
    from airflow_provider_salesforce_export.export.drift import SchemaChange
    from airflow_provider_salesforce_export.export.page import PageResult
    from airflow_provider_salesforce_export.export.plan import Plan
    from airflow_provider_salesforce_export.export.window import WindowRead

FILE_NAME = "manifest.json"


class WrittenFile(TypedDict):
    """A file of an export. Its ``part`` is 0, or tells files of one page or chunk apart; Ids are those of its rows."""

    page: int
    part: int
    file: str
    rows: int
    bytes: int
    sha256: str
    first_id: str
    last_id: str


class Repair(TypedDict):
    """Rows that were read again, of a ``gap`` or a ``lost`` chunk, or left out, of an ``overlap``."""

    kind: str
    page: int
    after: str | None
    until: str | None
    rows: int


class BulkJobRead(TypedDict):
    """The Bulk job that the rows come from."""

    id: str
    submitted_at: str


class _OfCommit(TypedDict, total=False):
    attempt: int
    replaces: list[str]


class Manifest(_OfCommit):
    """What an export is; what each key means stands in the documentation, "Reading the output"."""

    manifest_version: int
    object_type: str
    sobject: str
    fields: list[str]
    columns: list[dict[str, Any]]
    schema_hash: str
    left_out: dict[str, str]
    schema_change: SchemaChange | None
    soql: str
    output_format: str
    compression: str | None
    flatten: bool
    include_deleted: bool
    window: WindowRead | None
    api: str
    api_reason: str
    bulk_job: BulkJobRead | None
    pagination: str
    page_size: int
    run: str
    count: int
    count_after: int | None
    rows: int
    drift: int
    bytes: int
    api_calls: int
    started_at: str
    as_of: str
    published_at: str
    seconds: float
    written_by: str
    repairs: list[Repair]
    pages: list[WrittenFile]


def manifest_in(folder: Folder) -> Folder:
    """
    Return the path of the manifest that stands, or would stand, in a folder.

    Whoever reads a Hive partition takes every file in it for data, but those whose names begin with ``_`` or a dot.

    :param folder: A partition of an export.
    """
    return folder / (f"_{FILE_NAME}" if "=" in folder.name else FILE_NAME)


def describe_export(
    plan: Plan, pages: Iterable[PageResult], repairs: list[Repair], *, count_after: int | None, api_calls: int
) -> Manifest:
    """
    Return the manifest of an export that is whole.

    :param plan: The plan by which it was read.
    :param pages: The results of its pages; those without rows have no file.
    :param repairs: What was done to make it whole.
    :param count_after: Rows, as counted again; None where they were not.
    :param api_calls: How many calls the run has made.
    """
    request = plan.request
    started_at, published_at = datetime.fromisoformat(plan.started_at), datetime.now(timezone.utc)
    files = [_file(page) for page in pages if page["file"]]
    rows = sum(file["rows"] for file in files)
    return {
        "manifest_version": 1,
        "object_type": request.object_type,
        "sobject": request.query.sobject,
        "fields": list(request.query.fields),
        "columns": [asdict(column) for column in plan.schema.columns],
        "schema_hash": plan.schema.hash(with_parents=request.output_format == "parquet"),
        "left_out": dict(plan.schema.left_out),
        "schema_change": plan.schema_change,
        "soql": plan.soql,
        "output_format": request.output_format,
        "compression": request.compression,
        "flatten": request.flatten or request.output_format in ALWAYS_FLAT,
        "include_deleted": request.include_deleted,
        "window": request.window,
        "api": plan.api,
        "api_reason": plan.api_reason,
        "bulk_job": {"id": plan.job.id, "submitted_at": plan.job.submitted_at} if plan.job else None,
        "pagination": plan.pagination,
        "page_size": plan.rows_per_file,
        "run": plan.run,
        "count": plan.total,
        "count_after": count_after,
        "rows": rows,
        "drift": rows - plan.total,
        "bytes": sum(file["bytes"] for file in files),
        "api_calls": api_calls,
        "started_at": plan.started_at,
        "as_of": plan.as_of,
        "published_at": published_at.isoformat(timespec="milliseconds"),
        "seconds": round((published_at - started_at).total_seconds(), 3),
        "written_by": f"airflow-provider-salesforce-export {__version__}",
        "repairs": repairs,
        "pages": files,
    }


def _file(page: PageResult) -> WrittenFile:
    return {
        "page": page["page"],
        "part": page["part"],
        "file": page["file"],
        "rows": page["rows"],
        "bytes": page["bytes"],
        "sha256": page["sha256"],
        "first_id": page["first_id"],
        "last_id": page["last_id"],
    }
