"""
What Salesforce's error replies mean.

Codes from the *REST API Developer Guide*, "Status Codes and Error Responses".
"""

from __future__ import annotations

from typing import Any

import requests

from airflow_provider_salesforce_export.exceptions import (
    ApiVersionError,
    AuthenticationError,
    ConcurrentRequestsError,
    IncompleteResponseError,
    QueryError,
    QuotaReachedError,
    SalesforceError,
    SalesforceUnavailableError,
)
from airflow_provider_salesforce_export.salesforce.transport import PASSING_STATUSES

_MAX_SHOWN = 500  # characters of a reply: enough for every message of Salesforce, too little for a page of HTML

_TOO_MANY = "REQUEST_LIMIT_EXCEEDED"
"""The day's quota (``TotalRequests Limit exceeded.``), or ``ConcurrentRequests`` and its kin."""

_TOO_SLOW = "The query is too slow: use api='bulk', a smaller page_size or a narrower where."

_MEANINGS: dict[str, tuple[type[SalesforceError], str]] = {
    "MALFORMED_QUERY": (QueryError, "Correct the fields or the where of the object type."),
    "INVALID_FIELD": (
        QueryError,
        "Where the field does not exist, or is compared with a value of another type, correct the object type; where "
        "the user may not see it, ask a Salesforce admin for field-level security that lets the user read it.",
    ),
    "INVALID_TYPE": (
        QueryError,
        "The sObject does not exist, or the user may not see it: correct the object type, or ask a Salesforce admin.",
    ),
    "INVALID_QUERY_FILTER_OPERATOR": (QueryError, "Correct the where of the object type."),
    "NUMBER_OUTSIDE_VALID_RANGE": (QueryError, "Use pagination='auto' for objects of this size."),
    "QUERY_TIMEOUT": (SalesforceError, _TOO_SLOW),
    "REQUEST_RUNNING_TOO_LONG": (SalesforceError, _TOO_SLOW),
    "OPERATION_TOO_LARGE": (
        SalesforceError,
        "The query is too large: use a smaller page_size or a narrower where.",
    ),
    _TOO_MANY: (
        ConcurrentRequestsError,
        "Too many requests run in the org at once: lower concurrency or max_page_tasks, or run fewer DAGs at a time.",
    ),
    "API_DISABLED_FOR_ORG": (AuthenticationError, "A Salesforce admin must allow API access for this user."),
    "API_CURRENTLY_DISABLED": (
        AuthenticationError,
        "A Salesforce admin must allow API access for this user.",
    ),
    "UNSUPPORTED_API_VERSION": (
        ApiVersionError,
        "Set api_version of the Airflow connection to a current one.",
    ),
}


def error_of(response: requests.Response) -> SalesforceError:
    """
    Return the error that a reply of the REST API amounts to.

    :param response: A reply with a status of 400 or more.
    """
    error_code, message = _first_error(response)
    kind, advice = _MEANINGS.get(error_code or "", (SalesforceError, ""))
    if error_code == _TOO_MANY and "TotalRequests" in message:
        kind, advice = QuotaReachedError, "The quota frees up within 24 hours; a Salesforce admin can buy more."
    if error_code not in _MEANINGS and response.status_code in PASSING_STATUSES:
        kind, advice = (
            SalesforceUnavailableError,
            "Salesforce could not answer for now: trying again later may help.",
        )
    if advice and message and message[-1] not in ".!?":
        message += "."
    text = f"Salesforce answered {response.status_code} {error_code or response.reason}: {message} {advice}".rstrip()
    return kind(text, error_code=error_code, status_code=response.status_code)


def incomplete(what: str) -> IncompleteResponseError:
    """Return the error of a reply that cannot be trusted as data."""
    return IncompleteResponseError(f"Salesforce's reply {what}; nothing of it was used. A retry asks anew.")


def _first_error(response: requests.Response) -> tuple[str | None, str]:
    try:
        reply: Any = response.json()
    except requests.JSONDecodeError:
        return None, "(a reply that is not JSON)"
    first = reply[0] if isinstance(reply, list) and reply else reply
    if not isinstance(first, dict):
        return None, "(a reply of an unknown form)"
    message = " ".join(str(first.get("message", "")).split())  # Salesforce draws a caret below the query, in lines
    return first.get("errorCode"), message[:_MAX_SHOWN]
