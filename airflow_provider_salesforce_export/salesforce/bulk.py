"""
Bulk API 2.0 query jobs of one org.

Rules from Salesforce's *Bulk API 2.0 and Bulk API Developer Guide*: "Create a Query Job", "Get Information About a
Query Job", "Get Results for a Query Job", "Get Parallel Results for a Query Job", "Limits".
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urlencode, urlsplit

from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from airflow_provider_salesforce_export.exceptions import (
    ApiVersionError,
    BulkJobError,
    ConcurrentRequestsError,
    ConfigurationError,
    IncompleteResponseError,
    QueryError,
    QuotaReachedError,
    SalesforceError,
)
from airflow_provider_salesforce_export.salesforce.bulk_csv import Columns, csv_columns
from airflow_provider_salesforce_export.salesforce.bulk_job import TERMINAL_STATES, WAITING_STATES, BulkJob, ResultPage
from airflow_provider_salesforce_export.salesforce.errors import incomplete
from airflow_provider_salesforce_export.salesforce.query_log import log_query

if TYPE_CHECKING:
    from airflow_provider_salesforce_export.salesforce.rest_api import RestApi

MIN_API_VERSION = 50.0
"""Before it, Salesforce orders the columns by name rather than as they were asked for."""

_MIN_VERSION_WITH_PAGES = 58.0
_WALKED_RECORDS = 100_000
"""The most records of a result where Salesforce does not cut them by itself."""

Result = TypeVar("Result")


class BulkQueries:
    """
    The Bulk query jobs of one org. Threads may share it.

    :param api: The org's REST API.
    :param api_version: Such as ``62.0``.
    """

    def __init__(self, api: RestApi, api_version: str) -> None:
        self._api = api
        self._api_version = api_version
        self._jobs_path = f"{api.data_path}/jobs/query"

    def submit(self, soql: str, *, include_deleted: bool = False) -> str:
        """
        Submit a query, and return the Id of its job.

        It is tried once: where no reply comes, there may or may not be a job.

        :param soql: The query.
        :param include_deleted: Read records in the recycle bin too (``queryAll``).
        :raises ConfigurationError: The API version is too old.
        :raises QueryError: The query is wrong, or Bulk API 2.0 cannot read what it asks for.
        :raises QuotaReachedError: The org's Bulk jobs or results of 24 hours are used up.
        """
        if float(self._api_version) < MIN_API_VERSION:
            raise ConfigurationError(
                f"Bulk queries need API version {MIN_API_VERSION} or later, and the connection has "
                f"{self._api_version}: raise api_version of the Airflow connection, or use REST."
            )
        values = {
            "operation": "queryAll" if include_deleted else "query",
            "query": soql,
            "contentType": "CSV",
            "columnDelimiter": "COMMA",
            "lineEnding": "LF",
        }
        try:
            return str(_part(self._api.write("POST", self._jobs_path, values), "id"))
        except SalesforceError as error:
            raise _refusal(error, soql) from None

    def job(self, job_id: str) -> BulkJob:
        """
        Return how far a job is.

        :param job_id: The job.
        :raises BulkJobError: There is no such job (any more), or it is in a state that is not known.
        """
        reply = self._get(job_id, self._job_path(job_id))
        state = _part(reply, "state")
        if state not in WAITING_STATES | TERMINAL_STATES:
            raise BulkJobError(
                f"The Bulk query job {job_id} is in a state that this version does not know: {state}. Update "
                "airflow-provider-salesforce-export, or use api='rest'."
            )
        records = reply.get("numberRecordsProcessed")
        if records is None and state == "JobComplete":
            raise incomplete("has no numberRecordsProcessed")
        return BulkJob(job_id, state, records or 0, reply.get("errorMessage"))

    def result_pages(self, job_id: str) -> list[ResultPage]:
        """
        Return the parts of a complete job's results.

        :param job_id: The job.
        :raises BulkJobError: There is no such job (any more).
        :raises IncompleteResponseError: It is not complete.
        """
        listed = self._listed_pages if float(self._api_version) >= _MIN_VERSION_WITH_PAGES else self._walked_pages
        return [ResultPage(job_id, number, path) for number, path in enumerate(listed(job_id))]

    def read(self, page: ResultPage, fields: Sequence[str], work: Callable[[Iterator[Columns]], Result]) -> Result:
        """
        Download a part of a job's results, some rows at a time, and return what some work makes of them.

        Where the download is cut short, or the locator has expired, it begins anew with this part alone: the work is
        then called again, and must begin anew too.

        :param page: The part.
        :param fields: What the query reads, in order.
        :param work: Is given the rows as columns, and reads them to the end: a text for each value, empty for null.
        :raises IncompleteResponseError: It was cut short, again and again.
        :raises BulkJobError: There is no such job (any more).
        """
        result: Result
        try:
            result = self._read(page, fields, work)
        except SalesforceError as error:
            # The guide does not say how a locator is refused that has expired.
            if error.status_code not in {400, 404, 410}:
                raise
            result = self._read(self._relocated(page, error), fields, work)
        return result

    def abort(self, job_id: str) -> None:
        """
        Abort a job, unless it is over or gone already; whatever is used of the API quota, since this saves more.

        :param job_id: The job.
        :raises SalesforceError: It cannot be aborted.
        """
        try:
            self._api.write("PATCH", self._job_path(job_id), {"state": "Aborted"}, heed_quota=False)
        except SalesforceError as error:
            if error.error_code != "INVALIDJOBSTATE" and not _is_gone(error):
                raise

    def delete(self, job_id: str) -> None:
        """
        Delete a job that is over, and its results, unless it is gone already.

        :param job_id: The job.
        :raises SalesforceError: It is not over.
        """
        try:
            self._api.write("DELETE", self._job_path(job_id), heed_quota=False)
        except SalesforceError as error:
            if not _is_gone(error):
                raise

    @retry(
        retry=retry_if_exception_type((IncompleteResponseError, ConcurrentRequestsError)),
        stop=stop_after_attempt(5),
        wait=wait_random_exponential(max=10),
        reraise=True,
    )
    def _read(self, page: ResultPage, fields: Sequence[str], work: Callable[[Iterator[Columns]], Any]) -> Any:
        started, received = time.monotonic(), 0

        def counted(body: Iterator[bytes]) -> Iterator[bytes]:
            nonlocal received
            for piece in body:
                received += len(piece)
                yield piece

        with self._api.stream(page.path) as (headers, body):
            rows = _announced(headers)
            result = work(csv_columns(counted(body), rows, fields))
        seconds = time.monotonic() - started
        self._api.meter.time("chunk.duration", seconds)
        log_query(seconds, rows, received, f"chunk {page.number + 1} of the Bulk job {page.job_id}")
        return result

    def _relocated(self, page: ResultPage, error: SalesforceError) -> ResultPage:
        """Return where a part is now whose locator is refused; raise the refusal where that is not the reason."""
        self.job(page.job_id)  # which says so where it is gone
        pages = self.result_pages(page.job_id)
        if page.number >= len(pages) or pages[page.number] == page:
            raise error
        return pages[page.number]

    def _listed_pages(self, job_id: str) -> Iterator[str]:
        path: str | None = f"{self._job_path(job_id)}/resultPages"
        while path:
            reply = self._get(job_id, path)
            # The guide says resultPages and resultUrl; orgs have been seen to say resultChunks and resultLink.
            listed = reply["resultPages"] if "resultPages" in reply else _part(reply, "resultChunks")
            yield from (self._whole_path(entry.get("resultUrl") or _part(entry, "resultLink")) for entry in listed)
            following = reply.get("nextRecordsUrl") or reply.get("nextRecordUrl")
            path = None if reply.get("done") or not following else self._whole_path(following)

    def _walked_pages(self, job_id: str) -> Iterator[str]:
        base, locator = f"{self._job_path(job_id)}/results", ""
        while locator != "null":
            query = {"maxRecords": str(_WALKED_RECORDS)} | ({"locator": locator} if locator else {})
            path = f"{base}?{urlencode(query)}"
            with self._api.stream(path) as (headers, _):
                _announced(headers)
                locator = headers.get("Sforce-Locator") or "null"
            yield path

    def _whole_path(self, link: str) -> str:
        """Return a link from the host on: some are written from the API's version on."""
        parts = urlsplit(link)
        path = parts.path if parts.path.startswith("/services/") else f"{self._api.data_path}/{parts.path.lstrip('/')}"
        return f"{path}?{parts.query}" if parts.query else path

    def _job_path(self, job_id: str) -> str:
        return f"{self._jobs_path}/{quote(job_id, safe='')}"

    def _get(self, job_id: str, path: str) -> dict[str, Any]:
        try:
            reply = self._api.get(path)
        except SalesforceError as error:
            if not _is_gone(error):
                raise
            raise BulkJobError(
                f"Salesforce has no Bulk query job {job_id}: it was deleted, or is older than 7 days. Run the whole "
                "export again, so that the query is submitted anew.",
                error_code=error.error_code,
                status_code=error.status_code,
            ) from None
        if not isinstance(reply, dict):
            raise incomplete("is not a JSON object")
        return reply


