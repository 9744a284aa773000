"""Flat records: the fields of relations beside the others, as ``"Account.Name"``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec

from airflow_provider_salesforce_export.export.formats.columns import nested, values_by_column

if TYPE_CHECKING:
    from airflow_provider_salesforce_export.export.formats.json_lines import JsonLines
    from airflow_provider_salesforce_export.export.formats.json_pages import JsonPages, PageNumbers


@lru_cache(maxsize=256)
def _flat_type(paths: Sequence[str]) -> type[Any]:
    """Return a struct with a field for each path: a path is no name in Python, so it is one in JSON alone."""
    names = [f"field{number}" for number in range(len(paths))]
    return msgspec.defstruct(
        "Flat", [(name, Any) for name in names], rename=dict(zip(names, paths, strict=True)), gc=False
    )


class Flat:
    """
    Pages of flat records in a JSON format.

    :param make: The format, given the struct that holds a record.
    :param paths: The columns.
    :param record_type: The struct that holds a record as Salesforce nests it.
    """

    def __init__(
        self, make: Callable[[type[Any]], JsonPages | JsonLines], paths: Sequence[str], record_type: type[Any]
    ) -> None:
        self._paths = paths
        self._record_type = record_type
        self._flat_type = _flat_type(paths)
        self._format = make(self._flat_type)
        self.extension = self._format.extension

    def encode(self, records: list[Any], numbers: PageNumbers) -> bytes:
        """
        Return a page as bytes.

        :param records: The records, as nested structs.
        :param numbers: What the pagination says.
        """
        flat = map(self._flat_type, *values_by_column(records, self._paths))
        return self._format.encode(list(flat), numbers)

    def decode(self, content: bytes) -> list[Any]:
        """
        Return the records of a page, nested.

        :param content: What :meth:`encode` returned.
        """
        rows = map(msgspec.structs.astuple, self._format.decode(content))
        return nested(rows, self._paths, self._record_type)

    def ids(self, content: bytes) -> list[str]:
        """
        Return the Ids of a page.

        :param content: What :meth:`encode` returned.
        """
        return self._format.ids(content)
