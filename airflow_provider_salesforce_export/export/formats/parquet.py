"""
Parquet, by pyarrow. Every file of an export has the same schema, that of the columns, whatever values a page has.

Salesforce's types are those of the *Object Reference*, "Field Types" and "Primitive Data Types".
"""

from __future__ import annotations

import io
import logging
from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow
from pyarrow import parquet

from airflow_provider_salesforce_export.exceptions import ExportError
from airflow_provider_salesforce_export.export.formats.columns import nested, values_by_column
from airflow_provider_salesforce_export.export.words import counted

if TYPE_CHECKING:
    from airflow_provider_salesforce_export.export.formats.json_pages import PageNumbers
    from airflow_provider_salesforce_export.export.schema import Column

log = logging.getLogger(__name__)

_DATETIME = pyarrow.timestamp("ms", tz="UTC")  # as fine as Salesforce keeps it
_TYPES = {
    "boolean": pyarrow.bool_(),
    "int": pyarrow.int64(),
    "long": pyarrow.int64(),
    "double": pyarrow.float64(),
    "currency": pyarrow.float64(),
    "percent": pyarrow.float64(),
    "date": pyarrow.date32(),
    "datetime": _DATETIME,
    "time": pyarrow.time32("ms"),
}
"""All others are texts: names, picklists, Ids; what is a structure of its own, such as an address, is one as JSON."""


class ParquetPages:
    """
    Pages as Parquet.

    :param columns: With their types.
    :param record_type: The struct that holds a record.
    :param compression: ``gzip`` or ``zstd``, inside the file; snappy if None.
    """

    extension = ".parquet"

    def __init__(self, columns: Sequence[Column], record_type: type[Any], compression: str | None) -> None:
        self._columns = columns
        self._record_type = record_type
        self._compression = compression or "snappy"
        self._schema = pyarrow.schema([(column.path, arrow_type(column)) for column in columns])

    def encode(self, records: list[Any], numbers: PageNumbers) -> bytes:
        """
        Return a page as bytes.

        :param records: The records, as structs.
        :param numbers: Not told by this format.
        :raises ExportError: A value is not of the type of its field.
        """
        values = values_by_column(records, self._schema.names)
        arrays = [_array(column, values) for column, values in zip(self._columns, values, strict=True)]
        file = io.BytesIO()
        table = pyarrow.Table.from_arrays(arrays, schema=self._schema)
        parquet.write_table(table, file, compression=self._compression)
        return file.getvalue()

    def decode(self, content: bytes) -> list[Any]:
        """
        Return the records of a page, with texts for dates, times and decimals.

        :param content: What :meth:`encode` returned.
        """
        table = parquet.read_table(io.BytesIO(content))
        rows = zip(*map(_json_values, table.columns), strict=True)
        return nested(rows, self._schema.names, self._record_type)

    def ids(self, content: bytes) -> list[str]:
        """
        Return the Ids of a page.

        :param content: What :meth:`encode` returned.
        """
        ids: list[str] = parquet.read_table(io.BytesIO(content), columns=["Id"])["Id"].to_pylist()
        return ids


def arrow_type(column: Column) -> pyarrow.DataType:
    """
    Return the type of a column in the file.

    Money and percentages are decimals; not those that a formula makes, which have more digits than describe says.

    :param column: With its type.
    """
    if column.type in ("currency", "percent") and column.precision and not column.calculated:
        return pyarrow.decimal128(column.precision, column.scale)
    return _TYPES.get(column.type or "", pyarrow.string())


def _array(column: Column, values: list[Any]) -> pyarrow.Array:
    type_ = arrow_type(column)
    try:
        if pyarrow.types.is_decimal(type_):
            return _decimals(column, values)
        if pyarrow.types.is_time(type_):
            days = [None if value is None else f"1970-01-01T{value}" for value in values]
            return pyarrow.array(days, pyarrow.string()).cast(_DATETIME).cast(type_)
        if pyarrow.types.is_date(type_) or pyarrow.types.is_timestamp(type_):
            return pyarrow.array(values, pyarrow.string()).cast(type_)
        if pyarrow.types.is_string(type_):
            return pyarrow.array([value if value is None else _text(value) for value in values], type_)
        return pyarrow.array(values, type_)
    except pyarrow.ArrowException as error:
        raise ExportError(
            f"{column.path} holds what is no {column.type} in Parquet ({type_}): {error}. Correct the record in "
            "Salesforce, or leave the field out, or choose another output_format."
        ) from None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _decimals(column: Column, values: list[Any]) -> pyarrow.Array:
    """Round half up, as Salesforce shows them, what API clients have stored with more digits than the field has."""
    type_ = pyarrow.decimal128(column.precision, column.scale)
    exact = [None if value is None else Decimal(str(value)) for value in values]
    unit = Decimal(1).scaleb(-column.scale)
    rounded = [value and value.quantize(unit, ROUND_HALF_UP) for value in exact]
    changed = sum(before != after for before, after in zip(exact, rounded, strict=True))
    if changed:
        log.warning(
            "%s: rounded %s to the %d decimals of the field.", column.path, counted(changed, "value"), column.scale
        )
    return pyarrow.array(rounded, type_)


def _json_values(column: pyarrow.ChunkedArray) -> list[Any]:
    type_ = column.type
    if pyarrow.types.is_time(type_):
        return [None if value is None else f"{value.isoformat('milliseconds')}Z" for value in column.to_pylist()]
    is_json = pyarrow.types.is_floating(type_) or pyarrow.types.is_integer(type_) or pyarrow.types.is_boolean(type_)
    values: list[Any] = (column if is_json else column.cast(pyarrow.string())).to_pylist()
    return values
