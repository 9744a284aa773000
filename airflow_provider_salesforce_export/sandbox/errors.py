"""The two shapes in which Salesforce says no: a list of errors for data, an object for OAuth."""

from __future__ import annotations

from typing import Any


class SalesforceError(Exception):
    """
    A refusal of the data API, answered as ``[{"message": ..., "errorCode": ...}]``.

    :param status: HTTP status of the reply.
    :param code: Salesforce's error code.
    :param message: What Salesforce says.
    :param fields: The fields that are to blame, where Salesforce names them.
    """

    def __init__(self, status: int, code: str, message: str, fields: list[str] | None = None) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.fields = fields

    def body(self) -> list[dict[str, Any]]:
        """Return the body of the reply."""
        error: dict[str, Any] = {"message": self.message, "errorCode": self.code}
        if self.fields is not None:
            error["fields"] = self.fields
        return [error]


class OAuthError(Exception):
    """
    A refusal of the token endpoint, answered as ``{"error": ..., "error_description": ...}``.

    :param error: The OAuth error code.
    :param description: What Salesforce says.
    :param status: HTTP status of the reply.
    """

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(f"{error}: {description}")
        self.error = error
        self.description = description
        self.status = status

    def body(self) -> dict[str, str]:
        """Return the body of the reply."""
        return {"error": self.error, "error_description": self.description}


def soql_error(code: str, message: str, soql: str, position: int) -> SalesforceError:
    """
    Return an error that points at a place in the query, as Salesforce's do.

    :param code: MALFORMED_QUERY, INVALID_FIELD or INVALID_TYPE.
    :param message: What is wrong there.
    :param soql: The whole query.
    :param position: Index of the first character of what is wrong.
    """
    line_start = soql.rfind("\n", 0, position) + 1
    row = soql.count("\n", 0, position) + 1
    column = position - line_start + 1
    shown_from = max(line_start, position - 40)
    shown = soql[shown_from : position + 40].split("\n")[0]
    marker = " " * (position - shown_from) + "^"
    return SalesforceError(400, code, f"\n{shown}\n{marker}\nERROR at Row:{row}:Column:{column}\n{message}")
