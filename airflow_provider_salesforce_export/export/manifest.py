"""
The manifest: the one commit point of an export.

It is written last, in one step, and names every file that belongs to the export. What it does not name does not
count, and is swept once a new manifest stands.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import orjson

from airflow_provider_salesforce_export.exceptions import DestinationError, InconsistentPagesError
from airflow_provider_salesforce_export.export import destination
from airflow_provider_salesforce_export.export.page import PageResult, position
from airflow_provider_salesforce_export.salesforce.record_ids import sort_key
from airflow_provider_salesforce_export.version import __version__

if TYPE_CHECKING:
    from airflow_provider_salesforce_export.export.destination import Folder
    from airflow_provider_salesforce_export.export.plan import Plan

log = logging.getLogger(__name__)

NAME = "manifest.json"

Manifest = dict[str, Any]

_LOWEST, _HIGHEST = "", "~"  # sort before and after every Id
_OF_PAGE = ("page", "file", "rows", "bytes", "sha256", "first_id", "last_id")


def publish(folder: Folder, plan: Plan, results: Iterable[PageResult], *, api_calls: int) -> Manifest:
    """
    Check the pages against each other, commit them, and sweep what no manifest names.

    :param folder: Where the pages lie.
    :param plan: The plan by which they were read.
    :param results: What the page tasks returned, in any order.
    :param api_calls: How many calls the whole run made.
    :returns: The manifest as it was written.
    :raises InconsistentPagesError: The pages leave out or repeat a part of the object; nothing is committed.
    :raises DestinationError: A file is not there as it was written; nothing is committed.
    """
    pages = sorted(results, key=position)
    check_coverage(plan, pages)
    written = [page for page in pages if page["file"]]
    _check_files(folder, written)
    manifest = _manifest(plan, written, api_calls)
    destination.write(folder / NAME, orjson.dumps(manifest, option=orjson.OPT_INDENT_2))
    log.info(
        "Published %d rows of %s in %d pages with %d API calls: %s",
        manifest["rows"],
        plan.request.object_type,
        len(written),
        api_calls,
        folder / NAME,
    )
    _sweep(folder, {NAME, *(page["file"] for page in written)})
    return manifest


def check_coverage(plan: Plan, pages: Sequence[PageResult]) -> None:
    """
    Check that the intervals of the pages meet from the lowest Id to the highest, without a gap or an overlap.

    :param plan: The plan by which they were read.
    :param pages: What the page tasks returned, in order.
    :raises InconsistentPagesError: They do not; the message names each place.
    """
    if not plan.total:
        return  # COUNT itself said that there is nothing to cover.
    flaws, reached = [], _LOWEST
    for page in pages:
        begins = sort_key(page["after"]) if page["after"] else _LOWEST
        if begins > reached:
            flaws.append(f"gap before page {page['page']} between Id {reached or 'the first'} and {begins}")
        elif begins < reached:
            flaws.append(f"page {page['page']} begins at Id {begins or 'the first'}, inside the page before it")
        reached = sort_key(page["until"]) if page["until"] else _HIGHEST
    if reached != _HIGHEST:
        flaws.append(f"gap after Id {reached or 'the first'}, up to the last")
    if flaws:
        raise InconsistentPagesError(
            f"The pages of {plan.request.object_type} do not cover it exactly once, because records came or went while "
            f"they were read: {'; '.join(flaws)}. Nothing was published; run the export again."
        )


def _check_files(folder: Folder, pages: Iterable[PageResult]) -> None:
    sizes = destination.sizes(folder)
    for page in pages:
        expected, found = page["bytes"], sizes.get(page["file"])
        if found != expected:
            raise DestinationError(
                f"{folder / page['file']} should hold {expected} bytes, and "
                f"{'is not there' if found is None else f'holds {found}'}: another run may have swept or replaced it. "
                "Nothing was published; run the export again."
            )


def _manifest(plan: Plan, pages: Sequence[PageResult], api_calls: int) -> Manifest:
    request = plan.request
    started_at, published_at = datetime.fromisoformat(plan.started_at), datetime.now(timezone.utc)
    return {
        "manifest_version": 1,
        "object_type": request.object_type,
        "sobject": request.query.sobject,
        "fields": list(request.query.fields),
        "soql": request.query.select(),
        "include_deleted": request.include_deleted,
        "window": request.window and {"start": request.window[0], "end": request.window[1]},
        "pagination": plan.pagination,
        "page_size": request.page_size,
        "run": plan.run,
        "count": plan.total,
        "rows": sum(page["rows"] for page in pages),
        "bytes": sum(page["bytes"] for page in pages),
        "api_calls": api_calls,
        "started_at": plan.started_at,
        "published_at": published_at.isoformat(timespec="milliseconds"),
        "seconds": round((published_at - started_at).total_seconds(), 3),
        "written_by": f"airflow-provider-salesforce-export {__version__}",
        "pages": [{name: page[name] for name in _OF_PAGE} for page in pages],
    }


def _sweep(folder: Folder, named: set[str]) -> None:
    for name in sorted(destination.sizes(folder).keys() - named):
        if name.startswith(("page-", ".page-")):
            destination.delete(folder / name)
            log.info("Swept %s, which the manifest does not name.", name)
