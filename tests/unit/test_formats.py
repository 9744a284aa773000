"""Readers load what is written, in each format, whatever the records hold."""

import csv
import io
from datetime import date, datetime, time, timezone
from decimal import Decimal
from itertools import product

import duckdb
import msgspec
import pandas
import pyarrow
import pytest
from pyarrow import csv as arrow_csv
from pyarrow import json as arrow_json
from pyarrow import parquet

from airflow_provider_salesforce_export.exceptions import ConfigurationError, ExportError
from airflow_provider_salesforce_export.export.formats import choices
from airflow_provider_salesforce_export.export.formats.json_pages import PageNumbers
from airflow_provider_salesforce_export.export.formats.page_format import PageFormat
from airflow_provider_salesforce_export.export.plan import Plan, Request
from airflow_provider_salesforce_export.export.schema import Column, Schema
from airflow_provider_salesforce_export.salesforce.soql import Query
from tests.readers import as_text, compact, flat, rows, unpacked

COLUMNS = (
    Column("Id", "id"),
    Column("Name", "string"),
    Column("Body__c", "textarea"),
    Column("Colours__c", "multipicklist"),
    Column("Amount", "currency", 18, 2),
    Column("Share__c", "percent", 5, 1),
    Column("Margin__c", "currency", 18, 2, calculated=True),
    Column("Weight__c", "double", 18, 3),
    Column("Count__c", "int", 8, 0),
    Column("IsActive", "boolean"),
    Column("Born__c", "date"),
    Column("SystemModstamp", "datetime"),
    Column("Opens__c", "time"),
    Column("Place__c", "location"),
    Column("Any__c", "anyType"),
    Column("Owner.Alias", "string"),
    Column("Owner.IsActive", "boolean"),
    Column("Owner.Manager.Email", "email"),
)
PATHS = tuple(column.path for column in COLUMNS)
TEXT = 'She said "no",\r\nthen; "yes"\n\tand 🦊, Zoë, \\ and , again'
RECORDS = [
    {
        "Id": "003000000000001AAA",
        "Name": TEXT,
        "Body__c": "x" * 131_072,
        "Colours__c": "red;green",
        "Amount": 99999999999999.98,
        "Share__c": 12.5,
        "Margin__c": 0.123456789012345,
        "Weight__c": -1.0e-7,
        "Count__c": 12345678,
        "IsActive": True,
        "Born__c": "1701-03-01",
        "SystemModstamp": "2026-11-20T12:00:00.123+0000",
        "Opens__c": "09:30:00.500Z",
        "Place__c": {"latitude": 1.5, "longitude": -2.0},
        "Any__c": 7,
        "Owner": {"Alias": "=1+1", "IsActive": False, "Manager": {"Email": "a@example.com"}},
    },
    {
        name: None
        for name in ("Name", "Body__c", "Colours__c", "Amount", "Share__c", "Margin__c", "Weight__c", "Count__c")
    }
    | {"Id": "003000000000002AAA", "IsActive": False, "Born__c": None, "SystemModstamp": "1899-12-31T23:59:59.000+0000"}
    | {"Opens__c": None, "Place__c": None, "Any__c": "null", "Owner": None},
    {
        "Id": "003000000000003AAA",
        "Name": "NULL",
        "Body__c": "00123",
        "Colours__c": "'",
        "Amount": 0.0,
        "Share__c": 100.0,
        "Margin__c": 1e15,
        "Weight__c": 5.0,
        "Count__c": 0,
        "IsActive": True,
        "Born__c": "4000-12-31",
        "SystemModstamp": "2026-02-28T00:00:00.000+0000",
        "Opens__c": "00:00:00.000Z",
        "Place__c": None,
        "Any__c": True,
        "Owner": {"Alias": None, "IsActive": True, "Manager": None},
    },
]
NUMBERS = PageNumbers(1, 2000, 3, 1, 0)
EVERY = [
    (output_format, compression, flatten)
    for output_format, compression, flatten in product(choices.FORMATS, (None, "gzip", "zstd"), (False, True))
    if not (flatten and output_format in choices.ALWAYS_FLAT)
]


