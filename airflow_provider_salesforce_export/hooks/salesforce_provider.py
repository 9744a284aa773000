"""
Connections of type ``salesforce``, as apache-airflow-providers-salesforce defines it, read as ours.

Its fields: the page "Salesforce Connection" of that provider's documentation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_salesforce_export.environment import connection_setting
from airflow_provider_salesforce_export.exceptions import ConfigurationError

if TYPE_CHECKING:
    from airflow.sdk import Connection

PROVIDER_CONN_TYPE = "salesforce"

_PREFIX = "extra__salesforce__"
_NOT_OURS = ("client_id", "organization_id")  # a name for SOAP logins, and a way to do without a security token


def provider_fields(connection: Connection) -> dict[str, Any]:
    """
    Return the fields of such a connection under the names of a ``salesforce_export`` connection.

    Extras that only ``salesforce_export`` knows, such as ``mongo_conn_id`` or ``grant_type``, count here too.

    :param connection: A connection of type ``salesforce``.
    :raises ConfigurationError: It is made for a SOAP login, which has no token to keep.
    """
    extra = connection.extra_dejson
    older = {name.removeprefix(_PREFIX): value for name, value in extra.items() if name.startswith(_PREFIX)}
    newer = {name: value for name, value in extra.items() if not name.startswith(_PREFIX)}
    theirs = {name: value for name, value in {**older, **newer}.items() if value not in (None, "")}
    fields = {name: value for name, value in theirs.items() if name not in _NOT_OURS} | {
        "host": theirs.get("instance_url") or theirs.get("domain") or theirs.get("instance"),
        "client_id": theirs.get("consumer_key"),
        "client_secret": theirs.get("consumer_secret"),
        "username": connection.login,
        "user_password": connection.password,
        "api_version": theirs.get("api_version") or theirs.get("version"),
    }
    return fields | {"grant_type": fields.get("grant_type") or _grant_type(fields, str(connection.conn_id))}


def _grant_type(fields: dict[str, Any], conn_id: str) -> str:
    """Return the grant that the fields are filled in for: the type has no field that says it."""
    has = {name for name in ("client_id", "client_secret") if fields[name] or connection_setting(name)}
    has |= {name for name, value in fields.items() if value}
    if {"client_id", "username"} <= has and {"private_key", "private_key_file_path"} & has:
        return "jwt_bearer"
    if {"client_id", "client_secret", "username", "user_password"} <= has:
        return "password"
    if {"client_id", "client_secret"} <= has and "username" not in has:
        return "client_credentials"
    raise ConfigurationError(
        f"The Airflow connection {conn_id!r} of type {PROVIDER_CONN_TYPE!r} cannot be used for OAuth: a SOAP login by "
        "username, password and security token alone is not supported. Add consumer_key and consumer_secret of an "
        "external client app; or consumer_key, username (login) and private_key; or consumer_key and consumer_secret "
        "without a username, with your My Domain name as domain."
    )
