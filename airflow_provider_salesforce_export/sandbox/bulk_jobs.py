"""Bulk query jobs: what they find, kept as CSV until they are deleted, and compressed as it is mostly asked for."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
import zlib
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
_GZIP_FORMAT = 31  # of zlib's wbits


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
    :param folder: Its own, for its results.
    :param chunk_size: Most records in one result.
    :param seconds: How long it takes at least.
    """

    id: str
    operation: str
    delimiter: str
    line_ending: str
    version: str
    created: str
    statement: BulkStatement
    folder: Path
    chunk_size: int
    seconds: float
    error: str | None = None
    aborted: bool = False
    began: float = field(default_factory=time.monotonic)
    written: float | None = None
    # Where each line of the file begins, and where the last one ends; the header is not in the file.
    offsets: array[int] = field(default_factory=lambda: array("Q", [0]))
    _snapshot: threading.Event = field(default_factory=threading.Event)
    _writer: threading.Thread | None = None

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

    def start(self, store: Store) -> None:
        """
        Find the records as they are now, and begin to write them.

        :param store: The org's records.
        """
        self._writer = threading.Thread(target=self._write, args=(store,), name=f"bulk-{self.id}", daemon=True)
        self._writer.start()
        self._snapshot.wait()

    def stop(self) -> None:
        """Write no more; when this returns, nobody does."""
        self.aborted = True
        if self._writer:
            self._writer.join()

    def _write(self, store: Store) -> None:
        self.folder.mkdir()
        with store.reading() as connection, self._path.open("wb") as file:
            try:
                # A transaction sees what there is at its first read.
                connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
            finally:
                self._snapshot.set()
            lines = connection.execute(self.statement.lines, self.statement.parameters)
            while found := lines.fetchmany(_LINES_AT_ONCE):
                if self.aborted:
                    break
                encoded = [line.encode() for (line,) in found]
                file.write(b"".join(encoded))
                ends = accumulate(map(len, encoded), initial=self.offsets[-1])
                next(ends)
                self.offsets.extend(ends)
        # As Salesforce does on machines of its own: here, who compresses while results are read slows their reader.
        for start in range(0, self.records, self.chunk_size):
            if self.aborted:
                break
            end = min(start + self.chunk_size, self.records)
            with self._compressed_path(start, end).open("wb") as file:
                file.writelines(_compressed(self.csv(start, end)))
        self.written = time.monotonic()

    def csv(self, start: int, end: int) -> Iterator[bytes]:
        """
        Return some of the results, piece by piece, with the header in front.

        :param start: Number of the first record, from 0.
        :param end: Number of the record behind the last one.
        """
        return _pieces(self._path, self.offsets[start], self.offsets[end], self.statement.header.encode())

    def compressed_csv(self, start: int, end: int) -> Iterator[bytes]:
        """
        Return what :meth:`csv` does, compressed by gzip.

        :param start: Number of the first record, from 0.
        :param end: Number of the record behind the last one.
        """
        path = self._compressed_path(start, end)
        return _pieces(path, 0, path.stat().st_size) if path.exists() else _compressed(self.csv(start, end))

    @property
    def _path(self) -> Path:
        return self.folder / "results.csv"

    def _compressed_path(self, start: int, end: int) -> Path:
        return self.folder / f"{start}-{end}.csv.gz"


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


def _pieces(path: Path, start: int, end: int, before: bytes = b"") -> Iterator[bytes]:
    with path.open("rb", buffering=0) as file:
        yield before
        file.seek(start)
        while piece := file.read(min(_PIECE, end - start)):
            start += len(piece)
            yield piece


def _compressed(pieces: Iterator[bytes]) -> Iterator[bytes]:
    compressor = zlib.compressobj(1, wbits=_GZIP_FORMAT)
    for piece in pieces:
        if compressed := compressor.compress(piece):
            yield compressed
    yield compressor.flush()


def _whole(job_id: str) -> str:
    try:
        return to_18(job_id)
    except ValueError:
        return ""
