"""
Whether pages cover an object exactly once.

Each page covers an interval of Ids ``(after, until]``: when it was read, it held every row of the object in it. Where
the intervals of all pages meet, from below the lowest Id to above the highest, every row that existed throughout the
run is in exactly one page, whatever came, changed and went meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_salesforce_export.salesforce.record_ids import sort_key

if TYPE_CHECKING:
    from airflow_provider_salesforce_export.export.page import PageResult

_LOWEST, _HIGHEST = "", "~"  # sort before and after every Id


@dataclass(frozen=True)
class Tile:
    """
    A part of the Id space, and the page that covers it.

    :param after: It begins above this Id; None for no bound.
    :param until: It ends with this Id; None for no bound.
    :param page: The page to take its rows from; None where no page covers it.
    """

    after: str | None
    until: str | None
    page: PageResult | None

    @property
    def is_whole_page(self) -> bool:
        """Return whether all that the page covers belongs to the tile."""
        return self.page is not None and _lower(self.page) == (self.after or _LOWEST)


def tile(pages: Iterable[PageResult]) -> Iterator[Tile]:
    """
    Divide the Id space among pages, so that no row is taken from two of them.

    :param pages: What the page tasks returned, in any order.
    :returns: Tiles that meet, from the lowest Id to the highest. A page that others cover wholly is left out; one that
        they cover in part gives only its upper part.
    """
    reached = _LOWEST
    for page in sorted(pages, key=lambda page: (_lower(page), _upper(page))):
        lower, upper = _lower(page), _upper(page)
        if upper <= reached:
            continue
        if lower > reached:
            yield Tile(reached or None, lower, None)
        yield Tile(max(reached, lower) or None, page["until"], page)
        reached = upper
    if reached != _HIGHEST:
        yield Tile(reached or None, None, None)


def _lower(page: PageResult) -> str:
    return sort_key(page["after"]) if page["after"] else _LOWEST


def _upper(page: PageResult) -> str:
    return sort_key(page["until"]) if page["until"] else _HIGHEST
