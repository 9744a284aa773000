"""
The manifest: the one commit point of an export.

It is written last, in one step, and names every file that belongs to the export. What it does not name does not
count, and is swept once a new manifest stands.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import orjson

from airflow_provider_salesforce_export.exceptions import InconsistentPagesError
from airflow_provider_salesforce_export.export import destination
from airflow_provider_salesforce_export.export.repair import Repair, Repairer
from airflow_provider_salesforce_export.version import __version__

if TYPE_CHECKING:
    from airflow_provider_salesforce_export.export.destination import Folder
    from airflow_provider_salesforce_export.export.page import PageResult
    from airflow_provider_salesforce_export.export.plan import Plan
    from airflow_provider_salesforce_export.salesforce.client import SalesforceClient

log = logging.getLogger(__name__)

NAME = "manifest.json"

Manifest = dict[str, Any]

_OF_PAGE = ("page", "part", "file", "rows", "bytes", "sha256", "first_id", "last_id")
_PARALLEL_READS = 4
_ABANDONED_AFTER = 24 * 3600  # seconds: no run of Airflow still writes to pages that are older


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
    :raises InconsistentPagesError: A file does not hold what its page reported; nothing is committed.
    :raises DestinationError: A file cannot be read or written; nothing is committed.
    """
    _check_files(folder, [page for page in results if page["file"]])
    pages, repairs = list(results), list[Repair]()
    if plan.total:  # Where there was nothing to count, there is nothing to cover.
        pages, repairs = Repairer(client, plan, folder, attempt=attempt).repair(results)
    count_after = client.count(plan.request.query.count(), include_deleted=plan.request.include_deleted)
    written = [page for page in pages if page["file"]]
    manifest = _manifest(plan, written, repairs, count_after, api_calls + client.usage.calls)
    before = _read(folder)
    destination.write(folder / NAME, orjson.dumps(manifest, option=orjson.OPT_INDENT_2))
    _report(manifest, folder)
    _sweep(folder, plan.run_key, keep=manifest, before=before)
    return manifest


def _check_files(folder: Folder, pages: Sequence[PageResult]) -> None:
    """Compare each file with what its page reported: a page that was replaced or cut must not be published."""

    def check(page: PageResult) -> str | None:
        content = destination.read(folder / page["file"])
        if hashlib.sha256(content).hexdigest() == page["sha256"]:
            return None
        return f"{page['file']} (reported: {page['rows']} rows in {page['bytes']} bytes; holds: {len(content)} bytes)"

    with ThreadPoolExecutor(_PARALLEL_READS) as threads:
        changed = [difference for difference in threads.map(check, pages) if difference]
    if changed:
        raise InconsistentPagesError(
            f"{len(changed)} of {len(pages)} files in {folder} do not hold what was written to them: "
            f"{'; '.join(changed)}. Something else writes there. Nothing was published; clear the page tasks."
        )


def _manifest(
    plan: Plan, pages: Iterable[PageResult], repairs: list[Repair], count_after: int, api_calls: int
) -> Manifest:
    request = plan.request
    started_at, published_at = datetime.fromisoformat(plan.started_at), datetime.now(timezone.utc)
    described = [{name: page[name] for name in _OF_PAGE} for page in pages]
    rows = sum(page["rows"] for page in described)
    return {
        "manifest_version": 1,
        "object_type": request.object_type,
        "sobject": request.query.sobject,
        "fields": list(request.query.fields),
        "soql": request.query.select(),
        "include_deleted": request.include_deleted,
        "window": request.window,
        "pagination": plan.pagination,
        "page_size": request.page_size,
        "run": plan.run,
        "count": plan.total,
        "count_after": count_after,
        "rows": rows,
        "drift": rows - plan.total,
        "bytes": sum(page["bytes"] for page in described),
        "api_calls": api_calls,
        "started_at": plan.started_at,
        "published_at": published_at.isoformat(timespec="milliseconds"),
        "seconds": round((published_at - started_at).total_seconds(), 3),
        "written_by": f"airflow-provider-salesforce-export {__version__}",
        "repairs": repairs,
        "pages": described,
    }


def _report(manifest: Manifest, folder: Folder) -> None:
    log.info(
        "Published %d rows of %s in %d page(s) with %d API calls: %s",
        manifest["rows"],
        manifest["object_type"],
        len(manifest["pages"]),
        manifest["api_calls"],
        folder / NAME,
    )
    if manifest["drift"] or manifest["count_after"] != manifest["count"]:
        log.info(
            "Records came or went meanwhile: counted %d before, %d after; the pages cover the object exactly once.",
            manifest["count"],
            manifest["count_after"],
        )


def _read(folder: Folder) -> Manifest | None:
    if NAME not in destination.files(folder):
        return None
    manifest: Manifest = orjson.loads(destination.read(folder / NAME))
    return manifest


def _sweep(folder: Folder, run_key: str, *, keep: Manifest, before: Manifest | None) -> None:
    """
    Delete the files of the manifest before, leftovers of this run's other tries, and what was abandoned long ago.

    Files of another run may be those of one that fills the same partition at this moment: they are left alone.
    """
    named = {page["file"] for page in keep["pages"]}
    replaced = {page["file"] for page in before["pages"]} if before else set()
    abandoned = time.time() - _ABANDONED_AFTER
    for name, file in destination.files(folder).items():
        is_page = name.startswith(("page-", ".page-")) and name not in named
        if is_page and (name in replaced or f"-{run_key}" in name or file.modified < abandoned):
            destination.delete(folder / name)
            log.info("Swept %s, which the manifest does not name.", name)
