"""Reading the CSV of Bulk query jobs as it comes in: what is whole comes out, row by row."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from airflow_provider_salesforce_export.salesforce.errors import incomplete

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

Row = list[str]

_BUFFER = 256 * 1024


def csv_rows(body: Iterator[bytes], announced: int, fields: Sequence[str]) -> Iterator[Row]:
    """
    Yield the rows of a result, holding no more of it than a few pieces.

    :param body: The CSV, piece by piece: UTF-8, a header, values in quotes.
    :param announced: How many rows there must be.
    :param fields: What the columns must be, in order.
    :raises IncompleteResponseError: There are fewer or more rows, or it is not CSV with these columns.
    """
    if announced == 0:
        return
    text = io.TextIOWrapper(io.BufferedReader(_Pieces(body), _BUFFER), encoding="utf-8", newline="\n")
    # Strict, because an open quote at the end means that the last value was cut.
    rows = csv.reader(text, strict=True)
    width, received = len(fields), 0
    try:
        _check_header(next(rows, []), fields)
        for received, row in enumerate(rows, 1):  # noqa: B007 - counts
            if len(row) != width:
                raise incomplete(f"has a row of {len(row)} values where {width} were asked for")
            yield row
    except (csv.Error, UnicodeDecodeError) as error:
        raise incomplete(f"is not whole CSV ({error})") from None
    if received != announced:
        raise incomplete(f"holds {received} records where it announced {announced}")


def _check_header(header: Row, fields: Sequence[str]) -> None:
    if len(header) != len(fields) or not all(map(_is_named, fields, header)):
        raise incomplete(f"has the columns {', '.join(header)} where {', '.join(fields)} were asked for")


def _is_named(field: str, column: str) -> bool:
    """Whether a column is a field's: Salesforce drops the name of the object itself in front, and corrects case."""
    asked, named = field.lower(), column.lower()
    return asked == named or asked.endswith(f".{named}")


class _Pieces(io.RawIOBase):
    """
    Pieces of bytes as a file.

    :param pieces: The pieces.
    """

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._left = memoryview(b"")

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """
        Fill a buffer with what comes next, and return how many bytes that is.

        :param buffer: The buffer.
        """
        while not self._left:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._left = memoryview(piece)
        target = memoryview(buffer)
        size = min(len(target), len(self._left))
        target[:size] = self._left[:size]
        self._left = self._left[size:]
        return size
