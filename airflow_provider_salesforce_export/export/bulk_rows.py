"""
Rows of a Bulk query job as the records that a REST query gives.

A job writes CSV, where everything is text: by the types that describe names, cells become numbers, flags and null
again, and the fields of relations lie in structs of their own. An empty cell is null, whatever its type: Salesforce
keeps no empty texts. The CSV does not tell a relation that is null from one whose fields are; so the query also asks
for the Id of each record that a relation leads to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any, get_args

import msgspec

from airflow_provider_salesforce_export.salesforce.errors import incomplete
from airflow_provider_salesforce_export.salesforce.records import record_type

if TYPE_CHECKING:
    from airflow_provider_salesforce_export.export.schema import Schema
    from airflow_provider_salesforce_export.salesforce.bulk_csv import Columns

Cells = Sequence[str]


def _texts(cells: Cells) -> Sequence[Any]:
    return [cell or None for cell in cells] if "" in cells else cells


def _whole_numbers(cells: Cells) -> Sequence[Any]:
    try:
        return [int(cell) if cell else None for cell in cells]
    except ValueError:
        return [_whole_number(cell) if cell else None for cell in cells]


def _whole_number(cell: str) -> int:
    """Read ``5.0`` and ``1.0E7`` too: Salesforce writes numbers as doubles in more places than one expects."""
    try:
        return int(cell)
    except ValueError:
        number = float(cell)
        if not number.is_integer():
            raise
        return int(number)


def _numbers(cells: Cells) -> Sequence[Any]:
    return [float(cell) if cell else None for cell in cells]


def _flags(cells: Cells) -> Sequence[Any]:
    values = {"true": True, "false": False, "": None}
    return [values[cell] for cell in cells]


def _datetimes(cells: Cells) -> Sequence[Any]:
    """REST writes UTC as ``+0000`` where Bulk writes ``Z``."""
    return [cell.replace("Z", "+0000") if cell else None for cell in cells]


_TEXTS = (
    "id reference string textarea picklist multipicklist combobox email phone url encryptedstring date time "
    "datacategorygroupreference"
)
_CONVERTERS: dict[str, Callable[[Cells], Sequence[Any]]] = dict.fromkeys(_TEXTS.split(), _texts) | {
    "int": _whole_numbers,
    "long": _whole_numbers,
    "double": _numbers,
    "currency": _numbers,
    "percent": _numbers,
    "boolean": _flags,
    "datetime": _datetimes,
}
"""By Salesforce's types; what is not here (files, compound fields, ``anyType``) has no one form in CSV."""


def unreadable(schema: Schema) -> str | None:
    """
    Return which columns Bulk API 2.0 does not give as REST does, in words; None where there are none.

    :param schema: The columns, with their types.
    """
    refused = [f"{column.path} ({column.type})" for column in schema.columns if _converter(column.type) is None]
    return ", ".join(refused) or None


def bulk_fields(paths: Iterable[str]) -> tuple[str, ...]:
    """
    Return what a Bulk query reads for some columns: these, and the Id of each record that a relation leads to.

    :param paths: Their paths.
    """
    paths = tuple(paths)
    relations = (relation for path in paths for relation in accumulate(path.split(".")[:-1], "{}.{}".format))
    return tuple(dict.fromkeys([*paths, *(f"{relation}.Id" for relation in relations)]))


@dataclass(frozen=True)
class _Node:
    """
    A struct, and for the path of each of its fields what that holds where it is a relation.

    :param kind: The struct.
    :param fields: By path.
    """

    kind: Any
    fields: dict[str, _Node | None]

    @classmethod
    def of(cls, kind: Any, prefix: str = "") -> _Node:
        fields: dict[str, _Node | None] = {}
        for field in msgspec.structs.fields(kind):
            path, related = f"{prefix}{field.name}", get_args(field.type)
            fields[path] = cls.of(related[0], f"{path}.") if related else None
        return cls(kind, fields)


class RowReader:
    """
    Makes records of the rows of a job. Threads may share it.

    :param sobject: The API name of the sObject.
    :param schema: The columns, with their types.
    """

    def __init__(self, sobject: str, schema: Schema) -> None:
        self.fields = bulk_fields(schema.paths)
        self._types = {column.path: column.type for column in schema.columns}
        self._root = _Node.of(record_type(sobject, schema.paths))

    def records(self, columns: Columns) -> list[Any]:
        """
        Return records, as structs.

        :param columns: Rows of the query's fields, column by column.
        :raises IncompleteResponseError: A cell is not of its field's type.
        """
        return self._structs(self._root, dict(zip(self.fields, columns, strict=True)))

    def _structs(self, node: _Node, cells: Mapping[str, Cells]) -> list[Any]:
        columns = list[Sequence[Any]]()
        for path, related in node.fields.items():
            if related:
                pairs = zip(cells[f"{path}.Id"], self._structs(related, cells), strict=True)
                columns.append([struct if record_id else None for record_id, struct in pairs])
            else:
                columns.append(self._values(path, cells[path]))
        return list(map(node.kind, *columns))

    def _values(self, path: str, cells: Cells) -> Sequence[Any]:
        convert = _converter(self._types[path])
        try:
            if convert:
                return convert(cells)
        except (ValueError, KeyError):
            pass
        raise incomplete(f"has a value in the column {path} that is no {self._types[path]}")


def _converter(field_type: str | None) -> Callable[[Cells], Sequence[Any]] | None:
    return _CONVERTERS.get((field_type or "").lower())
