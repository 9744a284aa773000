"""
The results of a Bulk job: chunks, each cut into files.

How it is proven that they are whole: each chunk holds as many rows as Salesforce announced with it, or it is read
again; all files together hold as many rows as the job found; and no Id is in them twice. There are no ranges of Ids to
check, as with pages: the records of a job are those that there were at one moment, and chunks are in no order. Where a
file is lost, its chunk is read again.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from airflow_provider_salesforce_export.exceptions import InconsistentPagesError
from airflow_provider_salesforce_export.export import destination
from airflow_provider_salesforce_export.export.bulk_job import delete_job, with_chunks
from airflow_provider_salesforce_export.export.bulk_rows import RowReader
from airflow_provider_salesforce_export.export.duplicates import DuplicateCheck
from airflow_provider_salesforce_export.export.formats.page_format import PageFormat
from airflow_provider_salesforce_export.export.page import Page, PageResult, position, write_pages
from airflow_provider_salesforce_export.salesforce.bulk_job import ResultPage

if TYPE_CHECKING:
    from airflow_provider_salesforce_export.export.destination import Folder
    from airflow_provider_salesforce_export.export.manifest import Repair
    from airflow_provider_salesforce_export.export.plan import Plan, Segment
    from airflow_provider_salesforce_export.salesforce.bulk_csv import Columns
    from airflow_provider_salesforce_export.salesforce.client import SalesforceClient

log = logging.getLogger(__name__)

_PARALLEL_READS = 4
_CHARACTERS_PER_FILE = 20_000_000
"""Rows may be large."""


def export_chunk(
    client: SalesforceClient, plan: Plan, segment: Segment, folder: Folder, suffix: str, written: list[PageResult]
) -> list[PageResult]:
    """
    Read a chunk, and write its files; where the download breaks off, it begins anew, and so do the files.

    :param client: The org.
    :param plan: The plan, whose job is complete.
    :param segment: The chunk.
    :param folder: Where the files go.
    :param suffix: What tells their names from those of other tries.
    :param written: Is given the result of each file once that is written; cleared where the chunk begins anew.
    :returns: One small dict for each file.
    :raises SalesforceExportError: It cannot be read or written.
    """
    assert plan.job
    assert segment.chunk
    reader = RowReader(plan.request.query.sobject, plan.schema)

    def write(batches: Iterator[Columns]) -> list[PageResult]:
        files = _files(batches, reader, PageFormat(plan), segment.first_page, plan.rows_per_file)
        written.clear()
        for file in write_pages(files, plan, folder, suffix):
            written.extend(file)
        return list(written)

    chunk = ResultPage(plan.job.id, segment.first_page - 1, segment.chunk)
    return client.bulk.read(chunk, reader.fields, write)


def _files(
    batches: Iterator[Columns], reader: RowReader, page_format: PageFormat, number: int, most: int
) -> Iterator[Page]:
    part, ids, records, characters = 0, list[str](), list[Any](), 0
    for columns in batches:
        ids += columns[reader.fields.index("Id")]
        records += page_format.pack(reader.records(columns))
        characters += sum(map(len, map("".join, columns)))
        while len(ids) >= most or characters > _CHARACTERS_PER_FILE:
            file = _file(number, part, ids[:most], records[:most])
            part, ids, records, characters = part + 1, ids[most:], records[most:], 0
            yield file
            del file  # or its records would be there until those of the next file are
    if ids or not part:
        yield _file(number, part, ids, records)


def _file(number: int, part: int, ids: list[str], records: list[Any]) -> Page:
    order = sorted(range(len(ids)), key=ids.__getitem__)
    return Page(number, part, None, None, None, [ids[row] for row in order], [records[row] for row in order])


def complete_chunks(
    client: SalesforceClient,
    plan: Plan,
    folder: Folder,
    pages: Sequence[PageResult],
    lost: set[int],
    duplicates: DuplicateCheck,
    *,
    attempt: int,
) -> tuple[list[PageResult], list[Repair]]:
    """
    Return the files of all chunks, and what was done for it: chunks are read again that have lost files.

    :param client: The org.
    :param plan: The plan.
    :param folder: Where the files lie.
    :param pages: What the page tasks returned, in any order, of the files that are there.
    :param lost: The numbers of chunks that files are missing of.
    :param duplicates: Knows the files that are there.
    :param attempt: Which try this is, from 1: the files of an earlier one are never overwritten.
    :raises InconsistentPagesError: The files do not hold all that the job found, or they hold a record twice.
    """
    assert plan.job
    lost = lost | set(range(1, plan.total_pages + 1)) - {page["page"] for page in pages}
    whole = [page for page in pages if page["page"] not in lost]
    repairs: list[Repair] = []
    if lost:
        found = with_chunks(client, plan, client.bulk.job(plan.job.id))
        for chunk in (chunk for chunk in found.segments if chunk.first_page in lost):
            read = export_chunk(client, plan, chunk, folder, f"-repair{attempt}", [])
            rows = sum(page["rows"] for page in read)
            repairs.append({"kind": "lost", "page": chunk.first_page, "after": None, "until": None, "rows": rows})
            log.warning("Read chunk %d again: %d rows.", chunk.first_page, rows)
            whole += read
        duplicates = _checked_again(plan, folder, whole)
    rows = sum(page["rows"] for page in whole)
    if rows != plan.job.records:
        delete_job(client, plan)  # or the next try would take it up, to end alike
        raise InconsistentPagesError(
            f"The files hold {rows} rows, and the Bulk job {plan.job.id} found {plan.job.records} records. Nothing was "
            "published; clear the task that counts, so that all is read anew."
        )
    if duplicates.found():
        delete_job(client, plan)
        raise InconsistentPagesError(
            "Two chunks of the Bulk job hold the same record. Nothing was published; clear the task that counts, so "
            "that all is read anew."
        )
    return sorted(whole, key=position), repairs


def _checked_again(plan: Plan, folder: Folder, pages: Sequence[PageResult]) -> DuplicateCheck:
    duplicates = DuplicateCheck(plan, pages)

    def add(page: PageResult) -> None:
        duplicates.add(page, destination.read(folder / page["file"]))

    with ThreadPoolExecutor(_PARALLEL_READS) as threads:
        list(threads.map(add, filter(duplicates.needs, pages)))
    return duplicates
