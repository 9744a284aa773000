"""The Airflow connections to Salesforce: which there are, whose key they use, and in which state it is."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from fastapi import HTTPException, status

from airflow_provider_salesforce_export.exceptions import KeyCollectionUnavailableError, SalesforceExportError
from airflow_provider_salesforce_export.hooks.connection import DEFAULT_CONN_ID
from airflow_provider_salesforce_export.hooks.connection_list import conn_type_of, list_conn_ids
from airflow_provider_salesforce_export.hooks.salesforce_export import SalesforceExportHook
from airflow_provider_salesforce_export.hooks.salesforce_provider import PROVIDER_CONN_TYPE
from airflow_provider_salesforce_export.object_types import CATALOGUE
from airflow_provider_salesforce_export.plugin import access
from airflow_provider_salesforce_export.plugin.addresses import callback_url
from airflow_provider_salesforce_export.salesforce.domains import kind_of_org

if TYPE_CHECKING:
    from airflow.api_fastapi.auth.managers.models.base_user import BaseUser

    from airflow_provider_salesforce_export.plugin.access import Right

Row = dict[str, Any]


def choose(
    user: BaseUser, right: Right, conn_id: str | None, account_id: str | None = None, owner: str | None = None
) -> SalesforceExportHook:
    """
    Return the hook of the connection that a caller names, by its id or by the account whose key it uses.

    An account chooses among connections, and never changes which key one of them uses: a right on one connection must
    not become a right on the key of another.

    :param user: Who calls.
    :param right: What the user must be allowed to.
    :param conn_id: The connection; None for the default one, or the first with that account.
    :param account_id: Whose key; None for any.
    :param owner: Whose key; None for any.
    :raises ConfigurationError: A field of the connection is missing or wrong, or Airflow's database cannot be read.
    """
    by_account = conn_id is None and (account_id or owner)
    candidates = list_conn_ids() if by_account else [conn_id or DEFAULT_CONN_ID]
    if by_account:
        candidates = [candidate for candidate in candidates if access.may(user, candidate, right)]
    for candidate in candidates:
        access.require(user, candidate, right)
        if not _exists(candidate):
            continue
        hook = SalesforceExportHook(candidate, pool_size=1)
        if account_id in (None, "", hook.settings.account_id) and owner in (None, "", hook.settings.owner):
            return hook
    raise HTTPException(
        status.HTTP_404_NOT_FOUND,
        "There is no such Airflow connection to Salesforce, or it uses the key of another account. "
        "An Airflow admin creates it under Admin > Connections.",
    )


def rows(user: BaseUser, named: str | None = None) -> list[Row]:
    """
    Return what is known of each connection that a user may read, from MongoDB alone.

    :param user: Who asks.
    :param named: A connection that is among them also where it cannot be listed, or is of Airflow's own type.
    :raises ConfigurationError: Airflow's database cannot be read.
    """
    away: dict[str, str] = {}
    listed = list_conn_ids()
    allowed = [conn_id for conn_id in sorted({*listed, *filter(None, [named])}) if access.may(user, conn_id, "GET")]
    return [_row(user, conn_id, away) for conn_id in allowed if conn_id in listed or _exists(conn_id)]


def test(hook: SalesforceExportHook) -> Row:
    """
    Call Salesforce, and return whether the connection works.

    :param hook: The hook.
    """
    try:
        with hook:
            found = hook.check()
    except SalesforceExportError as error:
        return {"works": False, "message": str(error), "user": None, "org_id": None, "api_usage": None}
    return {
        "works": True,
        "message": f"Connected to {found.instance_url} as {found.user}.",
        "user": found.user,
        "org_id": found.org_id,
        "api_usage": {"used": found.calls_allowed - found.calls_left, "limit": found.calls_allowed},
    }


def _row(user: BaseUser, conn_id: str, away: dict[str, str]) -> Row:
    row = _blank_row(user, conn_id)
    try:
        with SalesforceExportHook(conn_id) as hook:
            row.update(_of_settings(hook))
            row["may"]["login"] = row["may"]["login"] and hook.settings.grant().needs_key
            mongo = hook.settings.mongo_conn_id
            if mongo not in away:  # else each row would wait for it again
                try:
                    row.update(_of_key(hook))
                except KeyCollectionUnavailableError as error:
                    away[mongo] = str(error)
            if mongo in away:
                row.update(state="error", error=away[mongo])
    except SalesforceExportError as error:
        row.update(state="error", error=str(error))
    return row


def _blank_row(user: BaseUser, conn_id: str) -> Row:
    unknown = dict.fromkeys(
        ("environment", "login_url", "grant_type", "account_id", "owner", "error", "instance_url", "connected_by")
    )
    may_edit = access.may(user, conn_id, "PUT")
    may_delete = access.may(user, conn_id, "DELETE")
    return {
        "conn_id": conn_id,
        **unknown,
        "state": "never",
        "issued_at": None,
        "updated_at": None,
        "object_types": list(CATALOGUE),
        "callback_url": callback_url(),
        "may": {"login": may_edit, "disconnect": may_delete, "test": True, "export": True},
    }


def _of_settings(hook: SalesforceExportHook) -> Row:
    settings = hook.settings
    return {
        "environment": kind_of_org(settings.login_url),
        "login_url": settings.login_page_url,
        "grant_type": settings.grant_type,
        "account_id": settings.account_id,
        "owner": settings.owner,
        "callback_url": callback_url(settings),
    }


def _of_key(hook: SalesforceExportHook) -> Row:
    key = hook.keys.status(hook.account)
    return {
        "state": key.state,
        "error": key.last_error or None,
        "instance_url": key.instance_url,
        "connected_by": key.connected_by or None,
        "issued_at": _text(key.issued_at),
        "updated_at": _text(key.updated_at),
    }


def _text(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _exists(conn_id: str) -> bool:
    return conn_type_of(conn_id) in (SalesforceExportHook.conn_type, PROVIDER_CONN_TYPE)
