"""The verbs of the hook, as DAG authors use them in tasks of their own."""

from itertools import islice

import pytest

from airflow_provider_salesforce_export import SalesforceExportHook, exceptions
from tests.integration.conftest import ids_in

ALL = "SELECT Id, Name, Account.Name FROM Contact ORDER BY Id"


@pytest.fixture
def server(start_org, connections):
    server = start_org(contacts=700, batch_size=200, rotate_refresh_tokens=True)
    connections(server)
    return server


@pytest.fixture
def hook(server):
    with SalesforceExportHook() as hook:
        yield hook


def test_query_returns_clean_records(hook, server):
    records = hook.query(ALL)

    assert [record["Id"] for record in records] == sorted(ids_in(server))
    assert "attributes" not in str(records)


def test_query_all_asks_for_the_next_batch_only_when_it_is_needed(hook, server):
    records = hook.query_all(ALL)

    assert len(list(islice(records, 200))) == 200
    assert server.org.api_calls == 1
    next(records)
    assert server.org.api_calls == 2


def test_a_session_that_ends_in_the_middle_of_an_iteration_is_renewed(hook, server):
    seen = []
    for record in hook.query_all(ALL):
        seen.append(record["Id"])
        if len(seen) in (100, 500):
            server.org.expire_tokens()

    assert seen == sorted(ids_in(server))
    assert server.org.token_calls == 2


def test_records_are_created_changed_and_deleted(hook, server):
    server.org.expire_tokens()
    record_id = hook.create("Contact", {"LastName": "Gödel", "Email": "kurt@acme.example"})
    server.org.expire_tokens()
    hook.update("Contact", record_id, {"Title": "Logician"})
    (record,) = hook.query(f"SELECT LastName, Title FROM Contact WHERE Id = '{record_id}'")
    assert record == {"LastName": "Gödel", "Title": "Logician"}

    server.org.expire_tokens()
    hook.delete("Contact", record_id)

    assert hook.count(f"SELECT COUNT() FROM Contact WHERE Id = '{record_id}'") == 0
    assert hook.count(f"SELECT COUNT() FROM Contact WHERE Id = '{record_id}'", include_deleted=True) == 1
    assert server.org.token_calls == 3


def test_a_record_that_is_refused_says_which_field_is_missing(hook):
    with pytest.raises(exceptions.SalesforceError, match=r"REQUIRED_FIELD_MISSING.*LastName") as caught:
        hook.create("Contact", {"Email": "kurt@acme.example"})
    assert (caught.value.error_code, caught.value.status_code) == ("REQUIRED_FIELD_MISSING", 400)


def test_a_creation_without_a_reply_is_not_repeated(hook, server):
    server.org.fail_next(status=503)

    with pytest.raises(exceptions.SalesforceUnavailableError, match="503"):
        hook.create("Contact", {"LastName": "Gödel"})
    assert len(ids_in(server)) == 700


@pytest.mark.parametrize("record_id", ["003000000000000AAA", "../../query?q=SELECT Id FROM Contact"])
def test_a_record_that_is_not_there_cannot_be_changed(hook, server, record_id):
    with pytest.raises(exceptions.SalesforceError, match="NOT_FOUND"):
        hook.update("Contact", record_id, {"Title": "x"})
    with pytest.raises(exceptions.SalesforceError, match="NOT_FOUND"):
        hook.delete("Contact", record_id)


def test_descriptions_and_limits(hook, server):
    server.org.expire_tokens()
    assert "LastName" in {field["name"] for field in hook.describe("Contact")["fields"]}
    server.org.expire_tokens()
    assert hook.limits()["DailyApiRequests"]["Max"] == 100_000
    with pytest.raises(exceptions.QueryError, match="Nothing__c does not exist"):
        hook.describe("Nothing__c")
    assert server.org.token_calls == 2
