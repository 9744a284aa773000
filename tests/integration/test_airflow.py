"""Exports run by a real Airflow: dag.test(), connections from the environment, XComs in its database."""

import os
import re
from datetime import datetime, timedelta, timezone

import pytest
from airflow.models.taskinstance import TaskInstance, clear_task_instances
from airflow.sdk import Param, task
from airflow.utils.session import create_session
from sqlalchemy import select

import airflow_provider_salesforce_export
from airflow_provider_salesforce_export import (
    ObjectType,
    SalesforceExportHook,
    SalesforceExportOperator,
    SalesforceExportTaskGroup,
)
from airflow_provider_salesforce_export.key_collection.key import Account
from airflow_provider_salesforce_export.operators import count
from tests.integration.conftest import ids_in, published, run

pytestmark = pytest.mark.usefixtures("airflow_database")

PACKAGE = os.path.dirname(airflow_provider_salesforce_export.__file__)
MORNING = datetime(2026, 11, 18, 8, tzinfo=timezone.utc)


def test_a_task_group_exports_an_object(start_org, connections, make_dag, tmp_path):
    server = start_org(contacts=4001)
    connections(server)
    with make_dag() as dag:
        SalesforceExportTaskGroup("contacts", destination=tmp_path.as_uri())

    dag_run, tasks = run(dag)

    assert dag_run.state == "success"
    export = published(tmp_path)
    assert export.holds_exactly(ids_in(server))
    assert export.manifest["api_calls"] == server.org.api_calls
    assert tasks["contacts.pages", 0].rendered_map_index.startswith("page")


def test_what_passes_between_the_tasks_is_small_and_never_a_record(start_org, connections, make_dag, tmp_path):
    server = start_org(contacts=3000)
    connections(server)
    with make_dag() as dag:
        SalesforceExportTaskGroup("contacts", destination=tmp_path.as_uri(), page_size=100, max_page_tasks=3)

    _, tasks = run(dag)

    pages = [
        tasks["contacts.pages", index].xcom_pull(task_ids="contacts.pages", map_indexes=index) for index in range(3)
    ]
    results = [page for task in pages for page in task["pages"]]
    assert len(results) >= 30
    assert all(not isinstance(value, (dict, list)) for result in results for value in result.values())
    names = {record["Name"] for page in published(tmp_path).pages for record in page["data"]}
    assert not any(name in str(pages) for name in names)


def test_there_are_never_more_page_tasks_than_airflow_maps(start_org, connections, make_dag, tmp_path, monkeypatch):
    server = start_org(contacts=900)
    connections(server)
    monkeypatch.setenv("AIRFLOW__CORE__MAX_MAP_LENGTH", "3")
    with make_dag() as dag:
        SalesforceExportTaskGroup("contacts", destination=tmp_path.as_uri(), page_size=50, max_page_tasks=99)

    dag_run, tasks = run(dag)

    assert dag_run.state == "success"
    assert len([name for name, _ in tasks if name == "contacts.pages"]) == 3
    assert published(tmp_path).holds_exactly(ids_in(server))


def test_no_rows_no_page_task_and_still_a_manifest(start_org, connections, make_dag, tmp_path):
    connections(start_org())
    with make_dag() as dag:
        SalesforceExportTaskGroup("contacts", destination=tmp_path.as_uri())

    dag_run, tasks = run(dag)

    assert dag_run.state == "success"
    assert tasks["contacts.pages", -1].state == "skipped"
    assert published(tmp_path).manifest["rows"] == 0


def test_the_operator_does_the_same_in_one_task(start_org, connections, make_dag, tmp_path):
    server = start_org(contacts=4001)
    connections(server)
    with make_dag() as dag:
        SalesforceExportOperator(task_id="export", object_type="contacts", destination=tmp_path.as_uri())

    dag_run, tasks = run(dag)

    assert dag_run.state == "success"
    assert published(tmp_path).holds_exactly(ids_in(server))
    summary = tasks["export", -1].xcom_pull(task_ids="export")
    assert (summary["rows"], summary["count"]) == (4001, 4001)
    assert summary["manifest"].endswith("/manifest.json")


def test_arguments_may_be_templates(start_org, connections, make_dag, tmp_path):
    server = start_org(contacts=500)
    connections(server)
    with make_dag(params={"size": Param(100, type="integer"), "deleted": True, "mode": "full"}) as dag:
        SalesforceExportTaskGroup(
            "contacts",
            destination=tmp_path.as_uri() + "/{{ dag.dag_id }}",
            page_size="{{ params.size }}",
            include_deleted="{{ params.deleted }}",
            mode="{{ params.mode }}",
        )

    run(dag, run_conf={"size": 50})

    export = published(tmp_path / dag.dag_id)
    assert export.manifest["page_size"] == 50
    assert export.holds_exactly(ids_in(server, deleted=True))


