"""
Records as msgspec structs: the fields that were asked for, in that order, and nothing else.

A page is parsed and written several times as fast as with dicts, in a quarter of their memory, and the ``attributes``
that Salesforce adds to each record are never built.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Generic, TypeVar

import msgspec

RecordT = TypeVar("RecordT")


class Batch(msgspec.Struct, Generic[RecordT], gc=False):
    """
    A reply to a query.

    :param totalSize: How many records the query finds, in all its batches.
    :param done: Whether this is the last batch.
    :param records: The records.
    :param nextRecordsUrl: Where the next batch is.
    """

    totalSize: int
    done: bool
    records: list[RecordT]
    nextRecordsUrl: str | None = None


class Identified(msgspec.Struct, gc=False):
    """
    A record of which nothing but its Id is read.

    :param Id: Its Id.
    """

    Id: str


@lru_cache(maxsize=256)
def record_type(sobject: str, fields: tuple[str, ...]) -> type[Any]:
    """
    Return the struct that holds a record of a query: a field of a relation lies in a struct of its own.

    :param sobject: The API name of the sObject, which a field path may begin with.
    :param fields: Field paths such as ``Name`` and ``Account.Name``.
    """
    tree: dict[str, Any] = {}
    for field in fields:
        *path, leaf = field.split(".")
        if path and path[0].lower() == sobject.lower():
            del path[0]
        node = tree
        for relation in path:
            node = node.setdefault(relation, {})
        node[leaf] = {}
    return _struct(sobject, tree)


def _struct(name: str, tree: dict[str, Any]) -> type[Any]:
    fields = [(field, _struct(field, below) | None if below else Any) for field, below in tree.items()]
    return msgspec.defstruct(name, fields, gc=False)


def drop_attributes(record: dict[str, Any]) -> None:
    """
    Remove the ``attributes`` that Salesforce adds to a record and to each that it holds.

    :param record: A record as Salesforce sent it; it is changed.
    """
    record.pop("attributes", None)
    for value in record.values():
        if isinstance(value, dict):
            drop_attributes(value)
