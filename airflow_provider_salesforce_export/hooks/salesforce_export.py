"""SalesforceExportHook: from an Airflow connection to a client of one org."""

from __future__ import annotations

from contextlib import ExitStack
from functools import cached_property
from typing import TYPE_CHECKING

from airflow.providers.common.compat.sdk import BaseHook

from airflow_provider_salesforce_export.exceptions import ConfigurationError, SalesforceExportError
from airflow_provider_salesforce_export.hooks.connection import DEFAULT_CONN_ID, ConnectionSettings, find_connection

if TYPE_CHECKING:
    from airflow_provider_salesforce_export.key_collection.collection import Account, KeyCollection
    from airflow_provider_salesforce_export.salesforce.client import SalesforceClient

DEFAULT_POOL_SIZE = 10
"""Enough for the COUNTs that are asked in parallel when ranges are planned."""

_MONGO_TIMEOUT = 5_000  # milliseconds to find a server; the driver's own default lets a task hang for 30 seconds


class SalesforceExportHook(BaseHook):
    """
    Talk to one Salesforce org, with a token that is kept in MongoDB and renewed after a 401.

    Nothing is read or opened before it is needed; leaving its ``with`` block closes what was. See the README for the
    fields of the connection.

    :param salesforce_conn_id: An Airflow connection of type ``salesforce_export``, or of Airflow's own ``salesforce``.
    :param pool_size: How many HTTP connections are kept open: as many as threads share the client.
    """

    conn_name_attr = "salesforce_conn_id"
    default_conn_name = DEFAULT_CONN_ID
    conn_type = "salesforce_export"
    hook_name = "Salesforce Export"

    def __init__(self, salesforce_conn_id: str = default_conn_name, *, pool_size: int = DEFAULT_POOL_SIZE) -> None:
        super().__init__()
        self.salesforce_conn_id = salesforce_conn_id
        self.pool_size = pool_size
        self._opened = ExitStack()

    def __enter__(self) -> SalesforceExportHook:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections to Salesforce and to MongoDB; they are opened again where they are needed again."""
        self._opened.close()
        for name in ("client", "keys"):
            self.__dict__.pop(name, None)

    @cached_property
    def settings(self) -> ConnectionSettings:
        """
        Return what the connection says.

        :raises ConfigurationError: A field of it is missing or wrong.
        """
        return ConnectionSettings.of(self.salesforce_conn_id)

    @cached_property
    def account(self) -> Account:
        """Return whose key this connection uses."""
        from airflow_provider_salesforce_export.key_collection.collection import Account

        return Account(self.settings.account_id, self.settings.owner)

    @cached_property
    def keys(self) -> KeyCollection:
        """Return the key collection."""
        from airflow.exceptions import AirflowConfigException
        from airflow.providers.mongo.hooks.mongo import MongoHook
        from pymongo.errors import PyMongoError

        from airflow_provider_salesforce_export.key_collection.collection import (
            DEFAULT_COLLECTION,
            DEFAULT_DATABASE,
            KeyCollection,
        )

        conn_id = self.settings.mongo_conn_id
        find_connection(conn_id, MongoHook.conn_type)
        try:
            mongo = MongoHook(conn_id)
            mongo.extras.setdefault("serverSelectionTimeoutMS", _MONGO_TIMEOUT)
            self._opened.callback(mongo.get_conn().close)
        except (AirflowConfigException, PyMongoError, ValueError) as error:
            raise ConfigurationError(f"The Airflow connection {conn_id!r} names no MongoDB: {error}") from None
        database = self.settings.key_database or mongo.connection.schema or DEFAULT_DATABASE
        collection = self.settings.key_collection or DEFAULT_COLLECTION
        return KeyCollection(mongo.get_collection(collection, database))

    @cached_property
    def client(self) -> SalesforceClient:
        """
        Return the client of the org.

        :raises ConfigurationError: The connection is incomplete.
        """
        from airflow_provider_salesforce_export.key_collection.stored_token import StoredToken
        from airflow_provider_salesforce_export.salesforce.client import DEFAULT_API_VERSION, SalesforceClient

        settings = self.settings
        client = SalesforceClient(
            StoredToken(self.keys, self.account, settings.token_endpoint(), settings.grant()),
            api_version=settings.api_version or DEFAULT_API_VERSION,
            timeout=(settings.auth_timeout, settings.timeout),
            proxies=settings.proxies,
            pool_size=self.pool_size,
        )
        self._opened.callback(client.close)
        return client

    def get_conn(self) -> SalesforceClient:
        """Return the client of the org: Airflow's name for :attr:`client`."""
        return self.client

    def test_connection(self) -> tuple[bool, str]:
        """
        Try the connection, and say what works or what is wrong: Airflow's Test button shows it.

        :returns: Whether it works, and a sentence.
        """
        try:
            with self:
                grant = self.settings.grant()
                if not grant.needs_key:
                    # The stored token may still work, and would hide that a field of the connection is wrong.
                    self.settings.token_endpoint().fetch(grant, None)
                user = self.client.user_info()
                quota = self.client.limits()["DailyApiRequests"]
                return True, (
                    f"Connected to {self.client.instance_url} (org {user['organization_id']}) as "
                    f"{user['preferred_username']} by grant {grant.name}, API version {self.client.api_version}, "
                    f"{quota['Remaining']} of {quota['Max']} API calls left today."
                )
        except SalesforceExportError as error:
            return False, str(error)
