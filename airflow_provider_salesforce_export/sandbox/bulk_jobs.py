"""The Bulk query jobs of an org."""

from __future__ import annotations

import shutil
import tempfile
import threading
from base64 import urlsafe_b64decode, urlsafe_b64encode
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_salesforce_export.sandbox.bulk_job import BulkJob
from airflow_provider_salesforce_export.sandbox.errors import SalesforceError
from airflow_provider_salesforce_export.sandbox.ids import encode, to_18

if TYPE_CHECKING:
    from airflow_provider_salesforce_export.sandbox.bulk_soql import BulkStatement
    from airflow_provider_salesforce_export.sandbox.settings import SandboxSettings
    from airflow_provider_salesforce_export.sandbox.store import Store


class BulkJobs:
    """
    The Bulk query jobs of an org.

    :param store: The org's records.
    :param settings: How long jobs take.
    """

    def __init__(self, store: Store, settings: SandboxSettings) -> None:
        self.submitted = 0
        self._store = store
        self._settings = settings
        self._jobs: dict[str, BulkJob] = {}
        self._failures: list[str] = []
        self._generation = 0
        self._lock = threading.Lock()
        self._folder = tempfile.TemporaryDirectory(prefix="salesforce-sandbox-bulk-")

    def submit(
        self, statement: BulkStatement, *, operation: str, delimiter: str, line_ending: str, version: str, created: str
    ) -> BulkJob:
        """
        Begin a job. Its results hold the records as they are when this returns.

        :param statement: Its query.
        :param operation: ``query`` or ``queryAll``.
        :param delimiter: Salesforce's word for what stands between two values.
        :param line_ending: Salesforce's word for what ends a line.
        :param version: API version.
        :param created: The time, as Salesforce writes it.
        """
        with self._lock:
            self.submitted += 1
            job_id = to_18("750Tn0000A" + encode(self.submitted, 5))
            job = BulkJob(
                job_id,
                operation,
                delimiter,
                line_ending,
                version,
                created,
                statement,
                Path(self._folder.name, job_id),
                self._settings.bulk_chunk_size,
                self._settings.bulk_seconds,
            )
            job.error = self._failures.pop(0) if self._failures else None
            self._jobs[job_id] = job
            job.start(self._store)
        return job

    def all(self) -> list[BulkJob]:
        """Return all jobs, the oldest first."""
        with self._lock:
            return list(self._jobs.values())

    def get(self, job_id: str) -> BulkJob:
        """
        Return a job.

        :param job_id: Its Id, of 15 or 18 characters.
        :raises SalesforceError: It was deleted or never was (NOT_FOUND).
        """
        with self._lock:
            job = self._jobs.get(_whole(job_id))
        if job is None:
            raise SalesforceError(404, "NOT_FOUND", "The requested resource does not exist")
        return job

    def delete(self, job: BulkJob) -> None:
        """
        Forget a job and its results; downloads that have begun go on.

        :param job: The job.
        """
        with self._lock:
            self._jobs.pop(job.id, None)
        job.stop()
        shutil.rmtree(job.folder, ignore_errors=True)

    def fail_next(self, message: str) -> None:
        """
        Have the next job that is submitted fail.

        :param message: What Salesforce says of it.
        """
        with self._lock:
            self._failures.append(message)

    def expire_locators(self) -> None:
        """Refuse every locator that was given out so far; new ones work."""
        self._generation += 1

    def locator(self, job: BulkJob, start: int) -> str:
        """
        Return the locator of results that begin with a record.

        :param job: The job.
        :param start: Number of the record, from 0.
        """
        return urlsafe_b64encode(f"{self._generation}:{job.id}:{start}".encode()).decode().rstrip("=")

    def start(self, job: BulkJob, locator: str) -> int:
        """
        Return the number of the record with which a locator's results begin.

        :param job: The job.
        :param locator: What ``locator`` gave.
        :raises SalesforceError: It is another job's, or expired, or never was one.
        """
        try:
            text = urlsafe_b64decode(locator + "=" * (-len(locator) % 4)).decode()
        except ValueError:
            text = ""
        head, _, start = text.rpartition(":")
        if head != f"{self._generation}:{job.id}":
            raise SalesforceError(400, "API_ERROR", f"Invalid locator: {locator}")
        return int(start)

    def close(self) -> None:
        """Stop all jobs and remove their results."""
        for job in self.all():
            job.stop()
        self._folder.cleanup()


def _whole(job_id: str) -> str:
    try:
        return to_18(job_id)
    except ValueError:
        return ""