def test_an_expired_token_in_the_middle_is_renewed_once(start_org, connections, make_dag, tmp_path):
    server = start_org(contacts=6000, rotate_refresh_tokens=True)
    connections(server)
    server.org.expire_tokens_after(10)
    with make_dag() as dag:
        SalesforceExportTaskGroup("contacts", destination=tmp_path.as_uri(), page_size=500)

    dag_run, _ = run(dag)

    assert dag_run.state == "success"
    assert published(tmp_path).holds_exactly(ids_in(server))
    assert server.org.token_calls == 1


def test_any_other_sobject(start_org, connections, make_dag, tmp_path):
    server = start_org(contacts=50)
    connections(server)
    with make_dag() as dag:
        SalesforceExportTaskGroup(
            ObjectType("accounts", "Account", ("Name", "Owner.Alias"), where="Name != null"),
            destination=tmp_path.as_uri(),
        )

    run(dag)

    assert published(tmp_path, "accounts").holds_exactly(ids_in(server, "Account"))


def test_the_hook_is_a_client_and_says_how_it_is(start_org, connections):
    server = start_org(contacts=12)
    connections(server)
    with SalesforceExportHook() as hook:
        assert hook.get_conn().count("SELECT COUNT() FROM Contact") == 12
        works, message = hook.test_connection()
    assert works
    assert server.url in message
    assert "integration@sandbox.example" in message
    assert "API version 62.0" in message
    assert "of 100,000 API calls left today" in message


PASSWORD_GRANT = {
    "grant_type": "password",
    "username": "ada@acme.com",
    "user_password": "secret-1",
    "account_id": "new",
}


