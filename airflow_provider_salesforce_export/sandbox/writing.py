"""SQL expressions that write records as JSON or CSV, in Salesforce's shape."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from airflow_provider_salesforce_export.sandbox.schema import NUMBERS
from airflow_provider_salesforce_export.sandbox.scope import Record

if TYPE_CHECKING:
    from airflow_provider_salesforce_export.sandbox.schema import Field
    from airflow_provider_salesforce_export.sandbox.scope import Column, Scope

# These never hold a character that JSON would escape.
_PLAIN = frozenset({"id", "reference", "date", "datetime"})
# SQLite's functions take a hundred arguments.
_MAX_VALUES = 90


class Json:
    """A SQL expression that writes fixed texts and values as one JSON text, each of them copied once."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._format = ""
        self._values: list[str] = []

    def add(self, fixed: str) -> Json:
        """
        Go on with a fixed text.

        :param fixed: A piece of JSON.
        """
        self._format += fixed.replace("%", "%%").replace("'", "''")
        return self

    def sql(self, expression: str) -> Json:
        """
        Go on with a value.

        :param expression: SQL that gives a piece of JSON, never null.
        """
        self._format += "%s"
        self._values.append(expression)
        if len(self._values) == _MAX_VALUES:
            self._flush()
        return self

    def text(self) -> str:
        """Return the SQL."""
        self._flush()
        return " || ".join(self._parts)

    def _flush(self) -> None:
        if self._format:
            self._parts.append("printf(" + ", ".join([f"'{self._format}'", *self._values]) + ")")
        self._format, self._values = "", []


def value_json(sql: str, field_type: str) -> str:
    """
    Return SQL that writes one value.

    :param sql: The value.
    :param field_type: Salesforce's type of it.
    """
    if field_type in _PLAIN:
        return f"""ifnull('"' || {sql} || '"', 'null')"""
    if field_type in NUMBERS:
        return f"ifnull({sql}, 'null')"
    if field_type == "boolean":
        return f"iif({sql}, 'true', 'false')"
    return f"json_quote({sql})"


def record_json(scope: Scope, version: str) -> str:
    """
    Return SQL that writes the record that a query asks for, related records inside it.

    :param scope: The query's object and what is selected of it.
    :param version: API version, for the URLs.
    """
    return _record(scope.root, version).text()


def _record(record: Record, version: str) -> Json:
    base = f"/services/data/v{version}/sobjects/{record.sobject.name}/"
    json = Json().add(f'{{"attributes":{{"type":"{record.sobject.name}","url":"{base}').sql(f"{record.alias}.Id")
    json.add('"}')
    for name, selected in record.selected.items():
        json.add(f',"{name}":')
        if isinstance(selected, Record):
            related = _record(selected, version).text()
            json.sql(f"CASE WHEN {selected.alias}.Id IS NULL THEN 'null' ELSE {related} END")
        else:
            json.sql(_field(record.alias, selected, base))
    return json.add("}")


def _field(alias: str, field: Field, base: str) -> str:
    if field.parts:
        return _compound(alias, field)
    if field.type == "base64":
        # A query gives the place of a file, never the file.
        return f"""'"{base}' || {alias}.Id || '/{field.name}"'"""
    return value_json(f'{alias}."{field.name}"', field.type)


def _compound(alias: str, field: Field) -> str:
    columns = {key: f'{alias}."{name}"' for key, name in field.parts}
    json = Json().add("{")
    for place, (key, sql) in enumerate(columns.items()):
        json.add(f'{"," if place else ""}"{key}":').sql(f"json_quote({sql})")
    return f"CASE WHEN coalesce({', '.join(columns.values())}) IS NULL THEN 'null' ELSE {json.add('}').text()} END"


def line_csv(columns: Sequence[Column], delimiter: str, line_ending: str) -> str:
    """
    Return SQL that writes a record as a line of CSV, as Bulk API 2.0 does: all in quotes, nothing for null.

    :param columns: What is read.
    :param delimiter: What stands between two values.
    :param line_ending: What ends the line.
    """
    line = Json()
    for place, column in enumerate(columns):
        line.add(f'{delimiter if place else ""}"').sql(_csv_value(column.sql, column.field.type)).add('"')
    return line.add(line_ending).text()


def _csv_value(sql: str, field_type: str) -> str:
    """Return SQL that writes one value; printf writes nothing for null."""
    if field_type == "datetime":
        return f"replace({sql}, '+0000', 'Z')"
    if field_type == "boolean":
        return f"CASE {sql} WHEN 1 THEN 'true' WHEN 0 THEN 'false' END"
    if field_type in {"int", "long"} or field_type in _PLAIN:
        return sql
    if field_type in NUMBERS:
        return (
            f"CASE WHEN abs({sql}) >= 1e7 OR (abs({sql}) < 1e-3 AND {sql} <> 0) THEN java_double({sql}) ELSE {sql} END"
        )
    return f"""replace({sql}, '"', '""')"""


def java_double(number: float) -> str:
    """
    Return a number, of fifteen digits as SQLite writes them, as Java writes a large or small one: ``9.9213206E7``.

    :param number: At least ten million, or less than a thousandth.
    """
    sign, digits, _ = Decimal(f"{number:.14e}").normalize().as_tuple()
    exponent = Decimal(f"{number:.14e}").adjusted()
    first, rest = digits[0], "".join(map(str, digits[1:])) or "0"
    return f"{'-' if sign else ''}{first}.{rest}E{exponent}"