def page_format(output_format, compression=None, flatten=False, columns=COLUMNS):
    query = Query("Contact", tuple(column.path for column in columns))
    request = Request("x", query, False, 2000, "auto", output_format, compression, flatten)
    return PageFormat(Plan(request, Schema(columns), "range", 3, 1, "run", "2026-11-20T00:00:00.000+00:00"))


def structs(records, columns=COLUMNS):
    query = Query("Contact", tuple(column.path for column in columns))
    return msgspec.convert(records, list[query.record_type])


def written(tmp_path, output_format, compression=None, *, flatten=False, records=RECORDS):
    chosen = page_format(output_format, compression, flatten)
    path = tmp_path / f"page{chosen.extension}"
    path.write_bytes(chosen.encode(structs(records), NUMBERS))
    return path


@pytest.mark.parametrize(("output_format", "compression", "flatten"), EVERY)
def test_every_format_holds_equal_rows_and_reads_its_own_files_back(tmp_path, output_format, compression, flatten):
    path = written(tmp_path, output_format, compression, flatten=flatten)
    expected = [flat(record, PATHS) for record in RECORDS]
    if output_format == "csv":
        expected = [{name: as_text(value) for name, value in row.items()} for row in expected]
    elif output_format == "parquet":
        structures = {"Place__c", "Any__c"}  # texts in JSON, where they are no texts
        expected = [
            {name: compact(v) if name in structures and v is not None and v != "null" else v for name, v in row.items()}
            for row in expected
        ]

    assert rows(path, PATHS) == expected

    chosen = page_format(output_format, compression, flatten)
    again = tmp_path / f"again{chosen.extension}"
    again.write_bytes(chosen.encode(chosen.decode(path.read_bytes())[1:], NUMBERS))
    assert rows(again, PATHS) == expected[1:]


@pytest.mark.parametrize(("output_format", "compression", "flatten"), EVERY)
def test_a_file_is_the_same_whenever_it_is_written(tmp_path, output_format, compression, flatten):
    once, again = (written(tmp_path, output_format, compression, flatten=flatten).read_bytes() for _ in range(2))

    assert once == again
    if compression == "gzip" and output_format != "parquet":
        assert once[4:8] == bytes(4)  # the time in the header


def test_the_name_of_a_file_tells_its_format():
    named = {chosen: page_format(*chosen).extension for chosen in EVERY if not chosen[2]}

    assert named[("json", None, False)] == ".json"
    assert named[("jsonl", "gzip", False)] == ".jsonl.gz"
    assert named[("csv", "zstd", False)] == ".csv.zst"
    assert {named[("parquet", compression, False)] for compression in (None, "gzip", "zstd")} == {".parquet"}


def test_csv_is_that_of_rfc_4180(tmp_path):
    content = written(tmp_path, "csv").read_bytes()

    assert content.startswith(b"Id,Name,Body__c,Colours__c,Amount,")
    assert b',"She said ""no"",\r\nthen; ""yes""\n\tand ' in content
    assert content.endswith(b"Z,,true,,true,\r\n")


def test_csv_reads_its_own_files_back_however_long_their_texts_are():
    columns = (Column("Id", "id"), Column("Body__c", "textarea"))
    records = structs([{"Id": "1", "Body__c": "x" * 200_000}], columns)
    before = csv.field_size_limit(1000)
    try:
        found = page_format("csv", columns=columns)
        assert found.decode(found.encode(records, NUMBERS)) == records
    finally:
        csv.field_size_limit(before)


