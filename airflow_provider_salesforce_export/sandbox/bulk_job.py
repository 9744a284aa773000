"""A Bulk query job: what it finds, kept as CSV until it is deleted, and compressed as it is mostly asked for."""

from __future__ import annotations

import threading
import time
import zlib
from array import array
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from airflow_provider_salesforce_export.sandbox.bulk_soql import BulkStatement
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
        with ExitStack() as stack:
            try:
                self.folder.mkdir()
                connection = stack.enter_context(store.reading())
                file = stack.enter_context(self._path.open("wb"))
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
