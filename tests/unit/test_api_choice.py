import pytest

from airflow_provider_salesforce_export.exceptions import ConfigurationError
from airflow_provider_salesforce_export.export.api_choice import choose_api
from airflow_provider_salesforce_export.export.plan import Request
from airflow_provider_salesforce_export.export.schema import resolve_schema
from airflow_provider_salesforce_export.salesforce.soql import Query

WIDE = 600
"""Fields; with them, a query is longer than Salesforce lets a URL be."""


def describe(sobject):
    """An sObject with many fields, of which the last is none that Bulk API 2.0 reads."""
    field = {"type": "string", "precision": 0, "scale": 0, "calculated": False, "relationshipName": None}
    fields = [field | {"name": f"Quarterly_Forecast_Number_{n}__c"} for n in range(WIDE)]
    return {"fields": [field | {"name": "Id", "type": "id"}, *fields, field | {"name": "Odd__c", "type": "anyType"}]}


def chosen(api, *fields, pagination="auto", total=10):
    request = Request("wide", Query("Wide__c", ("Id", *fields)), False, 2000, pagination, api=api, bulk_threshold=1000)
    schema = resolve_schema(describe, "Wide__c", request.query.fields)
    return choose_api(describe, request, schema, total)


def names(count):
    return [field["name"] for field in describe("Wide__c")["fields"][1 : 1 + count]]


def test_a_query_that_is_too_long_for_a_url_is_read_by_bulk():
    api, reason, schema = chosen("auto", *names(WIDE))

    assert (api, reason) == ("bulk", "the query is too long for a URL")
    assert len(schema.columns) == 1 + WIDE
    assert chosen("auto", *names(10))[0] == "rest"


def test_with_no_rows_no_query_is_too_long():
    assert chosen("rest", *names(WIDE), total=0)[0] == "rest"


@pytest.mark.parametrize(
    ("words", "because"),
    [
        ({"api": "rest"}, r"because api='rest' was asked for: use api='bulk', or name fewer fields"),
        ({"api": "auto", "pagination": "range"}, "because pagination='range' was asked for"),
    ],
)
def test_a_query_that_is_too_long_for_rest_is_refused_before_anything_is_read(words, because):
    with pytest.raises(ConfigurationError, match=rf"wide is too long for REST: 601 fields make \d{{5}} .*{because}"):
        chosen(words.pop("api"), *names(WIDE), **words)


def test_a_query_that_neither_can_read_is_refused():
    with pytest.raises(ConfigurationError, match=r"too long for REST.*because Bulk API 2.0 cannot read Odd__c"):
        chosen("auto", *names(WIDE), "Odd__c")
