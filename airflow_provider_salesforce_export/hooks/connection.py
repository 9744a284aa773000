"""An Airflow connection to Salesforce, checked and typed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook

from airflow_provider_salesforce_export.environment import connection_setting
from airflow_provider_salesforce_export.exceptions import ConfigurationError
from airflow_provider_salesforce_export.hooks import fields
from airflow_provider_salesforce_export.hooks.salesforce_provider import PROVIDER_CONN_TYPE, provider_fields
from airflow_provider_salesforce_export.salesforce.domains import is_my_domain, login_url
from airflow_provider_salesforce_export.salesforce.grants import GRANT_TYPES

if TYPE_CHECKING:
    from airflow.sdk import Connection

    from airflow_provider_salesforce_export.salesforce.grants import Grant, JwtBearerGrant
    from airflow_provider_salesforce_export.salesforce.oauth import TokenEndpoint

DEFAULT_CONN_ID = "salesforce_export_default"
DEFAULT_AUTH_TIMEOUT = 10.0
# Salesforce gives up a query after about two minutes: its answer says so, and an export may go on by Bulk API 2.0.
DEFAULT_TIMEOUT = 180.0
DEFAULT_SCOPES = ("api", "refresh_token")

_SYNONYMS = {
    "authorization_code": "refresh_token",  # the login that stores the refresh token
    "urn:ietf:params:oauth:grant-type:jwt-bearer": "jwt_bearer",
}


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


def environment_stands_in(conn_id: str) -> bool:
    """
    Return whether the settings of the environment alone may do where there is no connection of an id.

    :param conn_id: The id.
    """
    return conn_id == DEFAULT_CONN_ID and connection_setting("client_id") is not None


@dataclass(frozen=True)
class ConnectionSettings:
    """
    What a connection says, with its defaults filled in.

    :param login_url: The login host that issues tokens.
    :param login_page_url: The login host that users see; the same but for old environment settings.
    :param client_id: The consumer key.
    :param client_secret: The consumer secret; empty where the grant needs none.
    :param account_id: Under which account the key is kept; the consumer key by default.
    :param owner: Under which owner the key is kept; the login host by default.
    :param grant_type: How tokens are obtained.
    :param mongo_conn_id: The Airflow connection of the MongoDB that keeps the keys.
    :param key_database: Its database; None for that of the MongoDB connection.
    :param key_collection: Its collection; None for the default.
    :param key_encryption_keys: What the token is encrypted with there, newest first; empty for Airflow's configuration.
    :param api_version: Such as ``62.0``; None for the default.
    :param redirect_uri: Where a login in the browser comes back to; None where the connection does not say.
    :param scopes: What a login in the browser asks for.
    :param auth_timeout: Seconds to wait for the token endpoint.
    :param timeout: Seconds to wait for a reply to a query.
    :param proxies: As for requests.
    :param username: For the password and the JWT bearer grant.
    :param user_password: For the password grant.
    :param security_token: For the password grant.
    :param private_key: For the JWT bearer grant.
    :param private_key_file_path: The same as a file.
    """

    login_url: str
    login_page_url: str
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
    redirect_uri: str | None = None
    scopes: tuple[str, ...] = DEFAULT_SCOPES
    auth_timeout: float = DEFAULT_AUTH_TIMEOUT
    timeout: float = DEFAULT_TIMEOUT
    proxies: dict[str, str] | None = field(default=None, repr=False)
    username: str = ""
    user_password: str = field(default="", repr=False)
    security_token: str = field(default="", repr=False)
    private_key: str = field(default="", repr=False)
    private_key_file_path: str = ""

    @classmethod
    def of(cls, conn_id: str) -> ConnectionSettings:
        """
        Read the Airflow connection of an id; where there is none of the default id, the environment alone may do.

        :param conn_id: The id.
        :raises ConfigurationError: There is no such connection, or a field of it is missing or wrong.
        """
        try:
            connection = find_connection(conn_id, "salesforce_export")
        except ConfigurationError:
            if not environment_stands_in(conn_id):
                raise
            return cls._read({}, "in the environment")
        return cls.from_connection(connection)

    @classmethod
    def from_connection(cls, connection: Connection) -> ConnectionSettings:
        """
        Read an Airflow connection. A blank field counts as unset; below it stands the setting of the environment.

        :param connection: The connection, of type ``salesforce_export`` or ``salesforce``.
        :raises ConfigurationError: A field is missing or not of its form; the message names it.
        """
        where = f"in the Airflow connection {connection.conn_id!r}"
        if connection.conn_type == PROVIDER_CONN_TYPE:
            values = provider_fields(connection)
        else:
            fields.warn_of_unknown(frozenset(connection.extra_dejson), where)
            values = connection.extra_dejson | {
                "host": connection.host,
                "client_id": connection.login,
                "client_secret": connection.password,
            }
        return cls._read(values, where)

    @classmethod
    def _read(cls, values: dict[str, Any], where: str) -> ConnectionSettings:
        find = fields.finder(values, where)
        grant_type = fields.choice(find("grant_type"), GRANT_TYPES, _SYNONYMS)
        client_id = fields.text(find("client_id")).strip()
        client_secret = fields.text(find("client_secret")).strip()
        if not client_id or not (client_secret or grant_type == "jwt_bearer"):
            missing = "consumer secret (password)" if client_id else "consumer key (login)"
            raise ConfigurationError(
                f"The {missing} is missing {where}. It is that of the external client app in Salesforce; "
                "SALESFORCE_CLIENT_ID and SALESFORCE_SECRET_ID in the environment stand in for blank fields."
            )
        url = login_url(fields.text(find("host")))
        page_url = url if values.get("host") else fields.text(find("authorize_host"), url)
        optional = {
            name: fields.text(find(name))
            for name in (
                "mongo_conn_id",
                "key_database",
                "key_collection",
                "username",
                "user_password",
                "security_token",
                "private_key",
                "private_key_file_path",
            )
            if find(name)
        }
        return cls(
            login_url=url,
            login_page_url=page_url,
            client_id=client_id,
            client_secret=client_secret,
            account_id=fields.text(find("account_id"), client_id),
            owner=fields.text(find("owner"), url.partition("://")[2]),
            grant_type=grant_type,
            key_encryption_keys=fields.keys(find("key_encryption_keys")),
            api_version=fields.api_version(find("api_version")),
            redirect_uri=fields.redirect_uri(find("redirect_uri")),
            scopes=fields.scopes(find("scopes"), cls.scopes),
            auth_timeout=fields.seconds(find("auth_timeout"), cls.auth_timeout),
            timeout=fields.seconds(find("timeout"), cls.timeout),
            proxies=fields.proxies(find("proxies")),
            **optional,
        )

    def token_endpoint(self) -> TokenEndpoint:
        """Return the token endpoint of the login host."""
        from airflow_provider_salesforce_export.salesforce.oauth import TokenEndpoint

        return TokenEndpoint(self.login_url, self.client_id, self.client_secret, self.auth_timeout, self.proxies)

    def grant(self) -> Grant:
        """
        Return the grant that the connection asks for.

        :raises ConfigurationError: A field that the grant needs is missing or wrong.
        """
        from airflow_provider_salesforce_export.salesforce import grants

        if self.grant_type == "jwt_bearer":
            return self._jwt_bearer_grant()
        if self.grant_type == "client_credentials":
            if not is_my_domain(self.login_url):
                raise ConfigurationError(
                    f"grant_type 'client_credentials' does not work at {self.login_url}: write your My Domain name, "
                    "such as 'acme', as the host of the Airflow connection."
                )
            return grants.ClientCredentialsGrant()
        if self.grant_type == "password":
            self._need("username", "user_password")
            return grants.PasswordGrant(self.username, self.user_password, self.security_token)
        return grants.RefreshTokenGrant()

    def encryption_secret(self) -> str:
        """
        Return the secret that the key for stored tokens is derived from, where no keys are set.

        :raises ConfigurationError: It is a private key that cannot be read.
        """
        from airflow_provider_salesforce_export.salesforce.private_key import private_key_text

        return self.client_secret or private_key_text(self._jwt_bearer_grant().private_key)

    def _jwt_bearer_grant(self) -> JwtBearerGrant:
        from airflow_provider_salesforce_export.salesforce.grants import JwtBearerGrant
        from airflow_provider_salesforce_export.salesforce.private_key import parse_private_key, read_private_key

        if self.private_key_file_path:
            self._need("username")
            return JwtBearerGrant(self.username, read_private_key(self.private_key_file_path))
        self._need("username", "private_key")
        return JwtBearerGrant(self.username, parse_private_key(self.private_key))

    def _need(self, *names: str) -> None:
        missing = [name for name in names if not getattr(self, name)]
        if missing:
            raise ConfigurationError(
                f"grant_type {self.grant_type!r} needs {' and '.join(missing)} in the extras of the Airflow connection."
            )
