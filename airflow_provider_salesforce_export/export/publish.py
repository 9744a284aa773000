"""
Publishing: the pages are checked against each other and repaired, and the manifest that names them is committed.

It can be repeated, wherever it was interrupted.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from airflow_provider_salesforce_export.exceptions import InconsistentPagesError, SalesforceError
from airflow_provider_salesforce_export.export import destination
from airflow_provider_salesforce_export.export.bulk_chunk import complete_chunks
from airflow_provider_salesforce_export.export.bulk_job import delete_job
from airflow_provider_salesforce_export.export.commit import commit, is_replaced
from airflow_provider_salesforce_export.export.duplicates import DuplicateCheck
from airflow_provider_salesforce_export.export.manifest import Repair, describe_export, manifest_in
from airflow_provider_salesforce_export.export.repair import Repairer
from airflow_provider_salesforce_export.export.words import counted, size

if TYPE_CHECKING:
    from airflow_provider_salesforce_export.export.destination import Folder
    from airflow_provider_salesforce_export.export.manifest import Manifest
    from airflow_provider_salesforce_export.export.page import PageResult
    from airflow_provider_salesforce_export.export.plan import Plan
    from airflow_provider_salesforce_export.salesforce.client import SalesforceClient

log = logging.getLogger(__name__)

_PARALLEL_READS = 4


def publish(
    client: SalesforceClient,
    folder: Folder,
    plan: Plan,
    results: Sequence[PageResult],
    *,
    api_calls: int,
    attempt: int = 1,
) -> Manifest:
    """
    Check the pages against each other, repair what is amiss, commit them, and sweep what no manifest names.

    :param client: The org, to read gaps and to count again.
    :param folder: Where the pages lie.
    :param plan: The plan by which they were read.
    :param results: What the page tasks returned, in any order.
    :param api_calls: How many calls the run has made so far, besides those of this client.
    :param attempt: Which try of publishing this is, from 1.
    :returns: The manifest as it was written.
    :raises InconsistentPagesError: A file does not hold what its page reported, or a later try of the DAG run has
        published; nothing is committed.
    :raises DestinationError: A file cannot be read or written; nothing is committed.
    :raises LoginChangedError: The login is another than when the rows were counted; nothing is committed.
    """
    client.require_identity(plan.identity)
    if is_replaced(folder, plan.run):
        log.warning("Another run has replaced what this one published: the rows are read again.")
        plan, results = plan.renewed(), []
    with ThreadPoolExecutor(1) as thread:
        counting = thread.submit(_count, client, plan)
        duplicates = DuplicateCheck(plan, results if plan.job else ())
        pages, repairs = _check_files(folder, results, duplicates), list[Repair]()
    if plan.job:
        kept = {page["file"] for page in pages}
        lost = {page["page"] for page in results if page["file"] not in kept}
        pages, repairs = complete_chunks(client, plan, folder, pages, lost, duplicates, attempt=attempt)
    elif plan.total:  # Where there was nothing to count, there is nothing to cover.
        pages, repairs = Repairer(client, plan, folder, attempt=attempt).repair(pages)
    count_after = _count(client, plan) if repairs and not plan.job else counting.result()
    manifest = describe_export(plan, pages, repairs, count_after=count_after, api_calls=api_calls + client.usage.calls)
    manifest = commit(folder, manifest, run_key=plan.run_key, attempt=attempt)
    delete_job(client, plan)
    _report(manifest, folder)
    _meter(client, manifest)
    return manifest


def _count(client: SalesforceClient, plan: Plan) -> int | None:
    if not plan.is_countable:
        return None
    try:
        return client.count(plan.request.query.count(), include_deleted=plan.request.include_deleted)
    except SalesforceError as error:
        if not plan.job:
            raise
        log.warning("The rows were not counted again: %s What the job found is whole without that.", error)
        return None


def _check_files(folder: Folder, results: Sequence[PageResult], duplicates: DuplicateCheck) -> list[PageResult]:
    """
    Compare each file with what its page reported: a page that was replaced or cut must not be published.

    A page whose file is gone is left out, so that the repair reads its rows again: an earlier try of publishing has
    swept it, where it published a repaired page in its place and died before the task ended.
    """

    def found(page: PageResult) -> tuple[str, int] | None:
        content = destination.read_if_there(folder / page["file"])
        if content is None:
            return None
        sha256 = hashlib.sha256(content).hexdigest()
        if sha256 == page["sha256"]:
            duplicates.add(page, content)
        return sha256, len(content)

    written = [page for page in results if page["file"]]
    with ThreadPoolExecutor(_PARALLEL_READS) as threads:
        checked = list(zip(written, threads.map(found, written), strict=True))
    changed = [
        f"{page['file']} (reported: {page['rows']} rows in {page['bytes']} bytes; holds: {file[1]} bytes)"
        for page, file in checked
        if file and file[0] != page["sha256"]
    ]
    if changed:
        raise InconsistentPagesError(
            f"{len(changed)} of {len(written)} files in {folder} do not hold what was written to them: "
            f"{'; '.join(changed)}. Something else writes there. Nothing was published; clear the page tasks."
        )
    gone = {page["file"] for page, file in checked if not file}
    if gone:
        log.warning("%d of %d files are gone; their rows are read again: %s", len(gone), len(written), sorted(gone))
    return [page for page in results if page["file"] not in gone]


def _meter(client: SalesforceClient, manifest: Manifest) -> None:
    meter, object_type = client.meter, manifest["object_type"]
    meter.count("exports", object_type=object_type)
    meter.count("rows", manifest["rows"], object_type=object_type)
    meter.count("bytes", manifest["bytes"], object_type=object_type)
    meter.count("pages", len(manifest["pages"]), object_type=object_type)
    meter.count("repairs", len(manifest["repairs"]), object_type=object_type)
    meter.time("export.duration", manifest["seconds"], object_type=object_type)


def _report(manifest: Manifest, folder: Folder) -> None:
    count, count_after = manifest["count"], manifest["count_after"]
    if manifest["drift"] or count_after not in (None, count):
        log.info(
            "Records came or went meanwhile: counted %s before%s; the pages cover the object exactly once.",
            f"{count:,}",
            "" if count_after is None else f", {count_after:,} after",
        )
    log.info(
        "Published %s of %s in %s, %s, with %s and %s in %.1f s: %s",
        counted(manifest["rows"], "row"),
        manifest["object_type"],
        counted(len(manifest["pages"]), "page"),
        size(manifest["bytes"]),
        counted(manifest["api_calls"], "API call"),
        counted(len(manifest["repairs"]), "repair"),
        manifest["seconds"],
        manifest_in(folder),
    )
