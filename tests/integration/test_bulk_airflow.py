"""Exports by Bulk API 2.0 as DAGs, with Airflow's own triggerer: who waits, and what is asked for again."""

import asyncio
import json
import re
import threading
import time
from datetime import datetime, timedelta
from types import SimpleNamespace

import pytest

from airflow_provider_salesforce_export import (
    ObjectType,
    SalesforceExportHook,
    SalesforceExportOperator,
    SalesforceExportTaskGroup,
)
from airflow_provider_salesforce_export.operators import bulk_job
from airflow_provider_salesforce_export.triggers import bulk_job as bulk_job_trigger
from airflow_provider_salesforce_export.triggers.bulk_job import BulkJobTrigger
from tests.integration.conftest import TokenGate, end_jobs_by_looks, ids_in, published, run

pytestmark = pytest.mark.usefixtures("airflow_database")

BOTH = pytest.mark.parametrize("kind", [SalesforceExportTaskGroup, SalesforceExportOperator])


@pytest.fixture
def org(start_org, connections):
    server = start_org(contacts=900, bulk_chunk_size=100)
    connections(server)
    return server


@pytest.fixture(autouse=True)
def looks(monkeypatch):
    """Look at jobs sooner, and return by whom they were looked at."""
    looks = []
    look = BulkJobTrigger._look
    monkeypatch.setattr(bulk_job, "FIRST_DELAY", 0.2)
    monkeypatch.setattr(BulkJobTrigger, "_look", lambda self: looks.append("trigger") or look(self))
    sleeping = SimpleNamespace(sleep=lambda seconds: looks.append("worker") or time.sleep(seconds))
    monkeypatch.setattr(bulk_job, "time", sleeping)
    return looks


def export(kind, folder, **words):
    if kind is SalesforceExportOperator:
        words["task_id"] = "export"
    kind(**{"object_type": "contacts", "destination": folder.as_uri(), "api": "bulk"} | words)


def shown(capfd):
    captured = capfd.readouterr()
    return captured.out + captured.err


def calls(org, method, pattern):
    return sum(call.method == method and bool(re.search(pattern, call.path)) for call in org.org.calls)


@BOTH
def test_the_job_is_awaited_without_a_worker_and_deleted_when_its_rows_are_published(
    org, make_dag, tmp_path, kind, looks
):
    end_jobs_by_looks(org)
    with make_dag() as dag:
        export(kind, tmp_path)

    dag_run, _ = run(dag)

    assert dag_run.state == "success"
    assert published(tmp_path).holds_exactly(ids_in(org))
    assert set(looks) == {"trigger"}
    assert len(looks) > 1
    assert org.org.bulk_jobs.submitted == 1
    assert org.org.bulk_jobs.all() == []
    assert [name for name in published(tmp_path).files if "bulk" in name] == []
    manifest = published(tmp_path).manifest
    assert (manifest["api"], manifest["api_reason"]) == ("bulk", "api='bulk' was asked for")
    assert manifest["pagination"] == "bulk"
    assert manifest["soql"].startswith("SELECT Id, Name, Account.Name,")
    assert manifest["rows"] == manifest["count"] == manifest["count_after"] == 900
    # All but the deletion of the job, which comes after the manifest.
    assert manifest["api_calls"] == org.org.api_calls - 1


@BOTH
def test_the_job_is_awaited_in_the_worker_where_that_is_asked_for(org, make_dag, tmp_path, kind, looks):
    end_jobs_by_looks(org)
    with make_dag() as dag:
        export(kind, tmp_path, deferrable=False)

    dag_run, _ = run(dag)

    assert dag_run.state == "success"
    assert published(tmp_path).holds_exactly(ids_in(org))
    assert set(looks) == {"worker"}
    assert len(looks) > 1


@BOTH
def test_tokens_that_expire_while_the_job_runs_and_while_it_is_read_are_renewed(
    org, make_dag, tmp_path, kind, monkeypatch
):
    expired, look = [], BulkJobTrigger._look

    def expire(method, path, query):
        point = method + " " + re.sub(r".*/jobs/query/\w*", "", path)
        if "/jobs/query/" in path and points[:1] == [point]:
            expired.append(points.pop(0))
            org.org.expire_tokens()

    def expire_and_look(self):
        if "in the trigger" not in expired:
            expired.append("in the trigger")
            org.org.expire_tokens()
        return look(self)

    points = ["GET ", "GET /resultPages", "GET /results", "DELETE "]
    monkeypatch.setattr(BulkJobTrigger, "_look", expire_and_look)
    end_jobs_by_looks(org)
    org.org.before_request.append(expire)
    with make_dag() as dag:
        export(kind, tmp_path)

    dag_run, _ = run(dag)

    assert dag_run.state == "success"
    assert len(expired) == 5
    assert published(tmp_path).holds_exactly(ids_in(org))


