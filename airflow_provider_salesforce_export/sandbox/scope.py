"""The object that a query reads, and the relations that it follows from there."""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import field as dataclass_field
from typing import TYPE_CHECKING

from sqlglot import exp

from airflow_provider_salesforce_export.sandbox.errors import soql_error
from airflow_provider_salesforce_export.sandbox.soql import position, unexpected

if TYPE_CHECKING:
    from airflow_provider_salesforce_export.sandbox.schema import Field, Schema, SObject

_CUSTOM = (
    " If you are attempting to use a custom {what}, be sure to append the '__{suffix}' after the {name}. Please"
    " reference your WSDL or the describe call for the appropriate names."
)
_CASE_SENSITIVE = frozenset({"id", "reference", "date", "datetime"})
_TEXTS = frozenset({"string", "picklist", "multipicklist", "textarea", "phone", "email", "url", "combobox"})


@dataclass(frozen=True)
class Column:
    """
    A field as a query reaches it.

    :param alias: Table of the record that has the field.
    :param field: The field.
    :param related: Whether a relation leads there, so that the record may be missing.
    :param name: The field's name with the relations in front, such as ``Account.Name``.
    """

    alias: str
    field: Field
    related: bool
    name: str

    @property
    def sql(self) -> str:
        """The value."""
        return f'{self.alias}."{self.field.name}"'

    @property
    def compared(self) -> str:
        """The value as comparisons and order see it: texts without regard to case."""
        return f"{self.sql} COLLATE NOCASE" if self.field.type in _TEXTS else self.sql

    @property
    def nullable(self) -> bool:
        """Whether the value can be null."""
        return self.related or self.field.nillable


@dataclass
class Record:
    """
    A record that a query reads: the object's own or one that a relation leads to.

    :param alias: Its table in the SQL.
    :param sobject: What it is.
    :param path: The relations that lead there, each with a dot behind.
    :param selected: What is read of it, in order: fields, and relations by name.
    """

    alias: str
    sobject: SObject
    path: str = ""
    selected: dict[str, Field | Record] = dataclass_field(default_factory=dict)


class Scope:
    """
    The names that a query may use, and the joins that they cost.

    :param schema: The objects that the user sees.
    :param sobject: The object in FROM.
    :param own_names: Lower-case names that stand for the object itself in front of a field.
    :param soql: The query, for errors.
    """

    def __init__(self, schema: Schema, sobject: SObject, own_names: set[str], soql: str) -> None:
        self.schema = schema
        self.soql = soql
        self.root = Record("t0", sobject)
        self._own_names = own_names
        self._records: dict[tuple[str, ...], Record] = {(): self.root}
        self._joins: list[str] = []

    @classmethod
    def of(cls, schema: Schema, tree: exp.Select, soql: str) -> Scope:
        """
        Return the scope of a query.

        :param schema: The objects that the user sees.
        :param tree: The query.
        :param soql: Its text.
        :raises SalesforceError: There is no such object (INVALID_TYPE).
        """
        table = tree.find(exp.Table)
        if table is None or table.args.get("db"):
            raise unexpected(soql, "FROM", max(0, soql.upper().find("FROM")))
        sobject = schema.find(table.name)
        if sobject is None:
            message = f"sObject type '{table.name}' is not supported." + _CUSTOM.format(
                what="object", suffix="c", name="entity name"
            )
            raise soql_error("INVALID_TYPE", message, soql, position(table))
        own_names = {sobject.name.lower(), (table.alias or sobject.name).lower()}
        return cls(schema, sobject, own_names, soql)

    def sql(self, first: str = "", on: str = "") -> str:
        """
        Return the FROM clause.

        :param first: What stands in front of the object's table.
        :param on: How that is joined to the object's table.
        """
        condition = f" ON {on}" if on else ""
        return f'FROM {first} "{self.root.sobject.name}" t0{condition} {" ".join(self._joins)}'

    def column(self, node: exp.Expression) -> Column:
        """
        Return the field that a part of a query names.

        :param node: A name, with or without relations in front.
        :raises SalesforceError: There is no such field or relation (INVALID_FIELD), or it is no name.
        """
        record, field = self._resolve(node)
        return Column(record.alias, field, record is not self.root, f"{record.path}{field.name}")

    def select(self, node: exp.Expression) -> None:
        """
        Have a field read.

        :param node: A name, with or without relations in front.
        :raises SalesforceError: There is no such field or relation (INVALID_FIELD), or it is there twice.
        """
        record, field = self._resolve(node)
        if field.name in record.selected:
            message = f"duplicate field selected: {field.name}"
            raise soql_error("MALFORMED_QUERY", message, self.soql, position(node))
        record.selected[field.name] = field

    def _resolve(self, node: exp.Expression) -> tuple[Record, Field]:
        parts = self._parts(node)
        if len(parts) > 1 and parts[0].lower() in self._own_names and not self._is_relation(parts[0]):
            parts = parts[1:]
        record = self.root
        for depth, name in enumerate(parts[:-1], 1):
            record = self._follow(record, name, tuple(part.lower() for part in parts[:depth]), node)
        field = record.sobject.by_name.get(parts[-1].lower())
        if field is None:
            message = f"No such column '{parts[-1]}' on entity '{record.sobject.name}'." + _CUSTOM.format(
                what="field", suffix="c", name="custom field name"
            )
            raise soql_error("INVALID_FIELD", message, self.soql, position(node))
        return record, field

    def _is_relation(self, name: str) -> bool:
        return name.lower() in self.root.sobject.by_relationship

    def _parts(self, node: exp.Expression) -> list[str]:
        if not isinstance(node, exp.Column | exp.Dot) or node.find(exp.Star):
            text = node.sql()
            raise unexpected(self.soql, text, max(self.soql.find(text), position(node)))
        return [part.name for part in node.parts]

    def _follow(self, record: Record, name: str, path: tuple[str, ...], node: exp.Expression) -> Record:
        if path in self._records:
            return self._records[path]
        reference = record.sobject.by_relationship.get(name.lower())
        target = self.schema.find(reference.reference_to[0]) if reference else None
        if reference is None or target is None or len(reference.reference_to) > 1:
            message = f"Didn't understand relationship '{name}' in field path." + _CUSTOM.format(
                what="relationship", suffix="r", name="custom relationship name"
            )
            raise soql_error("INVALID_FIELD", message, self.soql, position(node))
        related = Record(f"t{len(self._records)}", target, f"{record.path}{reference.relationship}.")
        self._joins.append(
            f'LEFT JOIN "{target.name}" {related.alias} ON {related.alias}.Id = {record.alias}."{reference.name}"'
        )
        self._records[path] = related
        record.selected[str(reference.relationship)] = related
        return related
