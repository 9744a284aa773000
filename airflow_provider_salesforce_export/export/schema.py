"""
The columns of an export: its fields as Salesforce spells and types them, by its describe call.

SOQL does not care how a name is written, but replies and files spell it in one way; and a field that does not exist or
is hidden is told before anything is read. One call describes the sObject itself. The sObjects that relations lead to
are described only where the types of their fields are needed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import msgspec

from airflow_provider_salesforce_export.exceptions import ConfigurationError
from airflow_provider_salesforce_export.object_types import ALL_FIELDS

Description = dict[str, Any]
"""What Salesforce's describe call says of an sObject."""

Describe = Callable[[str], Description]
"""Describes the sObject of an API name; raises QueryError where there is none."""

_POLYMORPHIC = "Name"
"""The sObject whose fields a relation has that leads to several: see the *Object Reference*, "Name"."""
_LEFT_OUT = {
    "address": "compound field: its parts are columns of their own",
    "location": "compound field: its parts are columns of their own",
    "base64": "a file, which a query does not read",
}
"""Why a field of a type is none of "all" fields."""


@dataclass(frozen=True)
class Column:
    """
    A field of an export.

    :param path: Its name in the records, such as ``Name`` or ``Account.Name``, never with the sObject in front.
    :param type: Salesforce's type of it, such as ``string`` or ``currency``; None where nobody asked.
    :param precision: Digits of a number.
    :param scale: Of which behind the point.
    :param calculated: Whether a formula makes its values, with more digits than ``scale`` says.
    """

    path: str
    type: str | None = None
    precision: int = 0
    scale: int = 0
    calculated: bool = False


@dataclass(frozen=True)
class Schema:
    """
    What an export holds of each record.

    :param columns: In the order of the query.
    :param left_out: The fields of ``fields="all"`` that are none of them, and why.
    """

    columns: tuple[Column, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def paths(self) -> tuple[str, ...]:
        """Return the names of the columns."""
        return tuple(column.path for column in self.columns)

    def hash(self, *, with_parents: bool = False) -> str:
        """
        Return what is the same for the same columns: the SHA-256 of their JSON.

        :param with_parents: Whether to heed the types of the fields of relations, which are looked up for some formats
            only; else it takes their paths alone.
        """
        columns = [
            Column(column.path) if "." in column.path and not with_parents else column for column in self.columns
        ]
        return hashlib.sha256(msgspec.json.encode(columns)).hexdigest()

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Schema:
        """
        Return the schema that ``dataclasses.asdict`` made plain.

        :param plain: The schema.
        """
        return cls(tuple(Column(**column) for column in plain["columns"]), dict(plain["left_out"]))


def resolve_schema(
    describe: Describe,
    sobject: str,
    fields: Iterable[str],
    *,
    optional: Collection[str] = (),
    with_parents: bool = False,
) -> Schema:
    """
    Return the columns that some fields are, each once.

    :param describe: Asks the org.
    :param sobject: The API name of the sObject.
    :param fields: Field paths, as people write them; ``*`` for all of the sObject's own.
    :param optional: Those of them that are left out where the sObject has none.
    :param with_parents: Whether to describe the sObjects that relations lead to.
    :raises ConfigurationError: There are no such fields, or the user may not see them; all are named.
    :raises QueryError: There is no such sObject.
    """
    resolver = _Resolver(describe, sobject, optional, with_parents)
    columns: dict[str, Column] = {}
    for name in fields:
        found = resolver.all_columns() if name == ALL_FIELDS else resolver.columns(name)
        columns |= {column.path.lower(): column for column in found}
    if resolver.unknown:
        raise ConfigurationError(
            f"{sobject} has no field {', '.join(resolver.unknown)}, or the user may not see it: correct the fields of "
            "the object type, or ask a Salesforce admin for field-level security."
        )
    return Schema(tuple(columns.values()), resolver.left_out)


class _Resolver:
    """Looks fields up; notes those that are not there, and those that are left out."""

    def __init__(self, describe: Describe, sobject: str, optional: Collection[str], with_parents: bool) -> None:
        self._describe = cache(describe)
        self._sobject = sobject
        self._optional = optional
        self._with_parents = with_parents
        self.unknown: list[str] = []
        self.left_out: dict[str, str] = {}

    def all_columns(self) -> Iterator[Column]:
        for described in self._describe(self._sobject)["fields"]:
            if described["type"] in _LEFT_OUT:
                self.left_out[described["name"]] = _LEFT_OUT[described["type"]]
            else:
                yield _column([described["name"]], described)

    def columns(self, name: str) -> Iterator[Column]:
        *relations, leaf = name.split(".")
        if relations and relations[0].lower() == self._sobject.lower():
            del relations[0]
        path, parent = list[str](), self._sobject
        for relation in relations:
            described = self._find(parent, "relationshipName", relation)
            if described is None:
                self.unknown.append(name)
                return
            path.append(described["relationshipName"])
            parent = _parent(described)
            if not self._with_parents:
                yield Column(".".join([*path, *relations[len(path) :], leaf]))
                return
        described = self._find(parent, "name", leaf)
        if described:
            yield _column([*path, described["name"]], described)
        elif name in self._optional:
            self.left_out[name] = "the sObject has none"
        else:
            self.unknown.append(name)

    def _find(self, sobject: str, key: str, name: str) -> Description | None:
        fields = self._describe(sobject)["fields"]
        return next((found for found in fields if (found[key] or "").lower() == name.lower()), None)


def _parent(reference: Description) -> str:
    targets = reference["referenceTo"]
    return targets[0] if len(targets) == 1 else _POLYMORPHIC


def _column(path: Iterable[str], described: Description) -> Column:
    return Column(
        ".".join(path),
        described["type"],
        described["precision"],
        described["scale"],
        described["calculated"],
    )