@BOTH
def test_a_job_that_fails_shows_its_message_and_query_and_the_next_try_submits_another(
    org, make_dag, tmp_path, kind, capfd
):
    end_jobs_by_looks(org)
    org.org.bulk_jobs.fail_next("InternalServerError : Retried more than fifteen times")
    with make_dag(default_args={"retries": 1, "retry_delay": timedelta(0)}) as dag:
        export(kind, tmp_path)

    dag_run, _ = run(dag)

    assert dag_run.state == "success"
    assert published(tmp_path).holds_exactly(ids_in(org))
    assert org.org.bulk_jobs.submitted == 2
    assert re.search(
        r"BulkJobError: The Bulk query job \w+ failed at Salesforce: InternalServerError : Retried more than fifteen "
        "times. Its query: SELECT Id, Name",
        shown(capfd),
    )


@BOTH
def test_a_later_try_that_needs_no_job_leaves_none_of_an_earlier_one(org, make_dag, tmp_path, kind):
    """The first try cannot read its results; by the second one most records are gone."""

    def delete_most(method, path, query):
        if path.endswith("/resultPages"):
            org.org.before_request.remove(delete_most)
            for record_id in ids_in(org)[100:]:
                org.org.delete("Contact", record_id)

    end_jobs_by_looks(org)
    org.org.before_request.append(delete_most)
    org.org.fail_next(path_pattern="/resultPages$", status=400, body=[{"errorCode": "X", "message": "odd"}])
    with make_dag(default_args={"retries": 1, "retry_delay": timedelta(0)}) as dag:
        export(kind, tmp_path, api="auto", bulk_threshold=900)

    dag_run, _ = run(dag)

    assert dag_run.state == "success"
    assert published(tmp_path).manifest["api"] == "rest"
    assert published(tmp_path).holds_exactly(ids_in(org))
    assert org.org.bulk_jobs.submitted == 1
    assert org.org.bulk_jobs.all() == []


def test_a_job_that_takes_too_long_is_aborted(org, make_dag, tmp_path, capfd, looks, monkeypatch):
    """With each look of the trigger, two hours pass."""
    org.settings.bulk_seconds = 600

    def now(zone):
        return datetime.now(zone) + timedelta(hours=2 * len(looks))

    def have_all_records(method, path, query):
        TokenGate.wait_until(lambda: all(job.written for job in org.org.bulk_jobs.all()))

    for module in (bulk_job, bulk_job_trigger):
        monkeypatch.setattr(module, "datetime", SimpleNamespace(now=now, fromisoformat=datetime.fromisoformat))
    org.org.before_request.append(have_all_records)
    with make_dag() as dag:
        export(SalesforceExportTaskGroup, tmp_path, bulk_timeout=3600)

    dag_run, _ = run(dag)

    assert dag_run.state == "failed"
    assert looks == ["trigger"]
    assert [job.state for job in org.org.bulk_jobs.all()] == ["Aborted"]
    told = shown(capfd)
    assert re.search(r"Waiting for the Bulk job \w+, which is \w+, until \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC\.", told)
    assert re.search(r"was not complete after 1:00:00, and was aborted.*900 records so far.*Raise bulk_timeout", told)


def test_a_job_that_somebody_aborts_is_not_awaited_for_ever(org, make_dag, tmp_path, capfd):
    org.settings.bulk_seconds = 600

    def abort(method, path, query):
        if "/jobs/query/" in path:
            for job in org.org.bulk_jobs.all():
                job.aborted = True

    org.org.before_request.append(abort)
    with make_dag() as dag:
        export(SalesforceExportTaskGroup, tmp_path)

    dag_run, _ = run(dag)

    assert dag_run.state == "failed"
    assert re.search(r"The Bulk query job \w+ was aborted, by a user in Salesforce", shown(capfd))


def test_passing_failures_do_not_end_the_waiting(org, make_dag, tmp_path, looks):
    end_jobs_by_looks(org)
    # Two looks and all their repetitions fail.
    org.org.fail_next(path_pattern=r"/jobs/query/\w+$", status=503, headers={"Retry-After": "0"}, times=10, after=1)
    with make_dag() as dag:
        export(SalesforceExportTaskGroup, tmp_path)

    dag_run, _ = run(dag)

    assert dag_run.state == "success"
    assert set(looks) == {"trigger"}
    assert len(looks) > 2
    assert published(tmp_path).holds_exactly(ids_in(org))


@pytest.mark.parametrize(
    ("words", "api", "reason"),
    [
        ({"bulk_threshold": 900}, "bulk", "not fewer rows than bulk_threshold=900"),
        ({"bulk_threshold": "{{ 901 }}"}, "rest", "fewer rows than bulk_threshold=901"),
        ({"bulk_threshold": 1, "pagination": "range"}, "rest", "pagination='range' was asked for"),
        ({"api": "rest", "bulk_threshold": 1}, "rest", "api='rest' was asked for"),
        (
            {"object_type": ObjectType("contacts", "Contact", ("MailingAddress",)), "bulk_threshold": 1},
            "rest",
            "Bulk API 2.0 cannot read MailingAddress (address)",
        ),
    ],
)
def test_the_api_is_chosen_and_the_manifest_says_why(org, make_dag, tmp_path, words, api, reason, caplog):
    with make_dag() as dag:
        export(SalesforceExportTaskGroup, tmp_path, **{"api": "auto"} | words)

    dag_run, _ = run(dag)

    assert dag_run.state == "success"
    manifest = published(tmp_path).manifest
    assert (manifest["api"], manifest["api_reason"]) == (api, reason)
    name = {"rest": "REST", "bulk": "Bulk API 2.0"}[api]
    assert f"900 rows, to be read by {name}: {reason}" in caplog.text
    assert published(tmp_path).holds_exactly(ids_in(org))


