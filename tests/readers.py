"""Files of an export as a reader of their format finds them: flat rows, with values as JSON has them."""

import csv
import gzip
import io
import json
from datetime import date, datetime, time
from decimal import Decimal

import zstandard
from pyarrow import parquet


def rows(path, columns):
    """Return the rows of a file by column; those of CSV have texts alone."""
    if path.suffix == ".parquet":
        read = parquet.read_table(path).to_pylist()
        return [{name: _as_json(value) for name, value in row.items()} for row in read]
    content = unpacked(path).decode()
    if ".csv" in path.suffixes:
        return list(csv.DictReader(io.StringIO(content, newline="")))
    records = json.loads(content)["data"] if ".json" in path.suffixes else map(json.loads, content.splitlines())
    return [flat(record, columns) for record in records]


def unpacked(path):
    content = path.read_bytes()
    if path.suffix == ".gz":
        return gzip.decompress(content)
    return zstandard.ZstdDecompressor().decompress(content) if path.suffix == ".zst" else content


def flat(record, columns):
    """Return a record, nested or already flat, by column."""
    return {column: record[column] if column in record else _nested(record, column) for column in columns}


def _nested(record, column):
    for name in column.split("."):
        record = record and record[name]
    return record


def as_text(value):
    """Return a value as CSV has it."""
    if value is None or isinstance(value, str):
        return value or ""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else compact(value)


def compact(value):
    return json.dumps(value, separators=(",", ":"))


def _as_json(value):
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%S.") + f"{value.microsecond // 1000:03}+0000"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, time):
        return value.isoformat("milliseconds") + "Z"
    return float(value) if isinstance(value, Decimal) else value
