"""Reading the CSV of Bulk query jobs as it comes in: what is whole comes out, column by column."""

from __future__ import annotations

import codecs
import csv
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import chain, islice

from airflow_provider_salesforce_export.salesforce.errors import incomplete

Columns = list[list[str]]
"""Some rows: for each field, in order, the texts of all of them; empty for null."""

_CHARACTERS_AT_ONCE = 2**16
"""Few enough for a processor's cache: with four times as many, four threads take a fifth longer."""
_MOST_CHARACTERS = 2**22
"""A row that is longer than this is parsed as it comes in, rather than held."""
_ROWS_AT_ONCE = 1_000
_LONE_CARRIAGE_RETURN = re.compile("\r(?!\n)")
_STAND_IN = "\ud800"
"""Half a surrogate pair: no text that was UTF-8 has it."""


def csv_columns(body: Iterator[bytes], announced: int, fields: Sequence[str]) -> Iterator[Columns]:
    """
    Yield the rows of a result, some at a time, holding no more of it than a few pieces.

    :param body: The CSV, piece by piece: UTF-8, a header, values in quotes.
    :param announced: How many rows there must be.
    :param fields: What the columns must be, in order.
    :raises IncompleteResponseError: There are fewer or more rows, or it is not CSV with these columns.
    """
    if announced == 0:
        return
    received = 0
    try:
        texts = codecs.iterdecode(body, "utf-8")
        header, rest = _first_line(texts)
        _check_header(next(csv.reader([header], strict=True), []), fields)
        for columns in _columns(_blocks(chain([rest], texts)), len(fields)):
            received += len(columns[0])
            yield columns
    except (csv.Error, UnicodeDecodeError) as error:
        raise incomplete(f"is not whole CSV ({error})") from None
    if received != announced:
        raise incomplete(f"holds {received} records where it announced {announced}")


def _first_line(texts: Iterator[str]) -> tuple[str, str]:
    """Return the first line, and what came with it."""
    begun = ""
    for text in texts:
        begun += text
        if "\n" in text:
            break
    line, _, rest = begun.partition("\n")
    return line, rest


def _blocks(texts: Iterable[str]) -> Iterator[str]:
    """Yield the text in blocks; all but awkward ones end where a row does."""
    held = ""
    for text in texts:
        held += text
        start = 0
        while (quote := held.find('"\n"', start + _CHARACTERS_AT_ONCE)) >= 0:
            yield held[start : quote + 2]
            start = quote + 2
        held = held[start:]
        if len(held) > _MOST_CHARACTERS:
            yield held
            held = ""
    if held:
        yield held if held.endswith("\n") else f"{held}\n"


def _columns(blocks: Iterator[str], width: int) -> Iterator[Columns]:
    for block in blocks:
        columns = _split(block, width)
        if columns is None:
            yield from _parsed(chain([block], blocks), width)
        else:
            yield columns


def _split(block: str, width: int) -> Columns | None:
    """
    Return the rows of a block, if they are as Salesforce writes them: whole, and each value in quotes.

    To split at the quotes is several times as fast as to parse. No row can be mistaken: all that stands outside of the
    quotes is looked at.
    """
    parts = block.split('"')
    if parts[-1] != "\n" or len(parts) % 2 == 0:
        return None
    parts = _joined(parts)
    rows, more = divmod(len(parts) - 1, 2 * width)
    if more or parts[0] or parts[2::2] != [*[","] * (width - 1), "\n"] * rows:
        return None
    return [parts[start :: 2 * width] for start in range(1, 2 * width, 2)]


def _joined(parts: list[str]) -> list[str]:
    """Put each value together that was split at quotes of its own: these are doubled, so nothing stands between."""
    between, joined, done, last = parts[::2], list[str](), 0, 0
    with suppress(ValueError):
        while True:
            first = last = between.index("", last + 1)
            while not between[last + 1]:
                last += 1
            begin, end = 2 * first - 1, 2 * last + 2
            joined += parts[done:begin]
            joined.append('"'.join(parts[begin:end:2]))
            done = end
    return joined + parts[done:]


def _parsed(blocks: Iterable[str], width: int) -> Iterator[Columns]:
    csv.field_size_limit(sys.maxsize)  # some values, such as the bodies of classes, are above the module's limit
    # Strict, because an open quote at the end means that the last value was cut.
    rows = csv.reader(_lines(blocks), strict=True)
    while some := list(islice(rows, _ROWS_AT_ONCE)):
        widths = set(map(len, some)) - {width}
        if widths:
            raise incomplete(f"has a row of {widths.pop()} values where {width} were asked for")
        yield [[value.replace(_STAND_IN, "\r") for value in column] for column in zip(*some, strict=True)]


def _lines(blocks: Iterable[str]) -> Iterator[str]:
    """Yield lines, as jobs are asked to end them; to the module a carriage return alone would end one too."""
    held = ""
    for block in blocks:
        *lines, held = f"{held}{block}".split("\n")
        for line in lines:
            yield _LONE_CARRIAGE_RETURN.sub(_STAND_IN, f"{line}\n")
    if held:
        yield _LONE_CARRIAGE_RETURN.sub(_STAND_IN, f"{held}\n")


def _check_header(header: Sequence[str], fields: Sequence[str]) -> None:
    if len(header) != len(fields) or not all(map(_is_named, fields, header)):
        raise incomplete(f"has the columns {', '.join(header)} where {', '.join(fields)} were asked for")


def _is_named(field: str, column: str) -> bool:
    """Whether a column is a field's: Salesforce drops the name of the object itself in front, and corrects case."""
    asked, named = field.lower(), column.lower()
    return asked == named or asked.endswith(f".{named}")
