"""
From a SOQL tree to SQLite: what finds the records of a query, and what writes a page of them as JSON.

SQLite itself writes the JSON, so that a page costs no Python per record or value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from airflow_provider_salesforce_export.sandbox.errors import SalesforceError, soql_error
from airflow_provider_salesforce_export.sandbox.filters import Filter
from airflow_provider_salesforce_export.sandbox.scope import Scope
from airflow_provider_salesforce_export.sandbox.soql import parse, position, unexpected
from airflow_provider_salesforce_export.sandbox.writing import Json, record_json, value_json

if TYPE_CHECKING:
    from airflow_provider_salesforce_export.sandbox.schema import Schema

MAX_OFFSET = 2_000
_AGGREGATES: dict[type[exp.Expression], str] = {
    exp.Count: "COUNT",
    exp.Min: "MIN",
    exp.Max: "MAX",
    exp.Sum: "SUM",
    exp.Avg: "AVG",
}


@dataclass(frozen=True)
class Statement:
    """
    A query, ready for SQLite.

    :param find: SQL that gives the row numbers of the records in order, as one text with commas; for COUNT() and
        aggregates SQL that gives the answer.
    :param parameters: Its parameters.
    :param page: SQL that takes a JSON list of row numbers and writes these records as JSON; None for COUNT() and
        aggregates.
    :param is_count: Whether it is COUNT().
    :param has_offset: Whether it has an OFFSET: Salesforce answers such a query with its first batch alone.
    """

    find: str
    parameters: tuple[Any, ...]
    page: str | None = None
    is_count: bool = False
    has_offset: bool = False


def translate(schema: Schema, soql: str, version: str, *, include_deleted: bool = False) -> Statement:
    """
    Translate a query.

    :param schema: The objects that the user sees.
    :param soql: The query.
    :param version: API version, for the URLs in the records.
    :param include_deleted: Whether records in the recycle bin are found.
    :raises SalesforceError: The query is wrong (MALFORMED_QUERY, INVALID_FIELD, INVALID_TYPE,
        INVALID_QUERY_FILTER_OPERATOR, NUMBER_OUTSIDE_VALID_RANGE).
    """
    return Translation(schema, soql, version, include_deleted).statement()


class Translation:
    """
    A query on its way to SQL. See :func:`translate` for the parameters.

    :param schema: The objects that the user sees.
    :param soql: The query.
    :param version: API version, for the URLs in the records.
    :param include_deleted: Whether records in the recycle bin are found.
    """

    def __init__(self, schema: Schema, soql: str, version: str, include_deleted: bool) -> None:
        self.soql = soql
        self.tree = parse(soql)
        self.version = version
        self.include_deleted = include_deleted
        self.selected = Scope.of(schema, self.tree, soql)
        self.filtered = Scope.of(schema, self.tree, soql)

    @property
    def aggregates(self) -> bool:
        """Whether the query counts or groups records, rather than read them."""
        return bool(self.tree.args.get("group")) or any(_aggregate(node) for node in self.tree.expressions)

    def statement(self) -> Statement:
        """Return the query in SQL."""
        selection = self.tree.expressions
        if len(selection) == 1 and isinstance(selection[0], exp.Count) and not selection[0].this:
            return self._count()
        if self.aggregates:
            return self._aggregates()
        return self._records()

    def _count(self) -> Statement:
        where, parameters = self._where(self.filtered)
        inner = f"SELECT 1 {self.filtered.sql()} {where} {self._limits()}"
        return Statement(f"SELECT COUNT(*) FROM ({inner})", parameters, is_count=True)

    def found(self) -> tuple[str, tuple[Any, ...]]:
        """Return the SQL that gives the row numbers of the records in order, as ``r``, and its parameters."""
        where, parameters = self._where(self.filtered)
        order = self._order(self.filtered, tiebreak="t0.rowid")
        return f"SELECT t0.rowid AS r {self.filtered.sql()} {where} {order} {self._limits()}", parameters

    def _records(self) -> Statement:
        inner, parameters = self.found()
        return Statement(
            f"SELECT group_concat(r) FROM ({inner})",
            parameters,
            page=self._page(),
            has_offset=bool(self._number("offset")),
        )

    def _page(self) -> str:
        for node in self.tree.expressions:
            self.selected.select(node)
        json = record_json(self.selected, self.version)
        source = self.selected.sql(first="json_each(?) p CROSS JOIN", on="t0.rowid = p.value")
        # json_each gives the rows in the order of the list, and CROSS JOIN keeps it.
        return f"SELECT group_concat({json}, ',') {source}"

    def _aggregates(self) -> Statement:
        scope = self.filtered
        group = self.tree.args.get("group")
        grouped = [scope.column(node).sql for node in group.expressions] if group else []
        json = Json().add('{"attributes":{"type":"AggregateResult"}')
        unnamed = 0
        for node in self.tree.expressions:
            alias, sql = self._aggregated(node, grouped)
            if alias is None:
                alias, unnamed = f"expr{unnamed}", unnamed + 1
            json.add(f',"{alias}":').sql(value_json(sql, self._value_type(node)))
        where, parameters = self._where(scope)
        by = f"GROUP BY {', '.join(grouped)}" if grouped else ""
        order = self._order(scope)
        inner = f"SELECT {json.add('}').text()} AS x {scope.sql()} {where} {by} {order} {self._limits()}"
        return Statement(f"SELECT group_concat(x, ','), COUNT(*) FROM ({inner})", parameters)

    def _aggregated(self, node: exp.Expression, grouped: list[str]) -> tuple[str | None, str]:
        """Return the alias (None when Salesforce makes one up) and the SQL of a selected value."""
        alias = node.alias if isinstance(node, exp.Alias) else None
        inner = node.this if isinstance(node, exp.Alias) else node
        if _aggregate(inner):
            return alias, self._function(inner)
        column = self.filtered.column(inner)
        if column.sql not in grouped:
            message = f"Field must be grouped or aggregated: {column.field.name}"
            raise SalesforceError(400, "MALFORMED_QUERY", message)
        return alias or column.field.name, column.sql

    def _value_type(self, node: exp.Expression) -> str:
        inner = node.this if isinstance(node, exp.Alias) else node
        if isinstance(inner, exp.Count | exp.Sum | exp.Avg):
            return "double"
        return self.filtered.column(inner.this if _aggregate(inner) else inner).field.type

    def _function(self, node: exp.Expression) -> str:
        if not node.this:
            raise unexpected(self.soql, ")", len(self.soql))
        column = self.filtered.column(node.this)
        if not column.field.filterable or (column.field.type == "boolean" and not isinstance(node, exp.Count)):
            message = f"field {column.field.name} does not support aggregate operator {_AGGREGATES[type(node)]}"
            raise soql_error("MALFORMED_QUERY", message, self.soql, position(node))
        return f"{_AGGREGATES[type(node)]}({column.sql})"

    def _where(self, scope: Scope) -> tuple[str, tuple[Any, ...]]:
        where = Filter(scope)
        conditions = [] if self.include_deleted else ["t0.IsDeleted = 0"]
        if (clause := self.tree.args.get("where")) is not None:
            conditions.append(where.condition(clause.this))
        return (f"WHERE {' AND '.join(conditions)}" if conditions else ""), tuple(where.parameters)

    def _order(self, scope: Scope, tiebreak: str = "") -> str:
        """Order the records: by default by row number, which is not the order of the Ids."""
        clause = self.tree.args.get("order")
        terms = [self._term(scope, ordered) for ordered in clause.expressions] if clause else []
        if tiebreak:
            terms.append(tiebreak)
        return f"ORDER BY {', '.join(terms)}" if terms else ""

    def _term(self, scope: Scope, ordered: exp.Expression) -> str:
        descending = " DESC" if ordered.args.get("desc") else ""
        if _aggregate(ordered.this):
            return self._function(ordered.this) + descending
        column = scope.column(ordered.this)
        if not column.field.sortable:
            message = f"field '{column.field.name}' can not be sorted in a query call"
            raise soql_error("MALFORMED_QUERY", message, self.soql, position(ordered))
        nulls = "" if not column.nullable else " NULLS " + ("FIRST" if ordered.args["nulls_first"] else "LAST")
        return f"{column.compared}{descending}{nulls}"

    def _limits(self) -> str:
        offset = self._number("offset")
        if offset is not None and offset > MAX_OFFSET:
            message = f"Maximum SOQL offset allowed is {MAX_OFFSET}"
            raise SalesforceError(400, "NUMBER_OUTSIDE_VALID_RANGE", message)
        limit = self._number("limit")
        return f"LIMIT {-1 if limit is None else limit} OFFSET {offset or 0}"

    def _number(self, name: str) -> int | None:
        clause = self.tree.args.get(name)
        if clause is None:
            return None
        number = clause.expression
        if not isinstance(number, exp.Literal) or number.is_string or not number.this.isdigit():
            text = number.sql() if isinstance(number, exp.Expression) else name
            raise unexpected(self.soql, text, max(0, self.soql.upper().rfind(name.upper())))
        return int(number.this)


def _aggregate(node: exp.Expression) -> bool:
    inner = node.this if isinstance(node, exp.Alias) else node
    return type(inner) in _AGGREGATES
