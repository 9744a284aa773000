"""Logging in to Salesforce, coming back from there, and disconnecting."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from fastapi import HTTPException, Request, status
from fastapi.responses import RedirectResponse, Response

from airflow_provider_salesforce_export.exceptions import (
    KeyCollectionError,
    KeyCollectionUnavailableError,
    SalesforceError,
    SalesforceExportError,
)
from airflow_provider_salesforce_export.hooks.login import BrowserLogin, log_out, require_login_grant
from airflow_provider_salesforce_export.key_collection.logins import LOGIN_SECONDS, PendingLogin
from airflow_provider_salesforce_export.metrics import AirflowMeter
from airflow_provider_salesforce_export.plugin import connections, errors, forwarding, state
from airflow_provider_salesforce_export.plugin.addresses import base_url, required_callback_url
from airflow_provider_salesforce_export.plugin.pages import plain_page

if TYPE_CHECKING:
    from airflow.api_fastapi.auth.managers.models.base_user import BaseUser

    from airflow_provider_salesforce_export.hooks.salesforce_export import SalesforceExportHook
    from airflow_provider_salesforce_export.plugin.state import State

COOKIE = "salesforce_login"


class LoginFailedError(SalesforceExportError):
    """A login that ended without a key; the message says what to do."""


def begin(
    request: Request,
    user: BaseUser,
    forward_url: str,
    conn_id: str | None,
    account_id: str | None,
    owner: str | None,
) -> Response:
    """
    Send a browser to Salesforce; where a key is there already, straight to where it wants to go.

    :param request: The browser's request.
    :param user: Who logs in.
    :param forward_url: Where the browser goes in the end; empty for nowhere.
    :param conn_id: The Airflow connection; None for the default one.
    :param account_id: Whose key; None for that of the connection.
    :param owner: Whose key; None for that of the connection.
    """
    _check_forward_url(forward_url)
    hook = connections.choose(user, "PUT", conn_id, account_id, owner)
    try:
        with hook:
            if _has_key(hook):
                return _succeed(forward_url)
            return _to_salesforce(request, hook, user, forward_url)
    except SalesforceExportError as error:
        return _fail(forward_url, error)


def end(request: Request, user: BaseUser | None) -> Response:
    """
    Take what Salesforce sends a browser back with, and store the key.

    :param request: The browser's request.
    :param user: Who is logged in to Airflow.
    """
    try:
        carried = state.verify(request.query_params.get("state", ""))
        _check_forward_url(carried.forward_url)
    except state.StateError as error:
        AirflowMeter().count("failed_callbacks")
        raise HTTPException(status.HTTP_400_BAD_REQUEST, str(error)) from None
    try:
        _finish(request, user, carried)
    except (SalesforceExportError, HTTPException) as error:
        AirflowMeter(conn_id=carried.conn_id).count("failed_callbacks")
        if isinstance(error, HTTPException):
            return _fail(carried.forward_url, LoginFailedError(error.detail), error.status_code)
        return _fail(carried.forward_url, error)
    return _succeed(carried.forward_url)


def disconnect(hook: SalesforceExportHook) -> dict[str, str | bool]:
    """
    Revoke the token at Salesforce, and delete the key.

    :param hook: The connection.
    :returns: What happened.
    """
    with hook:
        ended = log_out(hook)
    if ended is None:
        raise HTTPException(status.HTTP_404_NOT_FOUND, "There is no key for this connection: nobody is logged in.")
    return {
        "success": True,
        "message": f"Disconnected: the key is deleted. {ended.remark}".rstrip(),
        "revoked": ended.outcome == "revoked",
    }


def _has_key(hook: SalesforceExportHook) -> bool:
    """Return whether there is a key that Salesforce has not refused; a refused one is deleted."""
    require_login_grant(hook)
    try:
        key = hook.keys.find(hook.account)
    except KeyCollectionUnavailableError:
        raise
    except KeyCollectionError:
        return False  # what cannot be read is replaced by the login
    if key and key.invalidated:
        hook.keys.delete_unchanged(key)
    return bool(key and key.token)


def _to_salesforce(request: Request, hook: SalesforceExportHook, user: BaseUser, forward_url: str) -> Response:
    login = BrowserLogin(hook, required_callback_url(hook.settings))
    pending = PendingLogin(
        login_id=secrets.token_urlsafe(24),
        # Kept from login to login, so that two of them can be under way in one browser.
        browser=request.cookies.get(COOKIE) or secrets.token_urlsafe(32),
        user=user.get_id(),
        redirect_uri=login.redirect_uri,
        code_verifier=login.code_verifier,
    )
    url = login.url(
        state.sign(
            login_id=pending.login_id,
            conn_id=hook.salesforce_conn_id,
            account_id=hook.account.account_id,
            owner=hook.account.owner,
            forward_url=forward_url,
            user=pending.user,
        )
    )
    hook.keys.logins.begin(pending)
    response = RedirectResponse(url, status.HTTP_302_FOUND)
    callback = urlsplit(pending.redirect_uri)
    response.set_cookie(
        COOKIE,
        pending.browser,
        max_age=LOGIN_SECONDS,
        path=callback.path.rpartition("/")[0] or "/",
        secure=callback.scheme == "https",
        httponly=True,
        samesite="lax",  # which lets it come along when Salesforce sends the browser back
    )
    return response


def _finish(request: Request, user: BaseUser | None, carried: State) -> None:
    browser = request.cookies.get(COOKIE)
    if user is None or user.get_id() != carried.user:
        raise HTTPException(
            status.HTTP_403_FORBIDDEN,
            "Another Airflow user began this login, or you were logged out meanwhile: log in to Airflow, and begin it "
            "again.",
        )
    if carried.is_expired or not browser:
        raise LoginFailedError(
            "The login took longer than an hour: begin it again."
            if carried.is_expired
            else "This browser did not begin the login: begin it again, in one browser, at the address of Airflow that "
            f"the callback URL has ({urlsplit(base_url()).netloc}), with cookies allowed."
        )
    with connections.choose(user, "PUT", carried.conn_id, carried.account_id, carried.owner) as hook:
        pending = hook.keys.logins.take(carried.login_id, browser, carried.user)
        if pending is None:
            raise LoginFailedError("This login has ended already, or another browser began it: begin it again.")
        login = BrowserLogin(hook, pending.redirect_uri, pending.code_verifier)
        try:
            login.finish(request.query_params, connected_by=user.get_name())
        except SalesforceError as error:
            advice = errors.what_to_register(f"{error.error_code}: {error}", pending.redirect_uri)
            raise LoginFailedError(f"{error} {advice}".rstrip()) from None


def _check_forward_url(forward_url: str) -> None:
    try:
        if forward_url:
            forwarding.checked(forward_url)
    except forwarding.ForwardUrlError as error:
        raise HTTPException(status.HTTP_400_BAD_REQUEST, str(error)) from None


def _succeed(forward_url: str) -> Response:
    if forward_url:
        return RedirectResponse(forwarding.with_result(forward_url, "connected"), status.HTTP_302_FOUND)
    return plain_page("Connected to Salesforce. You can close this page.")


def _fail(forward_url: str, error: SalesforceExportError, code: int | None = None) -> Response:
    if forward_url:
        return RedirectResponse(forwarding.with_result(forward_url, "error", str(error)), status.HTTP_302_FOUND)
    if code is None:
        code = status.HTTP_400_BAD_REQUEST if isinstance(error, LoginFailedError) else errors.status_of(error)
    return plain_page(str(error), code)
