"""From a SOQL query to what a Bulk query job does, or Salesforce's refusal of what Bulk API 2.0 cannot read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from airflow_provider_salesforce_export.sandbox.errors import SalesforceError
from airflow_provider_salesforce_export.sandbox.translate import Translation
from airflow_provider_salesforce_export.sandbox.writing import line_csv

if TYPE_CHECKING:
    from airflow_provider_salesforce_export.sandbox.schema import Schema
    from airflow_provider_salesforce_export.sandbox.scope import Column

_TYPEOF = re.compile(r"\bTYPEOF\s", re.IGNORECASE)
_FROM = re.compile(r"\bFROM\b", re.IGNORECASE)


@dataclass(frozen=True)
class BulkStatement:
    """
    A query of a Bulk job, ready for SQLite.

    :param sobject: Name of the object that is read.
    :param header: First line of the CSV.
    :param lines: SQL that gives each record as a line of CSV.
    :param parameters: Its parameters.
    """

    sobject: str
    header: str
    lines: str
    parameters: tuple[Any, ...]


def translate_bulk(
    schema: Schema, soql: str, *, include_deleted: bool, delimiter: str, line_ending: str
) -> BulkStatement:
    """
    Translate the query of a Bulk job.

    :param schema: The objects that the user sees.
    :param soql: The query.
    :param include_deleted: Whether records in the recycle bin are found.
    :param delimiter: What stands between two values.
    :param line_ending: What ends a line.
    :raises SalesforceError: The query is wrong, or not for Bulk (API_ERROR, FEATURENOTENABLED).
    """
    if _TYPEOF.search(_FROM.split(soql, maxsplit=1)[0]):
        raise _refused("TYPEOF")
    try:
        translation = Translation(schema, soql, "", include_deleted)
        _refuse_clauses(translation)
        columns = _columns(translation)
        found, parameters = translation.found()
    except SalesforceError as error:
        # Bulk API 2.0 has a code of its own for whatever is wrong with a query.
        if error.code == "FEATURENOTENABLED":
            raise
        raise SalesforceError(400, "API_ERROR", error.message) from None
    # CROSS JOIN keeps the order of the rows that are found.
    source = translation.selected.sql(first=f"({found}) p CROSS JOIN", on="t0.rowid = p.r")
    header = delimiter.join(f'"{column.name}"' for column in columns)
    lines = f"SELECT {line_csv(columns, delimiter, line_ending)} {source}"
    return BulkStatement(translation.selected.root.sobject.name, header + line_ending, lines, parameters)


def _refuse_clauses(translation: Translation) -> None:
    tree = translation.tree
    if any(node.find(exp.Select) for node in tree.expressions):
        message = "Aggregate Relationships not supported in Bulk V2 Query with CSV content type"
        raise SalesforceError(400, "API_ERROR", message)
    if translation.aggregates:
        raise _refused("GROUP BY and aggregate functions")
    if tree.args.get("offset"):
        raise _refused("OFFSET")


def _columns(translation: Translation) -> list[Column]:
    columns = []
    for node in translation.tree.expressions:
        translation.selected.select(node)
        column = translation.selected.column(node)
        if column.field.parts:
            raise SalesforceError(400, "API_ERROR", "Selecting compound data not supported in Bulk Query")
        if column.field.type == "base64":
            raise SalesforceError(400, "FEATURENOTENABLED", "Binary field not supported")
        columns.append(column)
    return columns


def _refused(what: str) -> SalesforceError:
    return SalesforceError(400, "API_ERROR", f"{what} not supported in Bulk Query")
