"""
Bulk API 2.0 query jobs over the data API.

See the *Bulk API 2.0 and Bulk API Developer Guide*, "Bulk API 2.0 Query". What it does not show (codes of some
refusals) follows what users of other clients report.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_salesforce_export.sandbox.bulk_soql import translate_bulk
from airflow_provider_salesforce_export.sandbox.errors import SalesforceError
from airflow_provider_salesforce_export.sandbox.messages import Reply

if TYPE_CHECKING:
    from airflow_provider_salesforce_export.sandbox.bulk_job import BulkJob
    from airflow_provider_salesforce_export.sandbox.messages import Request
    from airflow_provider_salesforce_export.sandbox.org import SandboxOrg

FIRST_VERSION = 47.0
FIRST_VERSION_WITH_PAGES = 58.0
JOBS_IN_LIST = 1_000
PAGES_IN_LIST = 5
_DELIMITERS = {"BACKQUOTE": "`", "CARET": "^", "COMMA": ",", "PIPE": "|", "SEMICOLON": ";", "TAB": "\t"}
_LINE_ENDINGS = {"LF": "\n", "CRLF": "\r\n"}
_OVER = ("JobComplete", "Failed", "Aborted")


class BulkApi:
    """
    Answers the calls that concern Bulk query jobs.

    :param org: The org.
    """

    def __init__(self, org: SandboxOrg) -> None:
        self.org = org

    def create(self, request: Request, version: str) -> Reply:
        """
        Submit a job.

        :param request: The call.
        :param version: API version.
        :raises SalesforceError: The job or its query is refused.
        """
        _require(version, FIRST_VERSION)
        posted = request.posted()
        operation = _chosen(posted, "operation", ("query", "queryAll"), None)
        _chosen(posted, "contentType", ("CSV",), "CSV")
        delimiter = _chosen(posted, "columnDelimiter", _DELIMITERS, "COMMA")
        line_ending = _chosen(posted, "lineEnding", _LINE_ENDINGS, "LF")
        statement = translate_bulk(
            self.org.schema,
            str(posted.get("query") or ""),
            include_deleted=operation == "queryAll",
            delimiter=_DELIMITERS[delimiter],
            line_ending=_LINE_ENDINGS[line_ending],
        )
        job = self.org.bulk_jobs.submit(
            statement,
            operation=operation,
            delimiter=delimiter,
            line_ending=line_ending,
            version=version,
            created=self.org.stamp(),
        )
        return Reply.json({**self._described(job), "state": "UploadComplete"})

    def jobs(self, request: Request, version: str) -> Reply:
        """
        List the jobs, some at a time.

        :param request: The call, with filters and a locator.
        :param version: API version.
        """
        _require(version, FIRST_VERSION)
        # All jobs here are of Bulk API 2.0, which has no such option.
        wanted = (
            request.query.get("jobType", "V2Query") == "V2Query"
            and request.query.get("isPkChunkingEnabled", "false") != "true"
            and request.query.get("concurrencyMode", "parallel").lower() == "parallel"
        )
        jobs = self.org.bulk_jobs.all() if wanted else []
        start = _number(request.query.get("queryLocator", "0"), "queryLocator")
        end = start + JOBS_IN_LIST
        done = end >= len(jobs)
        following = None if done else f"/services/data/v{version}/jobs/query?queryLocator={end}"
        records = [{**self._described(job), "jobType": "V2Query"} for job in jobs[start:end]]
        return Reply.json({"done": done, "records": records, "nextRecordsUrl": following})

    def job(self, request: Request, version: str, job_id: str) -> Reply:
        """
        Describe a job.

        :param request: The call.
        :param version: API version.
        :param job_id: The job.
        :raises SalesforceError: There is none.
        """
        job = self.org.bulk_jobs.get(job_id)
        described = {
            **self._described(job),
            "jobType": "V2Query",
            "numberRecordsProcessed": job.records,
            "retries": 0,
            "totalProcessingTime": job.milliseconds,
            "isPkChunkingSupported": True,
        }
        if described["state"] == "Failed":
            described["errorMessage"] = job.error
        return Reply.json(described)

    def abort(self, request: Request, version: str, job_id: str) -> Reply:
        """
        Abort a job.

        :param request: The call.
        :param version: API version.
        :param job_id: The job.
        :raises SalesforceError: There is none, or it is over (INVALIDJOBSTATE).
        """
        job = self.org.bulk_jobs.get(job_id)
        _chosen(request.posted(), "state", ("Aborted",), None)
        if job.state in _OVER:
            message = f"Aborting already {'Completed' if job.state == 'JobComplete' else job.state} Job not allowed"
            raise SalesforceError(400, "INVALIDJOBSTATE", message)
        job.aborted = True
        return Reply.json(self._described(job))

    def delete(self, request: Request, version: str, job_id: str) -> Reply:
        """
        Delete a job that is over, and its results.

        :param request: The call.
        :param version: API version.
        :param job_id: The job.
        :raises SalesforceError: There is none, or it is not over (API_ERROR).
        """
        job = self.org.bulk_jobs.get(job_id)
        if job.state not in _OVER:
            message = "Error encountered when deleting the job because the job is not terminated"
            raise SalesforceError(400, "API_ERROR", message)
        self.org.bulk_jobs.delete(job)
        return Reply(204)

    def results(self, request: Request, version: str, job_id: str) -> Reply:
        """
        Give results of a job, as CSV; nothing (204) before it is complete.

        :param request: The call, with ``locator`` and ``maxRecords``.
        :param version: API version.
        :param job_id: The job.
        :raises SalesforceError: There is none, or the locator is wrong.
        """
        job = self._finished(job_id, version)
        if job is None:
            return Reply(204)
        locator = request.query.get("locator")
        start = self.org.bulk_jobs.start(job, locator) if locator else 0
        size = self.org.settings.bulk_chunk_size
        if "maxRecords" in request.query:
            size = min(size, max(1, _number(request.query["maxRecords"], "maxRecords")))
        end = min(start + size, job.records)
        headers = {
            "Content-Type": "text/csv",
            "Sforce-Locator": "null" if end == job.records else self.org.bulk_jobs.locator(job, end),
            "Sforce-NumberOfRecords": str(end - start),
        }
        return Reply(200, headers=headers, stream=job.csv(start, end), compressed_stream=job.compressed_csv(start, end))

    def result_pages(self, request: Request, version: str, job_id: str) -> Reply:
        """
        List where a job's results are, some at a time; nothing (204) before it is complete.

        :param request: The call.
        :param version: API version.
        :param job_id: The job.
        :raises SalesforceError: There is none, or the locator is wrong.
        """
        _require(version, FIRST_VERSION_WITH_PAGES)
        job = self._finished(job_id, version)
        if job is None:
            return Reply(204)
        jobs, size = self.org.bulk_jobs, self.org.settings.bulk_chunk_size
        locator = request.query.get("locator")
        start = jobs.start(job, locator) if locator else 0
        end = start + PAGES_IN_LIST * size
        done = end >= job.records
        base = f"/services/data/v{version}/jobs/query/{job.id}"
        # A job that found nothing has one result nevertheless, with the header alone.
        starts = range(start, min(end, max(1, job.records)), size)
        return Reply.json(
            {
                "resultPages": [{"resultUrl": f"{base}/results?locator={jobs.locator(job, n)}"} for n in starts],
                "nextRecordsUrl": None if done else f"{base}/resultPages?locator={jobs.locator(job, end)}",
                "done": done,
            }
        )

    def _finished(self, job_id: str, version: str) -> BulkJob | None:
        job = self.org.bulk_jobs.get(job_id)
        if job.version != version:
            message = f"The job was created with API version {job.version}, not {version}."
            raise SalesforceError(409, "API_ERROR", message)
        return job if job.state == "JobComplete" else None

    def _described(self, job: BulkJob) -> dict[str, Any]:
        return {
            "id": job.id,
            "operation": job.operation,
            "object": job.statement.sobject,
            "createdById": self.org.user_id,
            "createdDate": job.created,
            "systemModstamp": job.created,
            "state": job.state,
            "concurrencyMode": "Parallel",
            "contentType": "CSV",
            "apiVersion": float(job.version),
            "lineEnding": job.line_ending,
            "columnDelimiter": job.delimiter,
        }


def _require(version: str, first: float) -> None:
    if float(version) < first:
        raise SalesforceError(404, "NOT_FOUND", "The requested resource does not exist")


def _chosen(posted: dict[str, Any], name: str, allowed: Any, default: str | None) -> str:
    value = posted.get(name, default)
    if value not in allowed:
        raise SalesforceError(400, "JSON_PARSER_ERROR", f"Cannot deserialize {name} from VALUE_STRING value {value}")
    return str(value)


def _number(text: str, name: str) -> int:
    if not text.isdigit():
        raise SalesforceError(400, "API_ERROR", f"Invalid value for {name}: {text}")
    return int(text)
