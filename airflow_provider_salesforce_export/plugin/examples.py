"""Examples of answers, for the OpenAPI description."""

from __future__ import annotations

from typing import Any

Responses = dict[int | str, dict[str, Any]]


def _json(description: str, example: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"example": example}}}


def _error(description: str, message: str, **more: Any) -> dict[str, Any]:
    return _json(description, {"success": False, "message": message, **more})


ERRORS: Responses = {
    400: _error(
        "A parameter is wrong, or Salesforce refused.",
        "Unknown object type 'leads'. Known: contacts, deals, notes.",
        supported_types=["contacts", "deals", "notes"],
    ),
    401: _error("Nobody is logged in to Airflow.", "Not authenticated"),
    403: _error("The user lacks the right.", "You may not read the Airflow connection 'salesforce_export_default'."),
    404: _error(
        "There is no such connection, or no key.",
        "The Salesforce key of account acme (owner login.salesforce.com) is not there: log in to Salesforce.",
        login_url="https://airflow.acme.com/v1/integrations/salesforce/auth/login?conn_id=salesforce_export_default",
    ),
    429: _error("The org's API calls run short: see Retry-After.", "81000 of the org's 100000 API calls are used."),
    503: _error("MongoDB or Salesforce is away: see Retry-After.", "MongoDB does not answer."),
}

REDIRECT: Responses = {302: {"description": "To Salesforce, or to forward_url with the result in its query."}}

DISCONNECTED: Responses = {
    200: _json(
        "The key is deleted.", {"success": True, "message": "Disconnected: the key is deleted.", "revoked": True}
    )
}

PAGE: Responses = {
    200: _json(
        "A page, sent as it is read. Where reading fails in the middle, the body is cut: it is no JSON, and the HTTP "
        "response does not end.",
        {
            "success": True,
            "message": "SUCCESS",
            "data": [{"Id": "003Hp00002AbCdEIAV", "Name": "Jane Doe", "Account": {"Name": "Acme"}}],
            "pagination": {
                "page": 2,
                "per_page": 100,
                "total": 345,
                "total_pages": 4,
                "next_page": 3,
                "prev_page": 1,
                "offsetValue": 100,
            },
        },
    )
}

CONNECTIONS: Responses = {
    200: _json(
        "The connections.",
        {
            "connections": [
                {
                    "conn_id": "salesforce_export_default",
                    "environment": "production",
                    "login_url": "https://login.salesforce.com",
                    "grant_type": "refresh_token",
                    "account_id": "3MVG9...",
                    "owner": "login.salesforce.com",
                    "state": "connected",
                    "error": None,
                    "instance_url": "https://acme.my.salesforce.com",
                    "connected_by": "jane",
                    "issued_at": "2026-11-20T02:00:00+00:00",
                    "updated_at": "2026-11-20T02:00:01+00:00",
                    "object_types": ["contacts", "deals", "notes"],
                    "callback_url": "https://airflow.acme.com/v1/integrations/salesforce/auth/callback",
                    "may": {"login": True, "disconnect": True, "test": True, "export": True},
                }
            ],
            "callback_url": "https://airflow.acme.com/v1/integrations/salesforce/auth/callback",
        },
    )
}

TESTED: Responses = {
    200: _json(
        "Whether it works.",
        {
            "works": True,
            "message": "Connected to https://acme.my.salesforce.com as export@acme.com.",
            "user": "export@acme.com",
            "org_id": "00DHp000001AbCdMAK",
            "api_usage": {"used": 1234, "limit": 100000},
        },
    )
}
