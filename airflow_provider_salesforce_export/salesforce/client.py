"""One org over its REST API: a session that renews its token, queries, and the count of calls."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
import requests
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from airflow_provider_salesforce_export.exceptions import (
    ApiVersionError,
    ConcurrentRequestsError,
    ConfigurationError,
    IncompleteResponseError,
    QueryError,
    QuotaReachedError,
    SalesforceError,
)
from airflow_provider_salesforce_export.salesforce.errors import error_of, incomplete
from airflow_provider_salesforce_export.salesforce.session import SessionAuth
from airflow_provider_salesforce_export.salesforce.transport import new_session, unreachable

if TYPE_CHECKING:
    from airflow_provider_salesforce_export.salesforce.session import TokenSource

log = logging.getLogger(__name__)

DEFAULT_API_VERSION = "62.0"
Record = dict[str, Any]

_API_USAGE = re.compile(r"api-usage=(\d+)/(\d+)")


@dataclass
class ApiUsage:
    """
    Calls made, and how much of the org's daily quota is used.

    :param calls: Calls that this client made.
    :param used: Calls of the last 24 hours by everybody in the org; None until Salesforce has said it.
    :param limit: The org's quota for 24 hours; None until Salesforce has said it.
    """

    calls: int = 0
    used: int | None = None
    limit: int | None = None


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
    ) -> None:
        self.api_version = api_version
        self.usage = ApiUsage()
        self._tokens = tokens
        self._timeout = timeout
        self._api_quota_limit = api_quota_limit
        self._usage_lock = threading.Lock()
        self._proxies = proxies
        self._session = new_session(pool_size=pool_size)
        self._session.auth = SessionAuth(tokens)

    @property
    def instance_url(self) -> str:
        """Return the address of the org, as its token names it."""
        return str(self._tokens.current()["instance_url"])

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def require_quota(self, calls: int) -> None:
        """
        Make sure that some calls are within the share of the org's API quota that this client may use.

        :param calls: How many calls are to be made.
        :raises QuotaReachedError: They are not, at this moment.
        :raises ConfigurationError: They never can be.
        """
        used, limit = self.usage.used, self.usage.limit
        if self._api_quota_limit is None or used is None or limit is None:
            return
        allowed = int(limit * self._api_quota_limit)
        if calls > allowed:
            raise ConfigurationError(
                f"This needs about {calls} API calls, and api_quota_limit={self._api_quota_limit} allows {allowed} of "
                f"the org's {limit} a day: raise page_size or api_quota_limit, or narrow the export."
            )
        if used + calls > allowed:
            raise QuotaReachedError(
                f"{used} of the org's {limit} API calls of 24 hours are used, {calls} more are needed, and "
                f"api_quota_limit={self._api_quota_limit} allows {allowed}."
            )

    def count(self, soql: str, *, include_deleted: bool = False) -> int:
        """
        Return how many records a COUNT() query finds.

        :param soql: ``SELECT COUNT() FROM ...``
        :param include_deleted: Count those in the recycle bin too.
        :raises SalesforceError: See :mod:`airflow_provider_salesforce_export.exceptions`.
        """
        return int(self._query_batch(self._query_path(include_deleted), soql)["totalSize"])

    def query(self, soql: str, *, include_deleted: bool = False) -> Iterator[list[Record]]:
        """
        Run a query, and yield its records batch by batch; no batch is held after the next is asked for.

        :param soql: The query.
        :param include_deleted: Read those in the recycle bin too (``queryAll``).
        :returns: Batches of records as Salesforce sent them, in the order of the query.
        :raises IncompleteResponseError: The batches together hold fewer or more records than Salesforce announced.
        :raises SalesforceError: See :mod:`airflow_provider_salesforce_export.exceptions`.
        """
        batch = self._query_batch(self._query_path(include_deleted), soql)
        announced, received = batch["totalSize"], len(batch["records"])
        yield batch["records"]
        while not batch["done"]:
            batch = self._query_batch(batch["nextRecordsUrl"])
            received += len(batch["records"])
            yield batch["records"]
        if received != announced:
            raise incomplete(f"holds {received} records where it announced {announced}")

    def first_batch(self, soql: str, *, include_deleted: bool = False) -> list[Record]:
        """
        Run a query with OFFSET, to which Salesforce may answer with fewer records than its LIMIT, and no more batches.

        See the *SOQL and SOSL Reference*, "OFFSET": only the first batch of records is returned.

        :param soql: The query.
        :param include_deleted: Read those in the recycle bin too (``queryAll``).
        :raises SalesforceError: See :mod:`airflow_provider_salesforce_export.exceptions`.
        """
        records: list[Record] = self._query_batch(self._query_path(include_deleted), soql)["records"]
        return records

    def describe(self, sobject: str) -> Record:
        """
        Return the description of an sObject: its fields, their types, their relations.

        :param sobject: Its API name.
        :raises QueryError: There is none of that name, or the user may not see it.
        """
        try:
            return self._get_object(f"{self._data_path}/sobjects/{sobject}/describe")
        except SalesforceError as error:
            if error.error_code != "NOT_FOUND" or isinstance(error, ApiVersionError):
                raise
            raise QueryError(
                f"The sObject {sobject} does not exist, or the user may not see it: correct the object type, or ask a "
                "Salesforce admin.",
                error_code=error.error_code,
                status_code=error.status_code,
            ) from None

    def limits(self) -> Record:
        """Return the org's limits, by name, each with Max and Remaining."""
        return self._get_object(f"{self._data_path}/limits")

    def user_info(self) -> Record:
        """Return the user and the org that the token stands for."""
        return self._get_object("/services/oauth2/userinfo")

    def versions(self) -> list[str]:
        """Return the API versions of the org, oldest first."""
        return [entry["version"] for entry in self._get("/services/data/")]

    @property
    def _data_path(self) -> str:
        return f"/services/data/v{self.api_version}"

    def _query_path(self, include_deleted: bool) -> str:
        return f"{self._data_path}/{'queryAll' if include_deleted else 'query'}"

    def _query_batch(self, path: str, soql: str | None = None) -> Record:
        batch = self._get_object(path, params={"q": soql} if soql else None)
        if not {"totalSize", "done", "records"} <= batch.keys():
            raise incomplete("is not that of a query")
        return batch

    def _get_object(self, path: str, params: dict[str, str] | None = None) -> Record:
        reply = self._get(path, params)
        if not isinstance(reply, dict):
            raise incomplete("is not a JSON object")
        return reply

    @retry(
        retry=retry_if_exception_type((IncompleteResponseError, ConcurrentRequestsError)),
        stop=stop_after_attempt(5),
        wait=wait_random_exponential(max=10),
        reraise=True,
    )
    def _get(self, path: str, params: dict[str, str] | None = None) -> Any:
        self.require_quota(1)
        url = self.instance_url + path
        try:
            response = self._session.get(url, params=params, timeout=self._timeout, proxies=self._proxies)
        except (requests.exceptions.ChunkedEncodingError, requests.exceptions.ContentDecodingError):
            raise incomplete("was cut short") from None
        except requests.RequestException as error:
            raise unreachable(error, url) from None
        self._note_usage(response)
        if not response.ok:
            raise self._explain(error_of(response), path)
        try:
            return orjson.loads(response.content)
        except orjson.JSONDecodeError:
            raise incomplete("is not JSON (a maintenance or login page, or cut short)") from None

    def _note_usage(self, response: requests.Response) -> None:
        usage = _API_USAGE.search(response.headers.get("Sforce-Limit-Info", ""))
        with self._usage_lock:
            self.usage.calls += sum(1 + _repeats(reply) for reply in (response, *response.history))
            if usage:
                self.usage.used, self.usage.limit = int(usage[1]), int(usage[2])

    def _explain(self, error: SalesforceError, path: str) -> SalesforceError:
        """Say which versions there are, where a path is not found because its version is not."""
        version_may_be_wrong = isinstance(error, ApiVersionError) or error.error_code == "NOT_FOUND"
        if not (version_may_be_wrong and path.startswith(self._data_path)):
            return error
        offered = self.versions()
        if self.api_version in offered:
            return error
        return ApiVersionError(
            f"This org has no API version {self.api_version}; it has {offered[0]} to {offered[-1]}. "
            "Correct api_version of the Airflow connection.",
            error_code=error.error_code,
            status_code=error.status_code,
        )


def _repeats(response: requests.Response) -> int:
    """Return how often the transport repeated the request before this reply came."""
    retries = getattr(response.raw, "retries", None)
    return len(retries.history) if retries else 0
