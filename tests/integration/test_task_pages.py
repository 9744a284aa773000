"""What Airflow shows of the tasks: names of mapped tasks, rendered queries, links, documentation, progress."""

import re
from itertools import pairwise

import pytest
from airflow.models.renderedtifields import RenderedTaskInstanceFields
from airflow.utils.session import create_session

from airflow_provider_salesforce_export import ObjectType, SalesforceExportOperator, SalesforceExportTaskGroup
from airflow_provider_salesforce_export.export import progress, segments
from airflow_provider_salesforce_export.operators import bulk_job
from airflow_provider_salesforce_export.operators.count import SalesforceExportCountOperator
from airflow_provider_salesforce_export.operators.links import BulkJobLink, ConnectionLink, ExportFolderLink
from tests.integration.conftest import end_jobs_by_looks, run

pytestmark = pytest.mark.usefixtures("airflow_database")

BULK_JOB = r"/lightning/setup/AsyncApiJobStatus/page\?address=%2F750\w{15}$"


def links(task):
    """Return the links of a task by name, as the page of Airflow has them."""
    addresses = {
        link.name: task.xcom_pull(task_ids=task.task_id, map_indexes=task.map_index, key=link.xcom_key)
        for link in (ExportFolderLink(), BulkJobLink(), ConnectionLink())
    }
    return {name: address for name, address in addresses.items() if address}


def rendered(task):
    with create_session() as session:
        return RenderedTaskInstanceFields.get_templated_fields(task, session=session)


def test_links_stay_where_a_task_fails_after_it_was_deferred(start_org, connections, make_dag, tmp_path, monkeypatch):
    monkeypatch.setattr(bulk_job, "FIRST_DELAY", 0.2)
    server = start_org(contacts=30)
    end_jobs_by_looks(server, running=1)
    connections(server)
    resume = SalesforceExportCountOperator.resume

    def fail_when_resumed(self, context, event):
        if "plan" in event:
            raise RuntimeError("The trigger is gone.")
        return resume(self, context, event)

    monkeypatch.setattr(SalesforceExportCountOperator, "resume", fail_when_resumed)
    with make_dag() as dag:
        SalesforceExportTaskGroup("contacts", destination=tmp_path.as_uri(), api="bulk")

    dag_run, tasks = run(dag)

    assert dag_run.state == "failed"
    found = links(tasks["contacts.count", -1])
    assert re.search(BULK_JOB, found["Bulk job in Salesforce"])
    assert found["Salesforce connection"] == "/plugin/salesforce?conn_id=salesforce_export_default"


def test_page_tasks_are_named_by_their_pages_and_rows(start_org, connections, make_dag, tmp_path):
    connections(start_org(contacts=4500))
    with make_dag():
        group = SalesforceExportTaskGroup(
            "contacts",
            destination=tmp_path.as_uri(),
            page_size=500,
            max_page_tasks=3,
            pagination="range",
            concurrency=1,
        )

    _, tasks = run(group.dag)

    names = [tasks["contacts.pages", index].rendered_map_index for index in range(3)]
    pattern = re.compile(r"pages? (\d+)(?:-(\d+))? of (\d+) · rows ([\d,]+)-([\d,]+)")
    shares = [[int((part or "0").replace(",", "")) for part in pattern.fullmatch(name).groups()] for name in names]
    assert (shares[0][0], shares[0][3]) == (1, 1)
    assert all(after[3] == before[4] + 1 for before, after in pairwise(shares))
    assert shares[-1][4] == 4500
    assert max(shares[-1][:2]) == shares[-1][2]


@pytest.mark.parametrize("kind", [SalesforceExportTaskGroup, SalesforceExportOperator])
def test_the_query_that_is_read_is_shown_as_sql(start_org, connections, make_dag, tmp_path, kind):
    server = start_org(contacts=10)
    server.org.insert("Contact", LastName="{% one that is found")
    connections(server)
    words = {"task_id": "export"} if kind is SalesforceExportOperator else {}
    with make_dag() as dag:
        kind(
            object_type=ObjectType("odd", "Contact", ("name",), where="Name LIKE '{%'"),
            destination=tmp_path.as_uri(),
            **words,
        )

    dag_run, tasks = run(dag)

    assert dag_run.state == "success"
    assert {task_id for task_id, _ in tasks} == ({"export"} if words else {"odd.count", "odd.pages", "odd.publish"})
    for task in tasks.values():
        soql = ["SELECT Id, Name, SystemModstamp", "FROM Contact", "WHERE Name LIKE '{%'", "ORDER BY Id ASC"]
        assert rendered(task)["soql"].splitlines() == soql
        operator = dag.get_task(task.task_id)
        assert operator.template_fields_renderers["soql"] == "sql"
        assert "SELECT Id, name, SystemModstamp FROM Contact WHERE Name LIKE '{%'" in operator.doc_md


