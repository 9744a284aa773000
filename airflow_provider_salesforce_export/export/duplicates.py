"""
Whether the files of a Bulk job hold a record twice.

Within a file Ids rise, so that none is there twice; and files whose Ids do not lie between those of another share none.
Of all others the Ids are compared by their hashes: eight bytes a row, and one false alarm in hundreds of thousands of
exports of ten million rows.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from itertools import accumulate
from operator import itemgetter
from typing import TYPE_CHECKING

from airflow_provider_salesforce_export.export.formats.page_format import PageFormat

if TYPE_CHECKING:
    from airflow_provider_salesforce_export.export.page import PageResult
    from airflow_provider_salesforce_export.export.plan import Plan

_PARTITIONS = 64
"""Compared one after the other, so that a small part of the hashes is in a set at a time."""


class DuplicateCheck:
    """
    Looks for Ids that are in two files. Threads may share it.

    :param plan: The plan, which says how the files are written.
    :param pages: The files that there are.
    """

    def __init__(self, plan: Plan, pages: Iterable[PageResult]) -> None:
        self._format = PageFormat(plan)
        self._suspects = {page["file"] for page in _overlapping(pages)}
        self._hashes = [array("q") for _ in range(_PARTITIONS)]

    def needs(self, page: PageResult) -> bool:
        """
        Return whether the Ids of a file are to be compared with those of others.

        :param page: What was reported of it.
        """
        return page["file"] in self._suspects

    def add(self, page: PageResult, content: bytes) -> None:
        """
        Take a file into account, if it is needed.

        :param page: What was reported of it.
        :param content: What it holds.
        """
        if self.needs(page):
            for record_id in self._format.ids(content):
                value = hash(record_id)
                self._hashes[value % _PARTITIONS].append(value)

    def found(self) -> bool:
        """Return whether an Id was in two files."""
        return any(len(set(part)) < len(part) for part in self._hashes)


def _overlapping(pages: Iterable[PageResult]) -> Iterator[PageResult]:
    spans = sorted((page for page in pages if page["file"]), key=itemgetter("first_id"))
    reached = list(accumulate((page["last_id"] for page in spans), max))
    for index, page in enumerate(spans):
        begins_inside = index > 0 and page["first_id"] <= reached[index - 1]
        if begins_inside or (index + 1 < len(spans) and spans[index + 1]["first_id"] <= reached[index]):
            yield page
