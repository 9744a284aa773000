"""
Composing and quoting SOQL.

Rules from Salesforce's *SOQL and SOSL Reference*: "Quoted String Escape Sequences", "Date Formats and Date
Literals in WHERE", "OFFSET".
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Any

from airflow_provider_salesforce_export.exceptions import ConfigurationError
from airflow_provider_salesforce_export.salesforce.record_ids import sort_key
from airflow_provider_salesforce_export.salesforce.records import record_type

MAX_OFFSET = 2000
"""The largest OFFSET that Salesforce accepts."""

_CLAUSE = re.compile(r"('(?:\\.|[^'\\])*')| (?=(?:FROM|WHERE|ORDER BY) )")
"""A string literal, which may hold anything, or the space before a clause."""
_STRING_ESCAPES = str.maketrans({"\\": "\\\\", "'": "\\'"})


def quote(text: str) -> str:
    """Return the text as a SOQL string literal."""
    return f"'{text.translate(_STRING_ESCAPES)}'"


def in_lines(soql: str) -> str:
    """Return a query for people: each of its clauses begins a line, also those of queries within it."""
    return _CLAUSE.sub(lambda found: found[1] or "\n", soql)


def datetime_literal(moment: datetime) -> str:
    """
    Return the moment as a SOQL datetime literal in UTC, to the millisecond, which is as fine as Salesforce keeps it.

    :param moment: A datetime with a time zone.
    :raises ConfigurationError: The datetime is naive.
    """
    if moment.tzinfo is None:
        raise ConfigurationError(f"{moment.isoformat()} has no time zone: write it with one, such as 'Z' for UTC.")
    return moment.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True)
class Query:
    """
    A set of records: fields of one sObject under conditions.

    COUNT, bounds and pages are all derived from one such query, so they cannot disagree about the filter.

    :param sobject: The API name.
    :param fields: Field paths, ``Id`` among them.
    :param conditions: SOQL conditions that must all hold.
    """

    sobject: str
    fields: tuple[str, ...]
    conditions: tuple[str, ...] = ()

    @property
    def record_type(self) -> type[Any]:
        """Return the struct that holds one of the records."""
        return record_type(self.sobject, self.fields)

    def where(self, *conditions: str | None) -> Query:
        """Return the query with further conditions; None and empty ones are left out."""
        return replace(self, conditions=(*self.conditions, *(c for c in conditions if c)))

    def between(self, after: str | None, until: str | None) -> Query:
        """Return the records whose Id lies in ``(after, until]``; None leaves that end open."""
        return self.where(
            after and f"Id > {quote(sort_key(after))}",
            until and f"Id <= {quote(sort_key(until))}",
        )

    def count(self) -> str:
        """Return the SOQL that counts the records."""
        return self._compose("COUNT()")

    def extent(self) -> str:
        """
        Return the SOQL that counts the records and finds the first and the last Id: ``expr0``, ``expr1``, ``expr2``.

        See the *SOQL and SOSL Reference*, "Support for Field Types in Aggregate Functions".
        """
        return self._compose("COUNT(Id), MIN(Id), MAX(Id)")

    def select(self, *, limit: int | None = None, offset: int = 0, ordered: bool = True) -> str:
        """Return the SOQL that reads the records by rising Id, or in no order: then Bulk jobs read in parallel."""
        paging = "ORDER BY Id ASC" if ordered else ""
        if limit is not None:
            paging += f" LIMIT {limit}"
        if offset:
            paging += f" OFFSET {offset}"
        return self._compose(", ".join(self.fields), paging)

    def _compose(self, selected: str, tail: str = "") -> str:
        # A single condition needs no parentheses, and Salesforce's own messages then point into readable text.
        conditions = self.conditions if len(self.conditions) < 2 else [f"({c})" for c in self.conditions]
        where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
        return " ".join(part for part in (f"SELECT {selected} FROM {self.sobject}", where, tail) if part)
