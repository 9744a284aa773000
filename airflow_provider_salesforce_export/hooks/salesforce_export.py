"""SalesforceExportHook: from an Airflow connection to a client of one org."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from functools import cached_property
from typing import TYPE_CHECKING

from airflow.providers.common.compat.sdk import BaseHook

from airflow_provider_salesforce_export.exceptions import ConfigurationError
from airflow_provider_salesforce_export.hooks import fields
from airflow_provider_salesforce_export.hooks.connection import DEFAULT_CONN_ID, ConnectionSettings, find_connection
from airflow_provider_salesforce_export.hooks.connection_check import (
    ConnectionCheck,
    check_connection,
    describe_connection,
)
from airflow_provider_salesforce_export.hooks.fields import Field

if TYPE_CHECKING:
    from airflow_provider_salesforce_export.key_collection.collection import KeyCollection
    from airflow_provider_salesforce_export.key_collection.encryption import KeyEncryption
    from airflow_provider_salesforce_export.key_collection.key import Account
    from airflow_provider_salesforce_export.key_collection.stored_token import StoredToken
    from airflow_provider_salesforce_export.metrics import AirflowMeter
    from airflow_provider_salesforce_export.salesforce.client import Record, SalesforceClient

DEFAULT_POOL_SIZE = 10
"""Enough for the COUNTs that are asked in parallel when ranges are planned."""

_MONGO_TIMEOUT = 5_000  # milliseconds to find a server; the driver's own default lets a task hang for 30 seconds
_MONGO_REPLY_TIMEOUT = 15_000  # longer than a write waits for its majority; the driver's own default is for ever


class SalesforceExportHook(BaseHook):
    """
    Talk to one Salesforce org, with a token that is kept in MongoDB and renewed after a 401.

    Nothing is read or opened before it is needed; leaving its ``with`` block closes what was. The fields of
    the connection: ``docs/connection.md``.

    :param salesforce_conn_id: An Airflow connection of type ``salesforce_export``, or of Airflow's own ``salesforce``.
    :param pool_size: How many HTTP connections are kept open: as many as threads share the client.
    :param api_quota_limit: The share of the org's API quota above which the client makes no call; None for no limit.
    """

    conn_name_attr = "salesforce_conn_id"
    default_conn_name = DEFAULT_CONN_ID
    conn_type = "salesforce_export"
    hook_name = "Salesforce Export"

    def __init__(
        self,
        salesforce_conn_id: str = default_conn_name,
        *,
        pool_size: int = DEFAULT_POOL_SIZE,
        api_quota_limit: float | None = None,
    ) -> None:
        super().__init__()
        self.api_quota_limit = api_quota_limit
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
        for name in ("client", "tokens", "keys"):
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
        from airflow_provider_salesforce_export.key_collection.key import Account

        return Account(self.settings.account_id, self.settings.owner)

    @cached_property
    def meter(self) -> AirflowMeter:
        """Return what is told of calls, renewals and logins: see ``docs/metrics.md``."""
        from airflow_provider_salesforce_export.metrics import AirflowMeter

        return AirflowMeter(conn_id=self.salesforce_conn_id)

    @cached_property
    def keys(self) -> KeyCollection:
        """
        Return the key collection.

        :raises ConfigurationError: The MongoDB connection is missing or wrong, or an encryption key is.
        """
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
            mongo.extras.setdefault("socketTimeoutMS", _MONGO_REPLY_TIMEOUT)
            self._opened.callback(mongo.get_conn().close)
        except (AirflowConfigException, PyMongoError, ValueError) as error:
            raise ConfigurationError(f"The Airflow connection {conn_id!r} names no MongoDB: {error}") from None
        database = self.settings.key_database or mongo.connection.schema or DEFAULT_DATABASE
        collection = self.settings.key_collection or DEFAULT_COLLECTION
        return KeyCollection(mongo.get_collection(collection, database), self._key_encryption())

    def _key_encryption(self) -> KeyEncryption:
        from airflow.providers.common.compat.sdk import conf
        from airflow.sdk.log import mask_secret

        from airflow_provider_salesforce_export.key_collection.encryption import DERIVED, KeyEncryption

        configured = conf.get("salesforce_export", "key_encryption_keys", fallback="")
        in_configuration = Field("key_encryption_keys", configured or "", "in [salesforce_export]")
        keys = self.settings.key_encryption_keys or fields.keys(in_configuration)
        for key in keys:
            mask_secret(key.removeprefix(DERIVED))  # Airflow masks by names of fields, and does not know this one
        return KeyEncryption(keys, self.settings.encryption_secret())

    @cached_property
    def tokens(self) -> StoredToken:
        """
        Return the token that all workers share.

        :raises ConfigurationError: The connection is incomplete.
        """
        from airflow_provider_salesforce_export.key_collection.stored_token import StoredToken

        settings = self.settings
        return StoredToken(self.keys, self.account, settings.token_endpoint(), settings.grant(), self.meter)

    @cached_property
    def client(self) -> SalesforceClient:
        """
        Return the client of the org.

        :raises ConfigurationError: The connection is incomplete.
        """
        from airflow_provider_salesforce_export.salesforce.client import DEFAULT_API_VERSION, SalesforceClient

        settings = self.settings
        client = SalesforceClient(
            self.tokens,
            api_version=settings.api_version or DEFAULT_API_VERSION,
            timeout=(settings.auth_timeout, settings.timeout),
            proxies=settings.proxies,
            pool_size=self.pool_size,
            api_quota_limit=self.api_quota_limit,
            meter=self.meter,
        )
        self._opened.callback(client.close)
        return client

    def get_conn(self) -> SalesforceClient:
        """Return the client of the org: Airflow's name for :attr:`client`."""
        return self.client

    def query(self, soql: str, *, include_deleted: bool = False) -> list[Record]:
        """
        Return the records of a query, without the ``attributes`` that Salesforce adds.

        :param soql: The query.
        :param include_deleted: Read the recycle bin too.
        :raises SalesforceError: See :mod:`airflow_provider_salesforce_export.exceptions`; so for all that follow.
        """
        return list(self.query_all(soql, include_deleted=include_deleted))

    def query_all(self, soql: str, *, include_deleted: bool = False) -> Iterator[Record]:
        """
        Yield the records of a query of any size, as :meth:`query` returns them; one batch of them is in memory.

        :param soql: The query.
        :param include_deleted: Read the recycle bin too.
        """
        from airflow_provider_salesforce_export.salesforce.records import drop_attributes

        for batch in self.client.query(soql, include_deleted=include_deleted):
            for record in batch:
                drop_attributes(record)
                yield record

    def count(self, soql: str, *, include_deleted: bool = False) -> int:
        """
        Return how many records there are.

        :param soql: ``SELECT COUNT() FROM ...``
        :param include_deleted: Count the recycle bin too.
        """
        return self.client.count(soql, include_deleted=include_deleted)

    def describe(self, sobject: str) -> Record:
        """
        Return Salesforce's description of an sObject.

        :param sobject: Its API name.
        """
        return self.client.describe(sobject)

    def limits(self) -> Record:
        """Return the org's limits by name, each with Max and Remaining."""
        return self.client.limits()

    def create(self, sobject: str, values: Record) -> str:
        """
        Create a record, and return its Id.

        :param sobject: The API name of the sObject.
        :param values: By field name.
        """
        return self.client.create(sobject, values)

    def update(self, sobject: str, record_id: str, values: Record) -> None:
        """
        Change some fields of a record.

        :param sobject: The API name of the sObject.
        :param record_id: Its Id.
        :param values: By field name; the others stay as they are.
        """
        self.client.update(sobject, record_id, values)

    def delete(self, sobject: str, record_id: str) -> None:
        """
        Put a record into the recycle bin.

        :param sobject: The API name of the sObject.
        :param record_id: Its Id.
        """
        self.client.delete(sobject, record_id)

    def renew(self) -> None:
        """
        Renew the stored token though it may still work, so that its login does not die of idleness.

        Other workers can go on meanwhile, as at any renewal.

        :raises LoginRequiredError: Salesforce has ended the login, or there never was one.
        """
        self.tokens.renew(self.tokens.current())

    def check(self) -> ConnectionCheck:
        """
        Call Salesforce, and return what the connection leads to.

        :raises SalesforceExportError: It does not work.
        """
        return check_connection(self)

    def test_connection(self) -> tuple[bool, str]:
        """
        Try the connection, and say what works or what is wrong: Airflow's Test button shows it.

        :returns: Whether it works, and a sentence.
        """
        return describe_connection(self)
