"""
Making pages cover the object exactly once, where records came and went while they were read.

A gap is read by its bounds and written as an extra page; of pages that overlap, the later one is written again without
the rows that the earlier one has.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING

from airflow_provider_salesforce_export.export import destination
from airflow_provider_salesforce_export.export.coverage import Tile, tile
from airflow_provider_salesforce_export.export.formats.page_format import PageFormat
from airflow_provider_salesforce_export.export.page import Page, PageResult, ids_of, write_pages
from airflow_provider_salesforce_export.export.plan import Segment
from airflow_provider_salesforce_export.export.segments import range_pages
from airflow_provider_salesforce_export.salesforce.record_ids import sort_key

if TYPE_CHECKING:
    from airflow_provider_salesforce_export.export.destination import Folder
    from airflow_provider_salesforce_export.export.manifest import Repair
    from airflow_provider_salesforce_export.export.plan import Plan
    from airflow_provider_salesforce_export.salesforce.client import SalesforceClient

log = logging.getLogger(__name__)


class Repairer:
    """
    Repairs the pages of one export.

    :param client: The org.
    :param plan: The plan by which the pages were read.
    :param folder: Where they lie.
    :param attempt: Which try this is, from 1: the files of an earlier one are never overwritten.
    """

    def __init__(self, client: SalesforceClient, plan: Plan, folder: Folder, *, attempt: int) -> None:
        self._client = client
        self._plan = plan
        self._folder = folder
        self._suffix = f"-repair{attempt}"

    def repair(self, pages: Sequence[PageResult]) -> tuple[list[PageResult], list[Repair]]:
        """
        Return pages that cover the object exactly once, in the order of their Ids, and what was done for it.

        :param pages: What the page tasks returned, in any order.
        """
        self._parts = Counter[int]()
        for page in pages:
            self._parts[page["page"]] = max(self._parts[page["page"]], page["part"] + 1)
        repaired: list[PageResult] = []
        repairs: list[Repair] = []
        for part in tile(pages):
            if part.is_whole_page and part.page:
                repaired.append(part.page)
                continue
            if part.page:
                made, kind, rows = self._cut(part, part.page)
            else:
                made, kind, rows = self._fill(part, after=repaired[-1] if repaired else None)
            repaired += made
            repairs.append(
                {"kind": kind, "page": made[0]["page"], "after": part.after, "until": part.until, "rows": rows}
            )
            log.warning("Repaired page %d: %s of %d rows.", made[0]["page"], kind, rows)
        return repaired, repairs

    def _fill(self, gap: Tile, *, after: PageResult | None) -> tuple[list[PageResult], str, int]:
        number = after["page"] if after else 1
        segment = Segment(number, 1, (number - 1) * self._plan.request.page_size, after=gap.after, until=gap.until)
        first_part = self._parts[number]
        pages = (replace(page, part=page.part + first_part) for page in range_pages(self._client, self._plan, segment))
        filled = list(chain.from_iterable(write_pages(pages, self._plan, self._folder, self._suffix)))
        self._parts[number] += len(filled)
        return filled, "gap", sum(page["rows"] for page in filled)

    def _cut(self, part: Tile, page: PageResult) -> tuple[list[PageResult], str, int]:
        records = []
        if page["file"]:
            content = destination.read(self._folder / page["file"])
            records = PageFormat(self._plan).decode(content)
        kept = [record for record in records if sort_key(record.Id) > (part.after or "")]
        offset = (page["page"] - 1) * self._plan.request.page_size
        cut = Page(page["page"], page["part"], offset, part.after, page["until"], ids_of(kept), kept)
        (written,) = write_pages([cut], self._plan, self._folder, self._suffix)
        return written, "overlap", len(records) - len(kept)
