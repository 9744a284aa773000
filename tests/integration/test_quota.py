"""A run that meets the limit of API calls waits, outside of a worker slot, and reads nothing twice."""

import re
from datetime import timedelta

import pytest

from airflow_provider_salesforce_export import SalesforceExportOperator, SalesforceExportTaskGroup
from airflow_provider_salesforce_export.operators import waiting
from tests.integration.conftest import ids_in, published, run

pytestmark = pytest.mark.usefixtures("airflow_database")

BOTH = pytest.mark.parametrize("kind", [SalesforceExportTaskGroup, SalesforceExportOperator])


@pytest.fixture
def waits(monkeypatch):
    """Let waits be short, and return those that were begun: in which task, for how long it would have been."""
    begun = []

    def note(operator, until, event, wait=waiting.wait):
        begun.append(operator.task_id)
        wait(operator, until, event)

    monkeypatch.setattr(waiting, "QUOTA_WAIT", timedelta(seconds=1))
    monkeypatch.setattr(waiting, "wait", note)
    return begun


def export(kind, folder, **words):
    if kind is SalesforceExportOperator:
        words["task_id"] = "export"
    kind(object_type="contacts", destination=folder.as_uri(), **words)


def note_queries(server):
    """Return the list of page queries that the org is asked from now on."""
    queries = []

    def note(method, path, query):
        if "LastName" in query or "Name" in query:
            queries.append(query)

    server.org.before_request.append(note)
    return queries


def free_quota(server, *, after, quota):
    """Let the org's quota be larger from some call on, as it is when earlier calls are a day old."""
    calls = []

    def free(*_):
        calls.append(1)
        if len(calls) > after:
            server.settings.api_quota = quota

    server.org.before_request.append(free)


@BOTH
def test_a_run_that_the_quota_has_no_room_for_waits_before_it_reads(
    start_org, connections, make_dag, tmp_path, waits, kind
):
    server = start_org(contacts=1000, api_quota=100)
    connections(server)
    server.org.api_calls = 78
    queries = note_queries(server)
    free_quota(server, after=2, quota=1000)
    with make_dag() as dag:
        export(kind, tmp_path, page_size=100)

    dag_run, _ = run(dag)

    assert dag_run.state == "success"
    assert waits in (["contacts.count"], ["export"])
    assert len(queries) == 11  # the last page is followed by a look for rows that were pushed down
    assert published(tmp_path).holds_exactly(ids_in(server))
    assert published(tmp_path).manifest["api_calls"] == server.org.api_calls - 78


@BOTH
def test_others_who_use_up_the_quota_make_page_tasks_wait_and_no_page_is_read_twice(
    start_org, connections, make_dag, tmp_path, waits, kind
):
    server = start_org(contacts=3000, api_quota=1000)
    connections(server)
    queries = note_queries(server)

    def others_use_the_quota(*_):
        if len(queries) >= 12 and not waits:
            server.org.api_calls = 850

    server.org.before_request.append(others_use_the_quota)
    server.org.before_request.append(lambda *_: waits and setattr(server.settings, "api_quota", 10_000))
    with make_dag() as dag:
        export(kind, tmp_path, page_size=100, pagination="range", concurrency=2)

    dag_run, _ = run(dag)

    assert dag_run.state == "success"
    assert set(waits) in ({"contacts.pages"}, {"export"})
    assert len(queries) == len(set(queries))
    assert published(tmp_path).holds_exactly(ids_in(server))


def test_a_spent_quota_is_waited_for_by_the_last_task_too(start_org, connections, make_dag, tmp_path, waits):
    server = start_org(contacts=300, api_quota=1000)
    connections(server)

    def spend(method, path, query):
        if "COUNT" in query and server.org.api_calls > 1 and not waits:
            server.settings.api_quota = server.org.api_calls

    server.org.before_request.append(spend)
    server.org.before_request.append(lambda *_: waits and setattr(server.settings, "api_quota", 1000))
    with make_dag() as dag:
        export(SalesforceExportTaskGroup, tmp_path)

    dag_run, _ = run(dag)

    assert dag_run.state == "success"
    assert waits == ["contacts.publish"]
    assert published(tmp_path).holds_exactly(ids_in(server))


def test_after_a_day_of_waiting_the_task_fails(start_org, connections, make_dag, tmp_path, waits, monkeypatch, capfd):
    server = start_org(contacts=300, api_quota=100)
    connections(server)
    server.org.api_calls = 90
    monkeypatch.setattr(waiting, "_MAX_QUOTA_WAITS", 2)
    with make_dag() as dag:
        export(SalesforceExportTaskGroup, tmp_path)

    dag_run, _ = run(dag)

    assert dag_run.state == "failed"
    assert waits == ["contacts.count"] * 2
    shown = capfd.readouterr()
    assert re.search(r"QuotaReachedError: \d+ of the org's 100 API calls", shown.out + shown.err)


def test_an_export_that_the_quota_can_never_hold_is_refused(start_org, connections, make_dag, tmp_path, waits, capfd):
    server = start_org(contacts=300, api_quota=100)
    connections(server)
    with make_dag() as dag:
        export(SalesforceExportTaskGroup, tmp_path, page_size=3, api_quota_limit="{{ 0.9 }}")

    dag_run, _ = run(dag)

    assert dag_run.state == "failed"
    assert waits == []
    shown = capfd.readouterr()
    assert "This needs about 100 API calls, and api_quota_limit=0.9 allows 90" in shown.out + shown.err
