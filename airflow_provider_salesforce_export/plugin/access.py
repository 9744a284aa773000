"""
Who may do what: rights on the Airflow connection, as the auth manager of this Airflow grants them.

The scopes of the service that this package replaces become rights: ``salesforce.read`` reading the connection,
``salesforce.create`` editing it, ``salesforce.delete`` deleting it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import urlsplit

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from airflow.api_fastapi.auth.managers.models.resource_details import ConnectionDetails
from airflow.api_fastapi.core_api.security import bearer_scheme, get_user
from airflow.models import Connection
from fastapi import Depends, HTTPException, Request, status

from airflow_provider_salesforce_export.plugin.addresses import base_url

if TYPE_CHECKING:
    Right = Literal["GET", "PUT", "DELETE"]

HEADER = "X-Requested-With"
HEADER_VALUE = "salesforce-export"


def may(user: BaseUser, conn_id: str, right: Right) -> bool:
    """
    Return whether a user has a right on a connection. The question is the same for one that does not exist.

    :param user: The user.
    :param conn_id: The connection.
    :param right: To read it, to edit it, or to delete it.
    """
    details = ConnectionDetails(conn_id=conn_id, team_name=Connection.get_team_name(conn_id))
    return bool(get_auth_manager().is_authorized_connection(method=right, details=details, user=user))


def require(user: BaseUser, conn_id: str, right: Right) -> None:
    """
    Make sure that a user has a right on a connection.

    :param user: The user.
    :param conn_id: The connection.
    :param right: To read it, to edit it, or to delete it.
    """
    if not may(user, conn_id, right):
        wanted = {"GET": "read", "PUT": "edit", "DELETE": "delete"}[right]
        raise HTTPException(
            status.HTTP_403_FORBIDDEN,
            f"You may not {wanted} the Airflow connection {conn_id!r}. An Airflow admin can allow it.",
        )


async def user_or_none(request: Request) -> BaseUser | None:
    """
    Return the user of a request; None where nobody is logged in, which a browser must be told with a page.

    :param request: The request.
    """
    try:
        return await get_user(request, None, await bearer_scheme(request))
    except HTTPException:
        return None


UserOrNone = Annotated[BaseUser | None, Depends(user_or_none)]


def same_site(request: Request) -> None:
    """
    Refuse a request that a page of another site makes a browser send, together with the cookie of its user.

    :param request: The request.
    """
    site = request.headers.get("Sec-Fetch-Site")
    origin = request.headers.get("Origin")
    # A browser sets both by itself. The Host header may be another one behind a proxy; then base_url must match.
    hosts = (request.headers.get("Host"), urlsplit(base_url()).netloc)
    if site not in (None, "same-origin", "none") or (origin and urlsplit(origin).netloc not in hosts):
        raise HTTPException(
            status.HTTP_403_FORBIDDEN,
            "This request comes from another site: open Airflow at its own address. Where it is Airflow's, an Airflow "
            f"admin sets [api] base_url to it (it is {base_url() or 'not set'}).",
        )


def deliberate(request: Request) -> None:
    """
    Refuse what a form or a link of another site could send: a program shows its token, the page sets a header.

    :param request: The request.
    """
    same_site(request)
    has_token = request.headers.get("Authorization", "").lower().startswith("bearer ")
    if not has_token and request.headers.get(HEADER) != HEADER_VALUE:
        raise HTTPException(
            status.HTTP_403_FORBIDDEN, f"Set the header {HEADER}: {HEADER_VALUE}, or use a bearer token."
        )