def test_an_object_that_bulk_refuses_is_read_by_rest(org, make_dag, tmp_path):
    refusal = [{"errorCode": "API_ERROR", "message": "Entity 'Contact' is not supported by the Bulk API."}]
    org.org.fail_next(path_pattern=r"/jobs/query$", status=400, body=refusal)
    with make_dag() as dag:
        export(SalesforceExportTaskGroup, tmp_path, api="auto", bulk_threshold=1)

    dag_run, _ = run(dag)

    assert dag_run.state == "success"
    manifest = published(tmp_path).manifest
    assert manifest["api"] == "rest"
    assert manifest["api_reason"].startswith(
        "Bulk API 2.0 refuses the query: Salesforce answered 400 API_ERROR: Entity"
    )
    assert published(tmp_path).holds_exactly(ids_in(org))


def test_an_object_that_bulk_refuses_fails_at_once_where_bulk_was_asked_for(org, make_dag, tmp_path, capfd):
    refusal = [{"errorCode": "API_ERROR", "message": "Entity 'Contact' is not supported by the Bulk API."}]
    org.org.fail_next(path_pattern=r"/jobs/query$", status=400, body=refusal)
    with make_dag(default_args={"retries": 3, "retry_delay": timedelta(0)}) as dag:
        export(SalesforceExportTaskGroup, tmp_path)

    dag_run, instances = run(dag)

    assert dag_run.state == "failed"
    assert instances["contacts.count", -1].try_number == 1
    assert "Entity 'Contact' is not supported by the Bulk API." in shown(capfd)


def test_without_rows_no_job_is_submitted(org, make_dag, tmp_path):
    with make_dag() as dag:
        export(SalesforceExportTaskGroup, tmp_path, object_type="notes")

    dag_run, _ = run(dag)

    assert dag_run.state == "success"
    assert org.org.bulk_jobs.submitted == 0
    assert published(tmp_path, "notes").manifest["rows"] == 0


def test_a_killed_task_aborts_its_job(org, make_dag, tmp_path, monkeypatch):
    """Airflow calls ``on_kill`` in the task's process, where it is in the middle of waiting."""
    org.settings.bulk_seconds = 600
    with make_dag() as dag:
        export(SalesforceExportOperator, tmp_path, deferrable=False)

    def killed(seconds):
        running[0].on_kill()

    running = []
    execute = SalesforceExportOperator.execute

    def note(self, context):
        running[:] = [self]
        return execute(self, context)

    monkeypatch.setattr(SalesforceExportOperator, "execute", note)
    monkeypatch.setattr(bulk_job, "time", SimpleNamespace(sleep=killed))
    dag_run, _ = run(dag)

    assert dag_run.state == "failed"
    assert [job.state for job in org.org.bulk_jobs.all()] == ["Aborted"]


def test_a_killed_deferred_task_aborts_its_job(org):
    org.settings.bulk_seconds = 600
    with SalesforceExportHook() as hook:
        job_id = hook.client.bulk.submit("SELECT Id FROM Contact")
    path, arguments = BulkJobTrigger(
        "salesforce_export_default", job_id, "2100-01-01T00:00:00+00:00", 5.0, {}
    ).serialize()
    assert path == "airflow_provider_salesforce_export.triggers.bulk_job.BulkJobTrigger"
    assert json.loads(json.dumps(arguments)) == arguments

    asyncio.run(BulkJobTrigger(**arguments).on_kill())

    assert [job.state for job in org.org.bulk_jobs.all()] == ["Aborted"]


def test_a_trigger_that_is_killed_while_it_looks_at_its_job_knows_why(org):
    """Airflow calls ``on_kill`` only where the message of its cancellation comes back."""
    looking, go_on = threading.Event(), threading.Event()

    def hold(method, path, query):
        if "/jobs/query/" in path:
            looking.set()
            go_on.wait(60)

    async def messages(trigger):
        try:
            async for _ in trigger.run():
                pass
        except asyncio.CancelledError as error:
            return error.args

    async def kill():
        trigger = BulkJobTrigger(
            "salesforce_export_default", "750000000000001AAA", "2100-01-01T00:00:00+00:00", 0.0, {}
        )
        waiting = asyncio.create_task(messages(trigger))
        try:
            assert await asyncio.to_thread(looking.wait, 60)
            waiting.cancel("user-action")
            return await waiting
        finally:
            go_on.set()

    org.org.before_request.append(hold)

    assert asyncio.run(kill()) == ("user-action",)
