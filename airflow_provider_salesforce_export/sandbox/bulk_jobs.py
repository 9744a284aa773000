"""Bulk query jobs: what they find, kept as a file of CSV until they are deleted."""

from __future__ import annotations

import tempfile
import threading
import time
from array import array
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_salesforce_export.sandbox.errors import SalesforceError
from airflow_provider_salesforce_export.sandbox.ids import encode, to_18

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_salesforce_export.sandbox.bulk_soql import BulkStatement
    from airflow_provider_salesforce_export.sandbox.settings import SandboxSettings
    from airflow_provider_salesforce_export.sandbox.store import Store

_LINES_AT_ONCE = 1_000
_PIECE = 256 * 1024


@dataclass(eq=False)
class BulkJob:
    """
    A Bulk query job.

    :param id: Its Id.
    :param operation: ``query`` or ``queryAll``.
    :param delimiter: Salesforce's word for what stands between two values.
    :param line_ending: Salesforce's word for what ends a line.
    :param version: The API version that made it.
    :param created: When, as Salesforce writes it.
    :param statement: Its query.
    :param path: The file with its results.
    :param seconds: How long it takes at least.
    """

    id: str
    operation: str
    delimiter: str
    line_ending: str
    version: str
    created: str
    statement: BulkStatement
    path: Path
    seconds: float
    error: str | None = None
    aborted: bool = False
    began: float = field(default_factory=time.monotonic)
    written: float | None = None
    # Where each line of the file begins, and where the last one ends; the header is not in the file.
    offsets: array[int] = field(default_factory=lambda: array("Q", [0]))
    snapshot: threading.Event = field(default_factory=threading.Event)

    @property
    def state(self) -> str:
        """Salesforce's word for how far it is."""
        if self.aborted:
            return "Aborted"
        if not self._is_over:
            return "InProgress"
        return "JobComplete" if self.error is None else "Failed"

    @property
    def _is_over(self) -> bool:
        return self.written is not None and time.monotonic() >= self.began + self.seconds

    @property
    def records(self) -> int:
        """How many records it has found so far."""
        return 0 if self.error else len(self.offsets) - 1

    @property
    def milliseconds(self) -> int:
        """How long it took, or has taken so far."""
        ended = max(self.written, self.began + self.seconds) if self.written else time.monotonic()
        return int(1000 * (min(ended, time.monotonic()) - self.began))

    def run(self, store: Store) -> None:
        """
        Find the records as they are now, and write them.

        :param store: The org's records.
        """
        with store.reading() as connection, self.path.open("wb") as file:
            try:
                # A transaction sees what there is at its first read.
                connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
            finally:
                self.snapshot.set()
            lines = connection.execute(self.statement.lines, self.statement.parameters)
            while found := lines.fetchmany(_LINES_AT_ONCE):
                if self.aborted:
                    break
                encoded = [line.encode() for (line,) in found]
                file.write(b"".join(encoded))
                ends = accumulate(map(len, encoded), initial=self.offsets[-1])
                next(ends)
                self.offsets.extend(ends)
        self.written = time.monotonic()

    def csv(self, start: int, end: int) -> Iterator[bytes]:
        """
        Yield some of the results, piece by piece, with the header in front.

        :param start: Number of the first record, from 0.
        :param end: Number of the record behind the last one.
        """
        left = self.offsets[end] - self.offsets[start]
        with self.path.open("rb", buffering=0) as file:
            file.seek(self.offsets[start])
            yield self.statement.header.encode()
            while piece := file.read(min(_PIECE, left)):
                left -= len(piece)
                yield piece


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
        self._threads: list[threading.Thread] = []
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
            path = Path(self._folder.name, f"{job_id}.csv")
            seconds = self._settings.bulk_seconds
            job = BulkJob(job_id, operation, delimiter, line_ending, version, created, statement, path, seconds)
            job.error = self._failures.pop(0) if self._failures else None
            thread = threading.Thread(target=job.run, args=(self._store,), name=f"bulk-{job_id}", daemon=True)
            self._jobs[job_id] = job
            self._threads = [*(worker for worker in self._threads if worker.is_alive()), thread]
            thread.start()
        job.snapshot.wait()
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
        job.path.unlink(missing_ok=True)

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
            job.aborted = True
        for thread in self._threads:
            thread.join()
        self._folder.cleanup()


def _whole(job_id: str) -> str:
    try:
        return to_18(job_id)
    except ValueError:
        return ""
