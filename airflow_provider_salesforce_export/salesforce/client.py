"""One org: queries, descriptions, and records to create, update and delete."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

import msgspec

from airflow_provider_salesforce_export.exceptions import (
    ApiVersionError,
    AuthenticationError,
    QueryError,
    QuotaReachedError,
    SalesforceError,
)
from airflow_provider_salesforce_export.salesforce.bulk import BulkQueries
from airflow_provider_salesforce_export.salesforce.errors import incomplete
from airflow_provider_salesforce_export.salesforce.meter import UNMETERED
from airflow_provider_salesforce_export.salesforce.query_log import log_failed_query, log_query
from airflow_provider_salesforce_export.salesforce.records import Batch
from airflow_provider_salesforce_export.salesforce.rest_api import RestApi, parsed

if TYPE_CHECKING:
    from datetime import datetime

    from airflow_provider_salesforce_export.salesforce.meter import Meter
    from airflow_provider_salesforce_export.salesforce.rest_api import ApiUsage
    from airflow_provider_salesforce_export.salesforce.session import TokenSource

DEFAULT_API_VERSION = "62.0"
Record = dict[str, Any]


class SalesforceClient:
    """
    One org over its REST API. Threads may share a client.

    :param tokens: Where the access token comes from.
    :param api_version: Such as ``62.0``.
    :param timeout: Seconds to wait for a connection, and seconds to wait for a reply.
    :param proxies: As for requests.
    :param pool_size: How many connections are kept open: as many as threads share the client.
    :param api_quota_limit: The share of the org's API quota, such as 0.8, above which no further call is made, so that
        others still can; None for no such limit.
    :param meter: Is told of calls and queries, and may be told more by who uses the client.
    """

    def __init__(
        self,
        tokens: TokenSource,
        *,
        api_version: str = DEFAULT_API_VERSION,
        timeout: tuple[float, float] = (10.0, 120.0),
        proxies: dict[str, str] | None = None,
        pool_size: int = 10,
        api_quota_limit: float | None = None,
        meter: Meter = UNMETERED,
    ) -> None:
        self.api_version = api_version
        self.meter = meter
        self._api = RestApi(tokens, api_version, timeout, proxies, pool_size, api_quota_limit, meter)

    @property
    def instance_url(self) -> str:
        """Return the address of the org, as its token names it."""
        return self._api.instance_url

    @property
    def identity(self) -> str | None:
        """Return whose the token is, ``00D.../005...``, the Ids of org and user; None where it does not say."""
        return self._api.identity

    def require_identity(self, identity: str | None) -> None:
        """
        From now on raise LoginChangedError, before anything is sent, where the token has become somebody else's.

        :param identity: Whose tokens may be used, as :attr:`identity` says it; None for anybody's.
        """
        self._api.require_identity(identity)

    @property
    def usage(self) -> ApiUsage:
        """Return the count of calls, and how much of the org's quota is used."""
        return self._api.usage

    @property
    def said_at(self) -> datetime | None:
        """Return when the last reply was sent, by the org's clock, to the second; None where that is not known."""
        return self._api.said_at

    @cached_property
    def bulk(self) -> BulkQueries:
        """The Bulk API 2.0 query jobs of the org."""
        return BulkQueries(self._api, self.api_version)

    def close(self) -> None:
        """Close the connections."""
        self._api.close()

    def require_quota(self, calls: int) -> None:
        """
        Make sure that some calls are within the share of the org's API quota that this client may use.

        :param calls: How many calls are to be made.
        :raises QuotaReachedError: They are not, at this moment.
        :raises ConfigurationError: They never can be.
        """
        self._api.require_quota(calls)

    def count(self, soql: str, *, include_deleted: bool = False) -> int:
        """
        Return how many records a COUNT() query finds.

        :param soql: ``SELECT COUNT() FROM ...``
        :param include_deleted: Count those in the recycle bin too.
        :raises SalesforceError: See :mod:`airflow_provider_salesforce_export.exceptions`.
        """
        return self._query_batch(self._query_path(include_deleted), soql).total

    def query(
        self, soql: str, *, include_deleted: bool = False, record_type: Any = dict[str, Any]
    ) -> Iterator[list[Any]]:
        """
        Run a query, and yield its records batch by batch; no batch is held after the next is asked for.

        :param soql: The query.
        :param include_deleted: Read those in the recycle bin too (``queryAll``).
        :param record_type: What a record becomes: a dict as Salesforce sent it, or
            :attr:`~airflow_provider_salesforce_export.salesforce.soql.Query.record_type`.
        :returns: Batches of records, in the order of the query.
        :raises QueryError: The records are not of that type: a field is not written as Salesforce writes it.
        :raises IncompleteResponseError: The batches together hold fewer or more records than Salesforce announced.
        :raises SalesforceError: See :mod:`airflow_provider_salesforce_export.exceptions`.
        """
        answer = self._query_batch(self._query_path(include_deleted), soql, record_type)
        announced, received = answer.total, 0
        while True:
            following, records = answer.following, answer.records
            received += len(records)
            del answer  # or its records would be there until those of the next batch are
            yield records
            del records
            if following is None or received > announced:
                break
            if not following.startswith("/"):
                raise incomplete("names no path of this org for what follows")
            answer = self._query_batch(following, None, record_type)
        if received != announced:
            raise incomplete(
                f"holds {received} records where it announced {announced} (were some deleted for good meanwhile?)"
            )

    def first_batch(self, soql: str, *, include_deleted: bool = False, record_type: Any = dict[str, Any]) -> list[Any]:
        """
        Run a query with OFFSET, to which Salesforce may answer with fewer records than its LIMIT, and no more batches.

        See the *SOQL and SOSL Reference*, "OFFSET": only the first batch of records is returned.

        :param soql: The query.
        :param include_deleted: Read those in the recycle bin too (``queryAll``).
        :param record_type: As for :meth:`query`.
        :raises SalesforceError: See :mod:`airflow_provider_salesforce_export.exceptions`.
        """
        return self._query_batch(self._query_path(include_deleted), soql, record_type).records

    def describe(self, sobject: str) -> Record:
        """
        Return the description of an sObject: its fields, their types, their relations.

        :param sobject: Its API name.
        :raises QueryError: There is none of that name, or the user may not see it.
        """
        try:
            return self._get_object(f"{self._sobject_path(sobject)}/describe")
        except SalesforceError as error:
            if error.error_code != "NOT_FOUND" or isinstance(error, ApiVersionError):
                raise
            raise QueryError(
                f"The sObject {sobject} does not exist, or the user may not see it: correct the object type, or ask a "
                "Salesforce admin.",
                error_code=error.error_code,
                status_code=error.status_code,
            ) from None

    def create(self, sobject: str, values: Record) -> str:
        """
        Create a record, and return its Id.

        It is tried once: where no reply comes, the record may or may not have been created.

        :param sobject: The API name of the sObject.
        :param values: By field name.
        :raises SalesforceError: A value is refused or missing; the message names the fields.
        """
        reply = self._api.write("POST", self._sobject_path(sobject), values)
        return str(reply["id"])

    def update(self, sobject: str, record_id: str, values: Record) -> None:
        """
        Change some fields of a record.

        :param sobject: The API name of the sObject.
        :param record_id: Its Id.
        :param values: By field name; the others stay as they are.
        :raises SalesforceError: There is no such record, or a value is refused.
        """
        self._api.write("PATCH", self._sobject_path(sobject, record_id), values)

    def delete(self, sobject: str, record_id: str) -> None:
        """
        Put a record into the recycle bin.

        :param sobject: The API name of the sObject.
        :param record_id: Its Id.
        :raises SalesforceError: There is no such record, or it may not be deleted.
        """
        self._api.write("DELETE", self._sobject_path(sobject, record_id))

    def sobjects(self) -> list[Record]:
        """Return the sObjects that the user may see, each with its ``name``, ``label`` and more."""
        objects: list[Record] = self._get_object(f"{self._api.data_path}/sobjects")["sobjects"]
        return objects

    def limits(self) -> Record:
        """Return the org's limits, by name, each with Max and Remaining."""
        return self._get_object(f"{self._api.data_path}/limits")

    def user_info(self) -> Record:
        """Return the user and the org that the token stands for."""
        return self._get_object("/services/oauth2/userinfo")

    def _query_path(self, include_deleted: bool) -> str:
        return f"{self._api.data_path}/{'queryAll' if include_deleted else 'query'}"

    def _sobject_path(self, *names: str) -> str:
        return "/".join([f"{self._api.data_path}/sobjects", *(quote(name, safe="") for name in names)])

    def _query_batch(self, path: str, soql: str | None, record_type: Any = dict[str, Any]) -> _Answer:
        started, what = time.monotonic(), soql or "what followed"
        batch: Batch[Any]
        try:
            batch, size = self._api.get(path, {"q": soql} if soql else None, parse=partial(_batch, record_type))
        except (AuthenticationError, QuotaReachedError):
            raise  # it was not asked
        except SalesforceError:
            log_failed_query(time.monotonic() - started, what)
            raise
        seconds = time.monotonic() - started
        self.meter.time("query.duration", seconds)
        log_query(seconds, len(batch.records), size, what)
        return _Answer(batch.totalSize, None if batch.done else batch.nextRecordsUrl, batch.records)

    def _get_object(self, path: str) -> Record:
        reply: Record = self._api.get(path, parse=partial(parsed, type=dict[str, Any]))
        return reply


class _Answer(NamedTuple):
    """
    A batch of records.

    :param total: How many records Salesforce has announced, over all batches.
    :param following: Where the next batch is; None after the last one.
    :param records: The records.
    """

    total: int
    following: str | None
    records: list[Any]


def _batch(record_type: Any, content: bytes) -> tuple[Batch[Any], int]:
    """Return a batch, and how many bytes it was."""
    try:
        return msgspec.json.decode(content, type=Batch[record_type]), len(content)
    except msgspec.DecodeError as error:
        parsed(content, Batch[Any])  # raises, unless it is the records that are not of their type
        raise QueryError(
            f"Salesforce's records are not as they were asked for: {error}. Write the fields of the object type as "
            "Salesforce names them: Email, not email."
        ) from None
