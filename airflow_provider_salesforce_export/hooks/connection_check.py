"""Trying a connection: a call to Salesforce, and what the connection leads to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_salesforce_export.exceptions import SalesforceExportError

if TYPE_CHECKING:
    from airflow_provider_salesforce_export.hooks.salesforce_export import SalesforceExportHook


@dataclass(frozen=True)
class ConnectionCheck:
    """
    What a connection leads to.

    :param instance_url: The org.
    :param org_id: Its Id.
    :param user: As whom.
    :param calls_left: API calls that the org has left today.
    :param calls_allowed: API calls that it has a day.
    """

    instance_url: str
    org_id: str
    user: str
    calls_left: int
    calls_allowed: int


def check_connection(hook: SalesforceExportHook) -> ConnectionCheck:
    """
    Call Salesforce, and return what a connection leads to.

    :param hook: The connection.
    :raises SalesforceExportError: It does not work.
    """
    grant = hook.settings.grant()
    if not grant.needs_key:
        # The stored token may still work, and would hide that a field of the connection is wrong.
        hook.settings.token_endpoint().fetch(grant, None)
    # First of all the REST API: it answers 401 to an expired token, which renews it, and userinfo answers 403.
    quota = hook.client.limits()["DailyApiRequests"]
    user = hook.client.user_info()
    return ConnectionCheck(
        instance_url=hook.client.instance_url,
        org_id=user["organization_id"],
        user=user["preferred_username"],
        calls_left=quota["Remaining"],
        calls_allowed=quota["Max"],
    )


def describe_connection(hook: SalesforceExportHook) -> tuple[bool, str]:
    """
    Try a connection, and say what works or what is wrong.

    :param hook: The connection; what was opened for it is closed.
    :returns: Whether it works, and a sentence.
    """
    try:
        with hook:
            found = check_connection(hook)
            return True, (
                f"Connected to {found.instance_url} (org {found.org_id}) as {found.user} by grant "
                f"{hook.settings.grant_type}, API version {hook.client.api_version}, "
                f"{found.calls_left:,} of {found.calls_allowed:,} API calls left today."
            )
    except SalesforceExportError as error:
        return False, str(error)