@pytest.mark.parametrize("forgets_tasks", [True, False], ids=["Airflow 3.3", "Airflow 3.2"])
@pytest.mark.parametrize("deleted", [250, 700])
def test_a_run_that_is_cleared_and_has_fewer_pages_forgets_those_that_are_gone(
    start_org, connections, make_dag, tmp_path, monkeypatch, deleted, forgets_tasks
):
    """Airflow 3.2 waits for ever for page tasks that are no more, so there are as many as before."""
    if forgets_tasks and not count.AIRFLOW_V_3_3_PLUS:
        pytest.skip("needs Airflow 3.3")
    monkeypatch.setattr(count, "AIRFLOW_V_3_3_PLUS", forgets_tasks)
    server = start_org(contacts=700)
    connections(server)
    with make_dag() as dag:
        SalesforceExportTaskGroup("contacts", destination=tmp_path.as_uri(), page_size=100)
    run(dag, logical_date=MORNING)
    for record_id in sorted(ids_in(server))[:deleted]:
        server.org.delete("Contact", record_id)

    dag_run, _ = run(dag, logical_date=MORNING)

    assert dag_run.state == "success"
    export = published(tmp_path)
    assert export.holds_exactly(ids_in(server))
    assert export.manifest["repairs"] == []
    assert len(export.files) == 1 + -(-(700 - deleted) // 100)


def test_a_page_task_that_is_cleared_alone_is_read_again(start_org, connections, make_dag, tmp_path):
    """Of the first publishing, one page is no longer there as it was read: it was repaired, and swept."""
    server = start_org(contacts=700)
    connections(server)
    existing = sorted(ids_in(server))
    moved = []

    def move_the_rows_of_one_page(_method, _path, query):
        """Airflow does not say in which order it runs the page tasks."""
        if query.endswith("OFFSET+299"):
            server.org.delete("Contact", existing[7])
            moved.append(existing[7])
        elif moved:
            server.org.undelete("Contact", moved.pop())

    server.org.before_request.append(move_the_rows_of_one_page)
    with make_dag() as dag:

        @task
        def clear_a_page(run_id=None):
            server.org.update("Contact", existing[150], Title="Changed since")
            cleared = [("contacts.pages", 1), ("contacts.publish", -1)]
            with create_session() as session:
                found = session.scalars(select(TaskInstance).where(TaskInstance.run_id == run_id))
                clear_task_instances(
                    [ti for ti in found if (ti.task_id, ti.map_index) in cleared], session, dag_run_state=False
                )

        group = SalesforceExportTaskGroup("contacts", destination=tmp_path.as_uri(), page_size=100)
        group >> clear_a_page()

    dag_run, tasks = run(dag)

    assert dag_run.state == "success"
    tries = {key: ti.try_number for key, ti in tasks.items()}
    assert [tries["contacts.pages", index] for index in range(7)] == [1, 2, 1, 1, 1, 1, 1]
    assert tries["contacts.publish", -1] == 2
    export = published(tmp_path)
    assert export.holds_exactly(existing)
    assert "Changed since" in {record["Title"] for page in export.pages for record in page["data"]}
    assert export.files == sorted(["manifest.json", *(page["file"] for page in export.manifest["pages"])])


def test_a_group_that_a_branch_skips_is_skipped_whole(start_org, connections, make_dag, tmp_path):
    connections(start_org())
    with make_dag() as dag:

        @task.branch
        def choose():
            return []

        choose() >> SalesforceExportTaskGroup("contacts", destination=tmp_path.as_uri())

    dag_run, tasks = run(dag)

    assert dag_run.state == "success"
    assert {ti.state for (name, _), ti in tasks.items() if name != "choose"} == {"skipped"}


def test_what_no_retry_can_mend_fails_at_once(start_org, connections, make_dag, tmp_path):
    server = start_org(hidden_fields=("Contact.Phone",), contacts=10)
    connections(server)
    with make_dag(default_args={"retries": 3, "retry_delay": timedelta(0)}) as dag:
        SalesforceExportTaskGroup("contacts", destination=tmp_path.as_uri())

    dag_run, tasks = run(dag)

    assert dag_run.state == "failed"
    assert tasks["contacts.count", -1].try_number == 1


def test_the_test_button_says_what_is_wrong(start_org, connections):
    server = start_org()
    connections(server, account_id="stranger")

    works, message = SalesforceExportHook().test_connection()

    assert not works
    assert "key of account stranger" in message


BAD_INPUTS = {
    "no connection": (
        {},
        {},
        {"salesforce_conn_id": "missing"},
        r"no Airflow connection 'missing'.*type: salesforce_export",
    ),
    "no MongoDB connection": ({}, {"mongo_conn_id": "missing"}, {}, r"no Airflow connection 'missing'.*type: mongo"),
    "MongoDB away": (
        {},
        {"mongo_conn_id": "mongo_away"},
        {},
        r"MongoDB, .*does not answer: 127.0.0.1:9.*mongo_conn_id",
    ),
    "no destination connection": ({}, {}, {"destination_conn_id": "missing"}, r"no Airflow connection 'missing'"),
    "no connection of the URL": ({}, {}, {"destination": "s3://missing@lake/x"}, r"no Airflow connection 'missing'"),
    "unknown store": ({}, {}, {"destination": "foo://lake/x"}, r"destination 'foo://lake/x' cannot be opened"),
    "not MongoDB": ({}, {"mongo_conn_id": "mongo_wrong"}, {}, r"'mongo_wrong' names no MongoDB: .*must be 'mongo'"),
    "no key": ({}, {"account_id": "stranger"}, {}, r"account stranger .*not there: log in .+, on the page Salesforce"),
    "wrong secret": ({"password": "wrong-secret"}, PASSWORD_GRANT, {}, r"consumer secret is wrong. Correct the pass"),
    "wrong domain": (
        {"host": "https://no-such-org.invalid"},
        PASSWORD_GRANT,
        {},
        r"no-such-org.invalid has no address. The My Dom",
    ),
    "retired version": (
        {},
        {"api_version": "25.0"},
        {},
        r"no API version 25\.0; it has 31\.0 to .*Correct api_version",
    ),
    "hidden field": ({}, {}, {"object_type": ObjectType("x", "Contact", ("Phone",))}, r"Phone.*field-level security"),
    "unknown sObject": ({}, {}, {"object_type": ObjectType("x", "Nothing__c", ())}, r"The sObject does not exist"),
    "destination": ({}, {}, {"destination": "file:///proc/salesforce"}, r"/proc/salesforce.*cannot be created.*rights"),
    "no interval": ({}, {}, {"mode": "incremental", "until": "2020-01-01T00:00:00Z"}, r"window .* is empty.*CronDataI"),
    "rendered page size": ({}, {}, {"page_size": "{{ 5000 }}"}, r"page_size must be a whole number from 1 to 2000"),
}


@pytest.mark.parametrize("case", BAD_INPUTS)
def test_bad_input_is_one_clear_error(
    start_org, connections, monkeypatch, make_dag, database, keys, tmp_path, capfd, case
):
    connection, extra, arguments, message = BAD_INPUTS[case]
    server = start_org(contacts=10, hidden_fields=("Contact.Phone",))
    connections(server, connection, **extra)
    monkeypatch.setenv("AIRFLOW_CONN_MONGO_AWAY", "mongo://127.0.0.1:9/?serverSelectionTimeoutMS=300")
    monkeypatch.setenv("AIRFLOW_CONN_MONGO_WRONG", "mongodb://127.0.0.1:9")
    with make_dag() as dag:
        SalesforceExportTaskGroup(
            **{"object_type": "contacts", "destination": tmp_path.as_uri(), "group_id": "contacts"} | arguments
        )

    dag_run, _ = run(dag)
    captured = capfd.readouterr()
    shown = captured.out + captured.err

    assert dag_run.state == "failed"
    assert not list(tmp_path.rglob("*.json"))
    (error,) = [line for line in shown.splitlines() if re.match(r"[\w.]+(Error|AirflowFailException): ", line)]
    assert re.search(message, error)
    assert shown.count("Traceback (most recent call last)") == 1
    assert shown.count(f'File "{PACKAGE}') <= 4  # the operator, and the block that cuts the rest
    accounts = [Account(key["account_id"], key["owner"]) for key in database["integrations.salesforce.key"].find()]
    stored = [key.token for key in map(keys.find, accounts) if key.token]
    tokens = [token[name] for token in stored for name in ("access_token", "refresh_token")]
    assert tokens
    assert not [secret for secret in (*tokens, "sandbox-client-secret", "wrong-secret", "secret-1") if secret in shown]
