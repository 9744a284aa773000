"""Reading the CSV of Bulk query jobs as it comes in: what is whole comes out, row by row."""

from __future__ import annotations

import codecs
import csv
import io
import sys
from collections.abc import Iterator, Sequence

from airflow_provider_salesforce_export.salesforce.errors import incomplete

Row = list[str]


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
    width, received, header = len(fields), 0, Row()
    try:
        for block in _blocks(body):
            rows = _rows(block, width)
            if not header:
                header = rows.pop(0)
                _check_header(header, fields)
            widths = set(map(len, rows)) - {width}
            if widths:
                raise incomplete(f"has a row of {widths.pop()} values where {width} were asked for")
            received += len(rows)
            yield from rows
    except (csv.Error, UnicodeDecodeError) as error:
        raise incomplete(f"is not whole CSV ({error})") from None
    if received != announced:
        raise incomplete(f"holds {received} records where it announced {announced}")


def _blocks(body: Iterator[bytes]) -> Iterator[str]:
    """Yield the text in blocks of whole rows; the last one may be cut."""
    decoder, text = codecs.getincrementaldecoder("utf-8")(), ""
    for piece in body:
        text += decoder.decode(piece)
        end = _end_of_rows(text)
        if end:
            yield text[:end]
            text = text[end:]
    text += decoder.decode(b"", final=True)
    if text:
        yield text


def _end_of_rows(text: str) -> int:
    """Return where the last whole row ends: behind a line feed with an even number of quotes before it."""
    quotes, end = text.count('"'), len(text)
    while (line_feed := text.rfind("\n", 0, end)) >= 0:
        quotes -= text.count('"', line_feed, end)
        if quotes % 2 == 0:
            return line_feed + 1
        end = line_feed
    return 0


def _rows(block: str, width: int) -> list[Row]:
    """
    Return the rows of a block.

    Most rows are a line that has no more quotes than those around its values: so no value holds one, and what stands
    between two values cannot stand in one. To split there is several times as fast as to parse.
    """
    rows, unusual, quotes = list[Row](), list[str](), 0
    for line in block.removesuffix("\n").split("\n"):
        inside = line.count('"')
        if quotes % 2 == 0 and inside == 2 * width and line[0] == line[-1] == '"':
            if unusual:
                rows += _parsed(unusual)
                unusual, quotes = [], 0
            rows.append(line[1:-1].split('","'))
        else:
            unusual.append(line)
            quotes += inside
    return rows + _parsed(unusual)


def _parsed(lines: list[str]) -> list[Row]:
    csv.field_size_limit(sys.maxsize)  # some values, such as the bodies of classes, are above the module's limit
    # Strict, because an open quote at the end means that the last value was cut.
    return list(csv.reader(io.StringIO("\n".join(lines), newline="\n"), strict=True))


def _check_header(header: Row, fields: Sequence[str]) -> None:
    if len(header) != len(fields) or not all(map(_is_named, fields, header)):
        raise incomplete(f"has the columns {', '.join(header)} where {', '.join(fields)} were asked for")


def _is_named(field: str, column: str) -> bool:
    """Whether a column is a field's: Salesforce drops the name of the object itself in front, and corrects case."""
    asked, named = field.lower(), column.lower()
    return asked == named or asked.endswith(f".{named}")
