"""Records as columns: nested structs by the paths of their fields, and back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any

import msgspec


def values_by_column(records: Sequence[Any], paths: Iterable[str]) -> list[list[Any]]:
    """
    Return the values of each field, in the order of the records.

    :param records: The records, as structs.
    :param paths: Such as ``Name`` and ``Account.Name``; None where there is no account.
    """
    holders: dict[str, Sequence[Any]] = {"": records}

    def values(path: str) -> list[Any]:
        relation, _, name = path.rpartition(".")
        if not relation:
            return list(map(attrgetter(name), records))
        if relation not in holders:
            holders[relation] = values(relation)
        return [None if holder is None else getattr(holder, name) for holder in holders[relation]]

    return [values(path) for path in paths]


def nested(rows: Iterable[Sequence[Any]], paths: Sequence[str], record_type: type[Any]) -> list[Any]:
    """
    Return records of rows; where a relation was null, all its fields are.

    :param rows: The values of each, in the order of the paths.
    :param paths: What :func:`values_by_column` took them by.
    :param record_type: The struct that holds a record.
    """
    records = []
    for row in rows:
        record: dict[str, Any] = {}
        for path, value in zip(paths, row, strict=True):
            *relations, name = path.split(".")
            holder = record
            for relation in relations:
                holder = holder.setdefault(relation, {})
            holder[name] = value
        records.append(record)
    return msgspec.convert(records, list[record_type])  # type: ignore[valid-type]