@pytest.mark.parametrize(
    ("include_deleted", "fields"),
    [
        (False, "Id, Name, SystemModstamp"),
        ("true", "Id, Name, SystemModstamp, IsDeleted"),
        ("{{ params.deleted }}", "Id, Name, SystemModstamp"),
    ],
)
def test_documentation_names_the_fields_that_are_read(make_dag, include_deleted, fields):
    with make_dag():
        operator = SalesforceExportOperator(
            task_id="export",
            object_type=ObjectType("names", "Contact", ("Name",)),
            destination="file:///x",
            include_deleted=include_deleted,
        )

    assert f"SELECT {fields} FROM Contact" in operator.doc_md


def test_documentation_of_ones_own_stays(make_dag):
    with make_dag():
        operator = SalesforceExportOperator(
            task_id="export", object_type="contacts", destination="file:///x", doc_md="Mine."
        )

    assert operator.doc_md == "Mine."


@pytest.mark.parametrize("deferrable", [False, True])
def test_a_bulk_job_links_to_its_page_in_salesforce_and_every_task_to_the_connection(
    start_org, connections, make_dag, tmp_path, monkeypatch, deferrable
):
    monkeypatch.setattr(bulk_job, "FIRST_DELAY", 0.2)
    server = start_org(contacts=30)
    end_jobs_by_looks(server)
    connections(server)
    with make_dag() as dag:
        SalesforceExportTaskGroup("contacts", destination=tmp_path.as_uri(), api="bulk", deferrable=deferrable)

    dag_run, tasks = run(dag)

    assert dag_run.state == "success"
    found = {task.task_id: links(task) for task in tasks.values()}
    job = found["contacts.count"].pop("Bulk job in Salesforce")
    assert job.startswith(server.url)
    assert re.search(BULK_JOB, job)
    assert found["contacts.pages"].pop("Bulk job in Salesforce") == job
    connection = "/plugin/salesforce?conn_id=salesforce_export_default"
    assert found == {  # a folder on a worker's disk has no address
        "contacts.count": {"Salesforce connection": connection},
        "contacts.pages": {"Salesforce connection": connection},
        "contacts.publish": {"Salesforce connection": connection},
    }
    assert tasks["contacts.pages", 0].rendered_map_index == "chunk 1 of 1"


def test_the_log_tells_how_far_it_is_and_sums_up(start_org, connections, make_dag, tmp_path, caplog, monkeypatch):
    connections(start_org(contacts=3000))
    for module in (segments, progress):
        monkeypatch.setattr(module, "INTERVAL", 0)
    with make_dag() as dag:
        SalesforceExportOperator(
            task_id="export", object_type="contacts", destination=tmp_path.as_uri(), page_size=500, concurrency=1
        )

    run(dag)

    told = [line for line in caplog.messages if re.match(r"\d of \d pages, ", line)]
    assert len(told) > 2
    assert re.fullmatch(
        r"(\d) of \1 pages, 3,000 rows, \d+\.\d MB/s, \d+ API calls, \d+% of the API quota left\.", told[-1]
    )
    *_, last = (line for line in caplog.messages if not line.startswith("[DAG TEST]"))
    assert re.match(
        r"Published 3,000 rows of contacts in \d pages, \d+\.\d kB, with \d+ API calls and 0 repairs in \d+\.\d s: ",
        last,
    )


def test_the_last_line_sums_up_also_where_records_came_meanwhile(start_org, connections, make_dag, tmp_path, caplog):
    server = start_org(contacts=30)
    connections(server)

    def insert_before_the_page(_method, _path, query):
        if "SELECT" in query and "COUNT" not in query:
            server.org.before_request.remove(insert_before_the_page)
            server.org.insert("Contact", LastName="New")

    server.org.before_request.append(insert_before_the_page)
    with make_dag() as dag:
        SalesforceExportOperator(task_id="export", object_type="contacts", destination=tmp_path.as_uri())

    run(dag)

    *_, drift, last = (line for line in caplog.messages if not line.startswith("[DAG TEST]"))
    assert drift.startswith("Records came or went meanwhile: counted 30 before, 31 after; ")
    assert last.startswith("Published 31 rows of contacts in 1 page, ")
