"""Errors as the callers of the routes see them."""

from __future__ import annotations

from typing import Any

from fastapi import Request, status
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from airflow_provider_salesforce_export.exceptions import (
    ConcurrentRequestsError,
    KeyCollectionUnavailableError,
    LoginRequiredError,
    RequestLimitError,
    SalesforceError,
    SalesforceExportError,
    SalesforceUnavailableError,
    UnknownObjectTypeError,
)
from airflow_provider_salesforce_export.object_types import CATALOGUE
from airflow_provider_salesforce_export.plugin.addresses import login_address
from airflow_provider_salesforce_export.plugin.pages import plain_page

BROWSER_ROUTES = ("/auth/login", "/auth/callback")

_SOON = "30"  # seconds after which what is away may be back
_QUOTA = "3600"  # the quota is that of the last 24 hours: some of it frees up each hour

_STATUS: list[tuple[type[SalesforceExportError], int]] = [  # the first that fits counts
    (UnknownObjectTypeError, status.HTTP_400_BAD_REQUEST),
    (KeyCollectionUnavailableError, status.HTTP_503_SERVICE_UNAVAILABLE),
    (LoginRequiredError, status.HTTP_404_NOT_FOUND),
    (RequestLimitError, status.HTTP_429_TOO_MANY_REQUESTS),
    (SalesforceUnavailableError, status.HTTP_503_SERVICE_UNAVAILABLE),
    (SalesforceError, status.HTTP_400_BAD_REQUEST),
    (SalesforceExportError, status.HTTP_500_INTERNAL_SERVER_ERROR),
]

_TO_REGISTER = (
    (
        ("redirect_uri",),
        "In Salesforce, under Setup > External Client App Manager > the app > Settings > OAuth Settings, add this "
        "callback URL, to the letter: {callback}",
    ),
    (
        ("invalid_client_id",),
        "In Salesforce, under Setup > External Client App Manager > the app > Settings > OAuth Settings, copy the "
        "consumer key into the login of the Airflow connection; a sandbox has apps of its own, and a new app takes "
        "some minutes. The app needs this callback URL: {callback}",
    ),
    (
        ("invalid_client",),
        "In Salesforce, under Setup > External Client App Manager > the app > Settings > OAuth Settings, copy the "
        "consumer secret into the password of the Airflow connection. The app needs this callback URL: {callback}",
    ),
    (
        ("blocked",),
        "A Salesforce admin has blocked the app: under Setup > Connected Apps OAuth Usage, unblock it. It needs this "
        "callback URL: {callback}",
    ),
    (
        ("not installed", "app_not_found", "app not found"),
        "The app is not installed in this org: a Salesforce admin installs it under Setup > Connected Apps OAuth "
        "Usage, or creates it under Setup > External Client App Manager with this callback URL: {callback}",
    ),
    (
        ("not admin approved", "app_access_denied", "approved this consumer"),
        "The user is not let into the app: a Salesforce admin adds the user under Setup > External Client App Manager "
        "> the app > Policies. The app needs this callback URL: {callback}",
    ),
    (("access_denied",), "Access was denied in Salesforce: log in again, and allow it."),
    (("invalid_scope",), "A Salesforce admin adds the scopes of the Airflow connection to the app's OAuth Settings."),
)
"""What to do, by parts of what Salesforce says; the first that is found counts."""


def what_to_register(said: str, callback: str) -> str:
    """
    Return what is to be done in Salesforce about a login that it refused; empty where that is not known.

    :param said: What Salesforce says: code and description.
    :param callback: The callback URL of the login.
    """
    said = said.lower()
    advice = next((advice for parts, advice in _TO_REGISTER if any(part in said for part in parts)), "")
    return advice.format(callback=callback)


def status_of(error: SalesforceExportError) -> int:
    """
    Return the HTTP status of an error.

    :param error: The error.
    """
    return next(code for kind, code in _STATUS if isinstance(error, kind))


async def answer_export_error(request: Request, error: Exception) -> Response:
    """
    Answer a request that failed.

    :param request: The request.
    :param error: A SalesforceExportError.
    """
    assert isinstance(error, SalesforceExportError)
    code, body, headers = status_of(error), dict[str, Any](), dict[str, str]()
    if code == status.HTTP_503_SERVICE_UNAVAILABLE or isinstance(error, ConcurrentRequestsError):
        headers["Retry-After"] = _SOON
    elif isinstance(error, RequestLimitError):
        headers["Retry-After"] = _QUOTA
    if isinstance(error, SalesforceError) and error.error_code:
        body["error_code"] = error.error_code
    if isinstance(error, UnknownObjectTypeError):
        body["supported_types"] = list(CATALOGUE)
    if isinstance(error, LoginRequiredError):
        body["login_url"] = login_address(request.scope.get("salesforce_conn_id", ""))
    return _answer(request, code, str(error), body, headers)


async def answer_http_error(request: Request, error: Exception) -> Response:
    """
    Answer a request that was refused.

    :param request: The request.
    :param error: An HTTPException of ours or of Airflow's.
    """
    assert isinstance(error, HTTPException)
    return _answer(request, error.status_code, str(error.detail), {}, dict(error.headers or {}))


async def answer_invalid_request(request: Request, error: Exception) -> Response:
    """
    Answer a request whose parameters are wrong.

    :param request: The request.
    :param error: A RequestValidationError.
    """
    assert isinstance(error, RequestValidationError)
    wrong = "; ".join(f"{'.'.join(map(str, item['loc'][1:]))}: {item['msg']}" for item in error.errors())
    return _answer(request, status.HTTP_400_BAD_REQUEST, f"The request is wrong. {wrong}", {}, {})


def _answer(request: Request, code: int, message: str, body: dict[str, Any], headers: dict[str, str]) -> Response:
    if request.url.path.endswith(BROWSER_ROUTES):
        return plain_page(message, code, headers)
    return JSONResponse({"success": False, "message": message, **body}, code, headers)
