from datetime import datetime, timedelta, timezone

import pytest

from airflow_provider_salesforce_export.exceptions import ConfigurationError
from airflow_provider_salesforce_export.salesforce.soql import Query, datetime_literal, in_lines, quote

QUERY = Query("Contact", ("Id", "Name"))


def test_quotes_and_backslashes_cannot_leave_the_string():
    assert quote(r"O'Brien \ ' OR Name != ''") == r"'O\'Brien \\ \' OR Name != \'\''"


@pytest.mark.parametrize("text", ["", "x FROM y", "it's FROM y", "\\", "\\' WHERE "])
def test_a_query_is_shown_with_each_clause_on_a_line_and_texts_as_they_are(text):
    query = QUERY.where(f"Name = {quote(text)}", "Title != 'a ORDER BY b'")

    assert in_lines(query.select()).splitlines() == [
        "SELECT Id, Name",
        "FROM Contact",
        f"WHERE (Name = {quote(text)}) AND (Title != 'a ORDER BY b')",
        "ORDER BY Id ASC",
    ]


def test_a_datetime_is_written_in_utc_without_a_plus():
    moment = datetime(2026, 11, 20, 1, 30, tzinfo=timezone(timedelta(hours=2)))

    assert datetime_literal(moment) == "2026-11-19T23:30:00.000Z"


def test_a_naive_datetime_is_refused():
    with pytest.raises(ConfigurationError, match="no time zone"):
        datetime_literal(datetime(2026, 11, 20))


def test_count_bounds_and_pages_use_the_same_filter():
    query = QUERY.where("Email != null OR Phone != null").where("Name != null")
    where = "WHERE (Email != null OR Phone != null) AND (Name != null)"

    assert query.count() == f"SELECT COUNT() FROM Contact {where}"
    assert query.select(limit=3, offset=6) == (f"SELECT Id, Name FROM Contact {where} ORDER BY Id ASC LIMIT 3 OFFSET 6")
    assert query.extent() == f"SELECT COUNT(Id), MIN(Id), MAX(Id) FROM Contact {where}"


def test_a_query_without_conditions_has_no_where():
    assert QUERY.select() == "SELECT Id, Name FROM Contact ORDER BY Id ASC"


def test_bounds_are_15_characters_and_open_where_none():
    assert QUERY.between("003000000000001AAA", None).conditions == ("Id > '003000000000001'",)
    assert QUERY.between(None, "003000000000009").conditions == ("Id <= '003000000000009'",)
    assert QUERY.between(None, None) == QUERY
