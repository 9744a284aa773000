"""
CSV as RFC 4180 has it: a header, commas, double quotes where they are needed, lines that end with CR LF; in UTF-8.

Null is an empty cell; Salesforce keeps no empty texts. What is no text is written as JSON writes it.
"""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import msgspec

from airflow_provider_salesforce_export.export.formats.columns import nested, values_by_column

if TYPE_CHECKING:
    from airflow_provider_salesforce_export.export.formats.json_pages import PageNumbers

_AS_JSON = {bool, dict, list}  # the others look the same in CSV


class CsvPages:
    """
    Pages as CSV.

    :param paths: The columns.
    :param record_type: The struct that holds a record.
    """

    extension = ".csv"

    def __init__(self, paths: Sequence[str], record_type: type[Any]) -> None:
        self._paths = paths
        self._record_type = record_type

    def encode(self, records: list[Any], numbers: PageNumbers) -> bytes:
        """
        Return a page as bytes.

        :param records: The records, as structs.
        :param numbers: Not told by this format.
        """
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        writer.writerow(self._paths)
        writer.writerows(zip(*map(_cells, values_by_column(records, self._paths)), strict=True))
        return text.getvalue().encode()

    def decode(self, content: bytes) -> list[Any]:
        """
        Return the records of a page, all values as texts.

        :param content: What :meth:`encode` returned.
        """
        rows = ([cell or None for cell in row] for row in _rows(content))
        return nested(rows, self._paths, self._record_type)

    def ids(self, content: bytes) -> list[str]:
        """
        Return the Ids of a page.

        :param content: What :meth:`encode` returned.
        """
        return list(map(itemgetter(self._paths.index("Id")), _rows(content)))


def _rows(content: bytes) -> Iterator[list[str]]:
    csv.field_size_limit(sys.maxsize)  # the module's own limit is that of Salesforce's long text areas
    return islice(csv.reader(io.StringIO(content.decode(), newline="")), 1, None)


def _cells(values: list[Any]) -> list[Any]:
    if _AS_JSON.isdisjoint(map(type, values)):
        return values
    return [msgspec.json.encode(value).decode() if type(value) in _AS_JSON else value for value in values]
