"""The WHERE clause: SOQL's comparisons as parametrised SQL."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from airflow_provider_salesforce_export.sandbox.errors import SalesforceError, soql_error
from airflow_provider_salesforce_export.sandbox.ids import to_18
from airflow_provider_salesforce_export.sandbox.schema import NUMBERS
from airflow_provider_salesforce_export.sandbox.soql import position, unexpected

if TYPE_CHECKING:
    from airflow_provider_salesforce_export.sandbox.schema import Field
    from airflow_provider_salesforce_export.sandbox.scope import Column, Scope

# In SOQL a null is different from every value, and no condition is unknown: IS and IS NOT, not = and <>.
_COMPARISONS: dict[type[exp.Expression], str] = {
    exp.EQ: "IS",
    exp.NEQ: "IS NOT",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
}


class Filter:
    """
    Translates conditions and collects their parameters.

    :param scope: The names that the conditions may use.
    """

    def __init__(self, scope: Scope) -> None:
        self.parameters: list[Any] = []
        self._scope = scope

    def condition(self, node: exp.Expression) -> str:
        """
        Return the SQL of a condition.

        :param node: A condition.
        :raises SalesforceError: It is none that SOQL allows.
        """
        if isinstance(node, exp.Paren):
            return f"({self.condition(node.this)})"
        if isinstance(node, exp.And | exp.Or):
            word = "AND" if isinstance(node, exp.And) else "OR"
            return f"({self.condition(node.this)} {word} {self.condition(node.expression)})"
        if isinstance(node, exp.Not):
            # A comparison with a null field is false, so its opposite is true.
            return f"(NOT ifnull({self.condition(node.this)}, 0))"
        if isinstance(node, exp.In):
            return self._in(node)
        if isinstance(node, exp.Like):
            return self._like(node)
        if type(node) in _COMPARISONS:
            return self._comparison(node)
        raise unexpected(self._scope.soql, node.sql(), position(node))

    def _comparison(self, node: exp.Expression) -> str:
        column = self._column(node.this)
        operator = _COMPARISONS[type(node)]
        value = self._value(column, node.expression)
        if value is None and operator not in {"IS", "IS NOT"}:
            raise self._operator_error(column)
        if column.field.type == "boolean" and operator not in {"IS", "IS NOT"}:
            raise self._operator_error(column)
        self.parameters.append(value)
        return f"({column.compared} {operator} ?)"

    def _in(self, node: exp.In) -> str:
        values = node.expressions
        if not values:
            raise unexpected(self._scope.soql, ")", position(node))
        column = self._column(node.this)
        found = [self._value(column, value) for value in values]
        given = [value for value in found if value is not None]
        self.parameters.extend(given)
        condition = f"{column.compared} IN ({', '.join('?' * len(given))})"
        if len(given) < len(found):
            condition = f"{condition} OR {column.sql} IS NULL"
        return f"({condition})"

    def _like(self, node: exp.Like) -> str:
        column = self._column(node.this)
        pattern = node.expression
        if column.field.type in {"id", "reference", "boolean", "date", "datetime"} | NUMBERS:
            raise self._operator_error(column)
        if not isinstance(pattern, exp.Literal) or not pattern.is_string:
            raise unexpected(self._scope.soql, pattern.sql(), position(node))
        self.parameters.append(pattern.this)
        return f"({column.sql} LIKE ? ESCAPE '\\')"

    def _column(self, node: exp.Expression) -> Column:
        column = self._scope.column(node)
        if not column.field.filterable:
            message = f"field '{column.field.name}' can not be filtered in a query call"
            raise soql_error("INVALID_FIELD", message, self._scope.soql, position(node))
        return column

    def _value(self, column: Column, node: exp.Expression) -> Any:
        if isinstance(node, exp.Null):
            return None
        field = column.field
        if field.type in {"id", "reference"}:
            return self._id(field, node)
        if field.type in {"date", "datetime"}:
            return self._date(field, node)
        if field.type == "boolean" and isinstance(node, exp.Boolean):
            return int(node.this)
        if field.type in NUMBERS and _is_number(node):
            return float(node.sql().replace(" ", ""))
        if field.type not in NUMBERS | {"boolean"} and isinstance(node, exp.Literal) and node.is_string:
            return node.this
        raise self._type_error(field)

    def _id(self, field: Field, node: exp.Expression) -> str:
        if not isinstance(node, exp.Literal) or not node.is_string:
            raise self._type_error(field)
        try:
            return to_18(node.this)
        except ValueError:
            message = f"invalid ID field: {node.this}"
            raise SalesforceError(400, "INVALID_QUERY_FILTER_OPERATOR", message) from None

    def _date(self, field: Field, node: exp.Expression) -> str:
        if not isinstance(node, exp.RawString) or ("T" in node.this) != (field.type == "datetime"):
            raise self._type_error(field)
        try:
            return datetime_text(node.this) if field.type == "datetime" else date_text(node.this)
        except ValueError:
            raise unexpected(self._scope.soql, node.this, self._scope.soql.find(node.this)) from None

    def _type_error(self, field: Field) -> SalesforceError:
        quoted = field.type not in {"date", "datetime", "boolean"} | NUMBERS
        kind = {"datetime": "dateTime"}.get(field.type, field.type if not quoted else "string")
        message = (
            f"value of filter criterion for field '{field.name}' must be of type {kind} and should"
            f" {'be' if quoted else 'not be'} enclosed in quotes"
        )
        position_of = max(0, self._scope.soql.find(field.name))
        return soql_error("INVALID_FIELD", message, self._scope.soql, position_of)

    def _operator_error(self, column: Column) -> SalesforceError:
        message = f"invalid operator on {column.field.type} field '{column.field.name}'"
        return SalesforceError(400, "INVALID_QUERY_FILTER_OPERATOR", message)


def datetime_text(text: str) -> str:
    """
    Return a point in time as Salesforce writes it and as the tables hold it: in UTC, to the millisecond.

    :param text: ISO 8601 with a zone, such as ``2026-11-20T00:00:00Z``.
    :raises ValueError: It is none.
    """
    form = "%Y-%m-%dT%H:%M:%S.%f%z" if "." in text else "%Y-%m-%dT%H:%M:%S%z"
    moment = datetime.strptime(text, form).astimezone(timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}+0000"


def date_text(text: str) -> str:
    """
    Return a date as the tables hold it.

    :param text: ISO 8601, such as ``2026-11-20``.
    :raises ValueError: It is none.
    """
    return datetime.strptime(text, "%Y-%m-%d").strftime("%Y-%m-%d")


def _is_number(node: exp.Expression) -> bool:
    inner = node.this if isinstance(node, exp.Neg) else node
    return isinstance(inner, exp.Literal) and not inner.is_string