def _announced(headers: Mapping[str, str]) -> int:
    """Return how many records a reply announces; there are none where the job is not complete (204)."""
    announced = headers.get("Sforce-NumberOfRecords", "")
    if not announced.isdigit():
        raise incomplete("holds no results of a Bulk query job, which are there only once it is complete")
    return int(announced)


def _part(reply: Any, name: str) -> Any:
    if not isinstance(reply, dict) or not reply.get(name):
        raise incomplete(f"has no {name}")
    return reply[name]


def _is_gone(error: SalesforceError) -> bool:
    return error.error_code == "NOT_FOUND" and not isinstance(error, ApiVersionError)


def _refusal(error: SalesforceError, soql: str) -> SalesforceError:
    """Return what the refusal of a job means; what is not about its query stays as it is."""
    if error.status_code != 400:
        return error
    kind: type[SalesforceError] = QueryError
    advice = (
        f"The query of the Bulk job: {soql}. Correct the object type; where only Bulk API 2.0 cannot read this object "
        "or field, leave the field out or use REST."
    )
    if "per 24 hrs" in str(error) or error.error_code in {"LIMIT_EXCEEDED", "EXCEEDEDQUOTA"}:
        kind, advice = QuotaReachedError, "The org's quota of Bulk queries frees up within 24 hours."
    return kind(f"{error} {advice}", error_code=error.error_code, status_code=error.status_code)