def test_the_schema_of_parquet_is_that_of_the_fields_whatever_a_page_holds(tmp_path):
    nulls = [dict.fromkeys(RECORDS[0]) | {"Id": "003000000000009AAA"}]
    schemas = [parquet.read_schema(written(tmp_path, "parquet", records=records)) for records in (RECORDS, nulls, [])]

    assert schemas[0].equals(schemas[1], check_metadata=True)
    assert schemas[0].equals(schemas[2], check_metadata=True)
    assert {name: str(schemas[0].field(name).type) for name in PATHS if name != "Id"} == {
        "Name": "string",
        "Body__c": "string",
        "Colours__c": "string",
        "Amount": "decimal128(18, 2)",
        "Share__c": "decimal128(5, 1)",
        "Margin__c": "double",
        "Weight__c": "double",
        "Count__c": "int64",
        "IsActive": "bool",
        "Born__c": "date32[day]",
        "SystemModstamp": "timestamp[ms, tz=UTC]",
        "Opens__c": "time32[ms]",
        "Place__c": "string",
        "Any__c": "string",
        "Owner.Alias": "string",
        "Owner.IsActive": "bool",
        "Owner.Manager.Email": "string",
    }


@pytest.mark.parametrize(("compression", "inside"), [(None, "SNAPPY"), ("gzip", "GZIP"), ("zstd", "ZSTD")])
def test_parquet_is_compressed_inside(tmp_path, compression, inside):
    metadata = parquet.read_metadata(written(tmp_path, "parquet", compression))

    assert metadata.row_group(0).column(1).compression == inside


def test_what_has_more_decimals_than_its_field_is_rounded_in_parquet_and_said(tmp_path, caplog):
    columns = (Column("Id", "id"), Column("Amount", "currency", 18, 2))
    records = structs([{"Id": "1", "Amount": 2.345}, {"Id": "2", "Amount": 1.0}, {"Id": "3", "Amount": None}], columns)

    content = page_format("parquet", columns=columns).encode(records, NUMBERS)

    amounts = parquet.read_table(io.BytesIO(content))["Amount"].to_pylist()
    assert amounts == [Decimal("2.35"), Decimal("1.00"), None]
    assert "Amount: rounded 1 value to the 2 decimals of the field." in caplog.text


def test_a_value_that_is_not_of_the_type_of_its_field_is_refused_by_parquet_and_named():
    columns = (Column("Id", "id"), Column("Born__c", "date"))

    with pytest.raises(ExportError, match=r"Born__c holds what is no date in Parquet.*soon"):
        page_format("parquet", columns=columns).encode(structs([{"Id": "1", "Born__c": "soon"}], columns), NUMBERS)


@pytest.mark.parametrize("compression", [None, "gzip", "zstd"])
def test_pandas_loads_every_format(tmp_path, compression):
    lines = pandas.read_json(written(tmp_path, "jsonl", compression, flatten=True), lines=True, dtype=False)
    table = pandas.read_csv(written(tmp_path, "csv", compression), keep_default_na=False, na_values={"Amount": ""})
    typed = pandas.read_parquet(written(tmp_path, "parquet", compression))
    empty = pandas.read_csv(written(tmp_path, "csv", compression, records=[]))

    for frame in (lines, table, typed):
        assert list(frame.columns) == list(PATHS)
        assert list(frame["Id"]) == [record["Id"] for record in RECORDS]
        assert frame["Name"][0] == TEXT
        assert len(frame["Body__c"][0]) == 131_072
        assert frame["Owner.Alias"][0] == "=1+1"
    assert pandas.isna(table["Amount"][1])
    assert typed["Amount"][0] == Decimal("99999999999999.98")
    assert typed["SystemModstamp"][0] == pandas.Timestamp("2026-11-20T12:00:00.123Z")
    assert typed["Born__c"][0] == date(1701, 3, 1)
    assert list(empty.columns) == list(PATHS)


