"""The fields of an Airflow connection of type ``salesforce_export``, checked and typed."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook

from airflow_provider_salesforce_export.exceptions import ConfigurationError
from airflow_provider_salesforce_export.salesforce.domains import login_url

if TYPE_CHECKING:
    from airflow.sdk import Connection

    from airflow_provider_salesforce_export.salesforce.oauth import Grant

DEFAULT_AUTH_TIMEOUT = 10.0
DEFAULT_TIMEOUT = 120.0
GRANT_TYPES = ("refresh_token", "password")


def find_connection(conn_id: str, conn_type: str) -> Connection:
    """
    Return an Airflow connection.

    :param conn_id: Its id.
    :param conn_type: Of which type it should be, for the message.
    :raises ConfigurationError: There is none of that id.
    """
    try:
        connection: Connection = BaseHook.get_connection(conn_id)
    except AirflowNotFoundException:
        raise ConfigurationError(
            f"There is no Airflow connection {conn_id!r}. An Airflow admin creates it under Admin > Connections (type: "
            f"{conn_type}), or as the environment variable AIRFLOW_CONN_{conn_id.upper()}."
        ) from None
    return connection


@dataclass(frozen=True)
class ConnectionSettings:
    """
    What a connection says, with its defaults filled in.

    :param login_url: The login host.
    :param client_id: The consumer key.
    :param client_secret: The consumer secret.
    :param account_id: Under which account the key is kept; the consumer key by default.
    :param owner: Under which owner the key is kept; the login host by default.
    :param grant_type: How tokens are obtained.
    :param mongo_conn_id: The Airflow connection of the MongoDB that keeps the keys.
    :param key_database: Its database; None for that of the MongoDB connection.
    :param key_collection: Its collection; None for the default.
    :param key_encryption_keys: What the token is encrypted with there, newest first; empty for Airflow's configuration.
    :param api_version: Such as ``62.0``; None for the default.
    :param auth_timeout: Seconds to wait for the token endpoint.
    :param timeout: Seconds to wait for a reply to a query.
    :param proxies: As for requests.
    :param username: For the password grant.
    :param user_password: For the password grant.
    :param security_token: For the password grant.
    """

    login_url: str
    client_id: str
    client_secret: str = field(repr=False)
    account_id: str
    owner: str
    grant_type: str = GRANT_TYPES[0]
    mongo_conn_id: str = "mongo_default"
    key_database: str | None = None
    key_collection: str | None = None
    key_encryption_keys: tuple[str, ...] = field(default=(), repr=False)
    api_version: str | None = None
    auth_timeout: float = DEFAULT_AUTH_TIMEOUT
    timeout: float = DEFAULT_TIMEOUT
    proxies: dict[str, str] | None = field(default=None, repr=False)
    username: str = ""
    user_password: str = field(default="", repr=False)
    security_token: str = field(default="", repr=False)

    @classmethod
    def from_connection(cls, connection: Connection) -> ConnectionSettings:
        """
        Read an Airflow connection. A blank field counts as unset.

        :param connection: The connection.
        :raises ConfigurationError: A field is missing or not of its form; the message names it.
        """
        extra = {name: value for name, value in connection.extra_dejson.items() if value not in (None, "")}
        where = f"in the Airflow connection {connection.conn_id!r}"
        if not connection.login or not connection.password:
            raise ConfigurationError(
                f"The consumer key (login) and the consumer secret (password) are both needed {where}. They are those "
                "of the external client app in Salesforce."
            )
        grant_type = extra.get("grant_type", cls.grant_type)
        if grant_type not in GRANT_TYPES:
            raise ConfigurationError(f"grant_type {grant_type!r} {where} is not one of {', '.join(GRANT_TYPES)}.")
        url = login_url(connection.host)
        optional = {
            name: str(extra[name])
            for name in (
                "mongo_conn_id",
                "key_database",
                "key_collection",
                "username",
                "user_password",
                "security_token",
            )
            if name in extra
        }
        return cls(
            login_url=url,
            client_id=connection.login,
            client_secret=connection.password,
            account_id=str(extra.get("account_id", connection.login)),
            owner=str(extra.get("owner", url.partition("://")[2])),
            grant_type=grant_type,
            key_encryption_keys=split_keys(extra.get("key_encryption_keys", "")),
            api_version=_api_version(extra.get("api_version"), where),
            auth_timeout=_seconds("auth_timeout", extra.get("auth_timeout", cls.auth_timeout), where),
            timeout=_seconds("timeout", extra.get("timeout", cls.timeout), where),
            proxies=_proxies(extra.get("proxies"), where),
            **optional,
        )

    def grant(self) -> Grant:
        """
        Return the grant that the connection asks for.

        :raises ConfigurationError: A field that the grant needs is missing.
        """
        from airflow_provider_salesforce_export.salesforce.oauth import PasswordGrant, RefreshTokenGrant

        if self.grant_type == "refresh_token":
            return RefreshTokenGrant()
        if not self.username or not self.user_password:
            raise ConfigurationError(
                "grant_type 'password' needs the extras username and user_password of the Airflow connection."
            )
        return PasswordGrant(self.username, self.user_password, self.security_token)


def split_keys(value: str | list[str]) -> tuple[str, ...]:
    """
    Return encryption keys as a tuple.

    :param value: A list, or a text with commas between the keys.
    """
    keys = value.split(",") if isinstance(value, str) else value
    return tuple(str(key).strip() for key in keys if str(key).strip())


def _api_version(value: Any, where: str) -> str | None:
    if value is None:
        return None
    version = str(value).lower().removeprefix("v")
    number, _, fraction = version.partition(".")
    if not number.isdigit() or fraction not in ("", "0"):
        raise ConfigurationError(f"api_version {value!r} {where} is not a version such as '62.0'.")
    return f"{number}.0"


def _seconds(name: str, value: Any, where: str) -> float:
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        seconds = 0.0
    if not seconds > 0:
        raise ConfigurationError(f"{name} {value!r} {where} is not a number of seconds above 0.")
    return seconds


def _proxies(value: Any, where: str) -> dict[str, str] | None:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except json.JSONDecodeError:
            value = "not JSON"
    if value is None or isinstance(value, dict):
        return value
    raise ConfigurationError(f'proxies {where} is not an object such as {{"https": "http://proxy:3128"}}.')
