"""The rows of a Bulk job as records: every type of Salesforce that Bulk API 2.0 gives as REST does."""

import pytest

from airflow_provider_salesforce_export.exceptions import IncompleteResponseError
from airflow_provider_salesforce_export.export.bulk_rows import _CONVERTERS, RowReader, unreadable
from airflow_provider_salesforce_export.export.schema import Column, Schema

AWKWARD_TEXTS = ("000123", "1.0E7", "true", "null", " spaces ", "two\nlines", "2026-11-20T12:00:00.000Z", "Zoë 🎉")
TEXTS = (
    "string",
    "textarea",
    "picklist",
    "multipicklist",
    "combobox",
    "email",
    "phone",
    "url",
    "encryptedstring",
    "datacategorygroupreference",
)
READ = [
    *((type_, text, text) for type_ in TEXTS for text in AWKWARD_TEXTS),
    ("id", "003000000000001AAA", "003000000000001AAA"),
    ("reference", "001000000000001AAA", "001000000000001AAA"),
    ("multipicklist", "a;b c;ü", "a;b c;ü"),
    ("encryptedstring", "****1234", "****1234"),
    ("date", "2026-02-28", "2026-02-28"),
    ("time", "23:59:59.999Z", "23:59:59.999Z"),
    ("datetime", "2026-11-20T12:00:00.000Z", "2026-11-20T12:00:00.000+0000"),
    ("boolean", "true", True),
    ("boolean", "false", False),
    *((type_, "-12", -12) for type_ in ("int", "long")),
    *((type_, "5.0", 5) for type_ in ("int", "long")),
    *((type_, "1.0E7", 10_000_000) for type_ in ("int", "long")),
    ("long", "9007199254740993", 9_007_199_254_740_993),
    *((type_, "12", 12.0) for type_ in ("double", "currency", "percent")),
    *((type_, "-9.876543210E7", -98_765_432.1) for type_ in ("double", "currency", "percent")),
]
NO_NUMBER = ("x", "1,5", "true", "12:00")
WRONG = [
    *((type_, cell) for type_ in ("int", "long", "double", "currency", "percent") for cell in NO_NUMBER),
    *((type_, cell) for type_ in ("int", "long") for cell in ("5.5", "NaN", "Infinity")),
    *(("boolean", cell) for cell in ("True", "1", "yes")),
]


def read(type_, *cells):
    """Return the values of a field, with an Id before it."""
    reader = RowReader("Contact", Schema((Column("Id", "id"), Column("Field", type_))))
    assert reader.fields == ("Id", "Field")
    return [record.Field for record in reader.records([["003"] * len(cells), list(cells)])]


def test_every_type_is_among_these():
    assert {type_ for type_, _, _ in READ} == set(_CONVERTERS)


@pytest.mark.parametrize(("type_", "cell", "value"), READ)
def test_a_cell_becomes_the_value_that_rest_gives_and_an_empty_one_null(type_, cell, value):
    found = read(type_, cell, "")

    assert found == [value, None]
    assert type(found[0]) is type(value)


def test_whole_numbers_stay_exact_beside_one_that_looks_like_a_double():
    assert read("long", "-9007199254740993", "5.0") == [-9_007_199_254_740_993, 5]


@pytest.mark.parametrize(("type_", "cell"), WRONG)
def test_a_cell_that_is_not_of_its_type_is_refused_by_name(type_, cell):
    with pytest.raises(IncompleteResponseError, match=f"a value in the column Field that is no {type_}"):
        read(type_, cell)


@pytest.mark.parametrize("type_", ["address", "location", "base64", "anyType", "complexvalue", "json", None])
def test_a_type_that_csv_has_no_one_form_of_is_left_to_rest(type_):
    schema = Schema((Column("Id", "id"), Column("Field", type_)))

    assert unreadable(schema) == f"Field ({type_})"