@pytest.mark.parametrize("compression", [None, "gzip", "zstd"])
def test_duckdb_loads_every_format(tmp_path, compression):
    typed = written(tmp_path, "parquet", compression)
    table, lines = written(tmp_path, "csv", compression), written(tmp_path, "jsonl", compression)
    envelope = written(tmp_path, "json", compression)
    with duckdb.connect() as duck:
        types = dict(duck.sql(f"SELECT column_name, column_type FROM (DESCRIBE FROM '{typed}')").fetchall())
        typed_rows = duck.sql(f"SELECT Id, Name, Amount, Born__c, IsActive, \"Owner.Alias\" FROM '{typed}'").fetchall()
        csv_rows = duck.sql(
            f"SELECT Id, Name, \"Owner.Alias\" FROM read_csv('{table}', max_line_size=1000000)"
        ).fetchall()
        names = [name for (name,) in duck.sql(f"SELECT Name FROM '{lines}'").fetchall()]
        nested_rows = duck.sql(f"SELECT unnest(data) FROM read_json('{envelope}')").fetchall()

    assert types["Amount"] == "DECIMAL(18,2)"
    assert types["SystemModstamp"] == "TIMESTAMP WITH TIME ZONE"
    assert typed_rows[0] == ("003000000000001AAA", TEXT, Decimal("99999999999999.98"), date(1701, 3, 1), True, "=1+1")
    assert typed_rows[1][1:] == (None, None, None, False, None)
    assert csv_rows[0] == ("003000000000001AAA", TEXT, "=1+1")
    assert names == [TEXT, None, "NULL"]
    assert len(nested_rows) == 3


@pytest.mark.parametrize("compression", [None, "gzip", "zstd"])
def test_pyarrow_loads_every_format(tmp_path, compression):
    options = arrow_csv.ParseOptions(newlines_in_values=True)
    table, lines = written(tmp_path, "csv", compression), written(tmp_path, "jsonl", compression, flatten=True)
    typed = parquet.read_table(written(tmp_path, "parquet", compression))
    loaded = [
        arrow_csv.read_csv(io.BytesIO(unpacked(table)), parse_options=options),
        # Any__c holds values of several types, which a table cannot.
        arrow_json.read_json(
            io.BytesIO(
                unpacked(lines).replace(b'"Any__c":7', b'"Any__c":"7"').replace(b'"Any__c":true', b'"Any__c":"true"')
            )
        ),
        typed,
    ]

    for found in loaded:
        assert found.column_names == list(PATHS)
        assert found["Name"][0].as_py() == TEXT
        assert found["Owner.IsActive"].to_pylist() == [False, None, True]
    assert typed["SystemModstamp"].to_pylist()[1] == datetime(1899, 12, 31, 23, 59, 59, tzinfo=timezone.utc)
    assert typed["Opens__c"].to_pylist() == [time(9, 30, 0, 500_000), None, time(0)]


@pytest.mark.parametrize(
    ("output_format", "compression", "extra"), [("parquet", None, "parquet"), ("csv", "zstd", "zstd")]
)
def test_what_is_not_installed_is_refused_with_the_line_to_type(monkeypatch, output_format, compression, extra):
    monkeypatch.setattr(choices, "find_spec", lambda package: None)

    with pytest.raises(ConfigurationError, match=rf"pip install 'airflow-provider-salesforce-export\[{extra}\]'"):
        choices.require_installed(output_format, compression)
    choices.require_installed("json", "gzip")


def test_pyarrow_is_all_that_parquet_needs_for_zstd(monkeypatch):
    monkeypatch.setattr(choices, "find_spec", lambda package: package == "pyarrow" or None)

    choices.require_installed("parquet", "zstd")
    assert pyarrow.Codec.is_available("zstd")


@pytest.mark.parametrize(("output_format", "compression", "flatten"), EVERY)
def test_the_ids_of_a_file_are_read_without_the_rest(output_format, compression, flatten):
    chosen = page_format(output_format, compression, flatten)

    assert chosen.ids(chosen.encode(structs(RECORDS), NUMBERS)) == [record["Id"] for record in RECORDS]


@pytest.mark.parametrize(("output_format", "compression", "flatten"), EVERY)
def test_packed_records_are_written_as_they_would_be_themselves(output_format, compression, flatten):
    chosen = page_format(output_format, compression, flatten)

    packed = chosen.encode(chosen.pack(structs(RECORDS)), NUMBERS)

    assert packed == chosen.encode(structs(RECORDS), NUMBERS)
