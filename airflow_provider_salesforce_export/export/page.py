"""One page: what it holds, how it is checked, and how it becomes a file."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from operator import lt
from typing import TYPE_CHECKING, Any

from airflow_provider_salesforce_export.export import destination
from airflow_provider_salesforce_export.export.formats.json_pages import PageNumbers
from airflow_provider_salesforce_export.export.formats.page_format import PageFormat
from airflow_provider_salesforce_export.export.words import counted, size
from airflow_provider_salesforce_export.salesforce.errors import incomplete
from airflow_provider_salesforce_export.salesforce.record_ids import sort_key, sort_keys

if TYPE_CHECKING:
    from airflow_provider_salesforce_export.export.destination import Folder
    from airflow_provider_salesforce_export.export.plan import Plan

log = logging.getLogger(__name__)

PageResult = dict[str, Any]
"""``{"page", "part", "file", "rows", "bytes", "sha256", "first_id", "last_id", "after", "until", "seconds"}``

``file`` is None where there was no row to write; ``after`` and ``until`` are None where the interval is open."""


@dataclass(frozen=True)
class Page:
    """
    Records that belong into one file.

    :param number: The number of the page; of a Bulk job, of the chunk.
    :param part: 0; higher for rows beyond the page size, which came after the rows had been counted, and for the
        further files of a chunk.
    :param offset: Rows of the object before this page, as counted; None where nobody knows.
    :param after: It covers Ids above this one; None for no bound.
    :param until: It covers Ids up to this one; None for no bound.
    :param ids: The Ids of the records, rising.
    :param records: In that order; structs of :mod:`~airflow_provider_salesforce_export.salesforce.records`, or what
        :meth:`~airflow_provider_salesforce_export.export.formats.page_format.PageFormat.pack` made of them.
    :param is_last_part: Whether no further part of this page follows.
    """

    number: int
    part: int
    offset: int | None
    after: str | None
    until: str | None
    ids: list[str]
    records: list[Any]
    is_last_part: bool = True


def position(result: PageResult) -> tuple[int, int]:
    """Return what puts page results into the order of their Ids."""
    return result["page"], result["part"]


def ids_of(records: Iterable[Any]) -> list[str]:
    """Return the Ids of records."""
    return [record.Id for record in records]


def write_pages(pages: Iterable[Page], plan: Plan, folder: Folder, suffix: str) -> Iterator[list[PageResult]]:
    """
    Check pages, and write each; yield the results of a page when all its parts are written.

    :param pages: The pages; the next one is asked for when the one before is written.
    :param plan: The plan that they belong to.
    :param folder: Where the files go.
    :param suffix: What tells their names from those of other tries.
    :raises IncompleteResponseError: The records are not in the order of their Ids, or not those that were asked for.
    :raises ExportError: A value is not of the type of its field, where the format has types.
    """
    page_format = PageFormat(plan)
    parts, started = list[PageResult](), time.monotonic()
    for page in pages:
        _check_order(page)
        numbers = PageNumbers(page.number, plan.rows_per_file, plan.total, plan.total_pages, page.offset)
        content = page_format.encode(page.records, numbers) if page.records else b""
        result = page_result(page, content, f"{_file_name(plan, page)}{suffix}{page_format.extension}")
        if page.records:
            destination.write(folder / result["file"], content)
        result["seconds"] = round(time.monotonic() - started, 3)
        which = f"{plan.kind_of_page.capitalize()} {page.number} of {plan.total_pages}"
        if plan.job or page.part or not page.is_last_part:
            which += f", file {page.part + 1}"
        log.info("%s: %s, %s, %.2f s.", which, counted(result["rows"], "row"), size(result["bytes"]), result["seconds"])
        parts.append(result)
        if page.is_last_part:
            yield parts
            parts = []
        del page, content  # or they would be there until the next page is
        started = time.monotonic()


def page_result(page: Page, content: bytes, name: str) -> PageResult:
    """
    Return what is told about a page.

    :param page: The page.
    :param content: Its bytes.
    :param name: Its file; not told of a page without records, which has none.
    """
    ids = page.ids
    return {
        "page": page.number,
        "part": page.part,
        "file": name if ids else None,
        "rows": len(ids),
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest() if ids else None,
        "first_id": ids[0] if ids else None,
        "last_id": ids[-1] if ids else None,
        "after": page.after,
        "until": page.until,
    }


def _check_order(page: Page) -> None:
    """Rising Ids inside the page's interval: together with intervals that meet, no Id can be there twice."""
    ids = sort_keys(page.ids)
    bounded = [*([sort_key(page.after)] if page.after else []), *ids]
    if not all(map(lt, bounded, bounded[1:])) or (ids and page.until and ids[-1] > sort_key(page.until)):
        raise incomplete(f"for page {page.number} is not in the order of its Ids, or has others than were asked for")


def _file_name(plan: Plan, page: Page) -> str:
    part = f".{page.part}" if page.part else ""
    return f"page-{page.number:05d}{part}-{plan.run}"
