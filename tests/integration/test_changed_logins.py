"""Somebody logs in as another user, or into another org, in the middle of an export: it never holds rows of both."""

import re
from dataclasses import replace
from datetime import timedelta

import pytest

from airflow_provider_salesforce_export import SalesforceExportOperator, SalesforceExportTaskGroup
from airflow_provider_salesforce_export.exceptions import LoginChangedError
from airflow_provider_salesforce_export.export.bulk_job import start_job
from airflow_provider_salesforce_export.export.plan import Plan
from airflow_provider_salesforce_export.export.planning import make_plan
from airflow_provider_salesforce_export.export.publish import publish
from airflow_provider_salesforce_export.export.segments import export_segments
from airflow_provider_salesforce_export.key_collection.key import Account
from airflow_provider_salesforce_export.key_collection.stored_token import StoredToken
from airflow_provider_salesforce_export.operators import bulk_job
from airflow_provider_salesforce_export.salesforce.client import SalesforceClient
from airflow_provider_salesforce_export.salesforce.grants import RefreshTokenGrant
from airflow_provider_salesforce_export.salesforce.oauth import TokenEndpoint
from tests.integration.conftest import Export, end_jobs_by_looks, ids_in, published, request_for, run

BOTH = pytest.mark.parametrize("pagination", ["range", "offset"])


@pytest.fixture
def org(start_org):
    return start_org(contacts=600, seed=1)


@pytest.fixture
def other_org(start_org):
    return start_org(contacts=600, seed=2)


@pytest.fixture
def new_client(org, keys):
    """Return the client of another worker, which reads the key by itself."""

    def new_client():
        endpoint = TokenEndpoint(org.url, org.settings.client_id, org.settings.client_secret)
        return SalesforceClient(StoredToken(keys, account_of(org), endpoint, RefreshTokenGrant()))

    return new_client


@pytest.fixture
def log_in_again(org, other_org, keys):
    """Store the key of another login in the place of the one before."""

    def log_in_again(who):
        if who == "another user":
            org.org.oauth.user_id = other_user(org)
        server = other_org if who == "another org" else org
        keys.save(account_of(org), server.org.issue_token())

    return log_in_again


def account_of(server):
    return Account(server.settings.client_id, server.url.partition("://")[2])


def other_user(server):
    return sorted(ids_in(server, "User"))[1]


def read(client, plan, segments, folder):
    return export_segments(client, replace(plan, segments=segments), folder, threads=2, attempt=1)


def data_calls(server):
    return sum(call.path.startswith("/services/data/") for call in server.org.calls)


@BOTH
@pytest.mark.parametrize("who", ["another org", "another user"])
def test_other_workers_read_nothing_as_somebody_else(
    org, other_org, log_in, log_in_again, new_client, tmp_path, pagination, who
):
    log_in(org)
    began_as = org.org.oauth.user_id
    plan = make_plan(new_client(), request_for(page_size=100, pagination=pagination), readers=4, run_id="run")
    half = len(plan.segments) // 2
    assert half
    done = read(new_client(), plan, plan.segments[:half], tmp_path)
    log_in_again(who)
    calls = data_calls(org)

    with pytest.raises(LoginChangedError, match="began as") as caught:
        read(new_client(), plan, plan.segments[half:], tmp_path)
    with pytest.raises(LoginChangedError):
        publish(new_client(), tmp_path, plan, done, api_calls=0)

    users = re.findall(r"user (005\w{12}) of org (00D\w{12})\b", str(caught.value))
    now = other_org if who == "another org" else org
    assert users == [
        (began_as[:15], org.org.oauth.organization_id[:15]),
        (now.org.oauth.user_id[:15], now.org.oauth.organization_id[:15]),
    ]
    assert users[0] != users[1]
    assert data_calls(org) == calls
    assert data_calls(other_org) == 0
    assert not (tmp_path / "manifest.json").exists()


@BOTH
def test_after_a_login_as_before_the_export_goes_on(org, log_in, log_in_again, new_client, tmp_path, pagination):
    log_in(org)
    plan = make_plan(new_client(), request_for(page_size=100, pagination=pagination), readers=4, run_id="run")
    half = len(plan.segments) // 2
    done = read(new_client(), plan, plan.segments[:half], tmp_path)
    log_in_again("another org")
    with pytest.raises(LoginChangedError):
        read(new_client(), plan, plan.segments[half:], tmp_path)

    log_in_again("the same user")
    done += read(new_client(), plan, plan.segments[half:], tmp_path)
    publish(new_client(), tmp_path, plan, done, api_calls=0)

    assert Export(tmp_path).holds_exactly(ids_in(org))


@BOTH
@pytest.mark.parametrize("who", ["another org", "another user"])
def test_a_token_that_expires_is_not_replaced_by_somebody_elses(
    org, other_org, log_in, log_in_again, new_client, tmp_path, pagination, who
):
    log_in(org)
    client = new_client()
    plan = make_plan(client, request_for(page_size=100, pagination=pagination), readers=4, run_id="run")
    half = len(plan.segments) // 2
    read(client, plan, plan.segments[:half], tmp_path)
    org.org.expire_tokens()
    log_in_again(who)
    org.org.calls.clear()

    with pytest.raises(LoginChangedError):
        read(client, plan, plan.segments[half:], tmp_path)

    assert {call.status for call in org.org.calls} == {401}
    assert data_calls(other_org) == 0


def test_ranges_are_not_counted_as_somebody_else_than_all_rows(org, other_org, log_in, log_in_again, new_client):
    log_in(org)

    def after_the_count(_method, _path, query):
        if "MIN" in query:
            org.org.before_request.clear()
            org.org.before_request.append(lambda *_: org.org.expire_tokens())
            log_in_again("another org")

    org.org.before_request.append(after_the_count)

    with pytest.raises(LoginChangedError):
        make_plan(new_client(), request_for(page_size=100, pagination="range"), readers=4, run_id="run")
    assert data_calls(other_org) == 0


def test_a_client_that_exports_nothing_goes_on_with_any_login(org, other_org, log_in, log_in_again, new_client):
    log_in(org)
    client = new_client()
    client.count("SELECT COUNT() FROM Contact")
    other_org.org.insert("Contact", LastName="One more")
    org.org.expire_tokens()
    log_in_again("another org")

    assert client.count("SELECT COUNT() FROM Contact") == 601


def test_a_client_may_plan_anew_with_another_login(org, other_org, log_in, log_in_again, new_client):
    log_in(org)
    client = new_client()
    plan = make_plan(client, request_for(), readers=4, run_id="run")
    org.org.expire_tokens()
    log_in_again("another org")
    with pytest.raises(LoginChangedError):
        client.count("SELECT COUNT() FROM Contact")

    again = make_plan(client, request_for(), readers=4, run_id="run")

    assert again.identity.split("/")[0] == other_org.org.oauth.organization_id[:15] != plan.identity.split("/")[0]


def test_a_token_that_does_not_say_whose_it_is_is_compared_with_nothing(org, keys, new_client, tmp_path):
    """The Node service that this package replaces may have stored it; renewed, it says so."""
    token = org.org.issue_token()
    del token["id"]
    keys.save(account_of(org), token)
    plan = make_plan(new_client(), request_for(page_size=100), readers=4, run_id="run")
    assert plan.identity is None
    org.org.expire_tokens()

    client = new_client()
    pages = export_segments(client, plan, tmp_path, threads=2, attempt=1)
    publish(client, tmp_path, plan, pages, api_calls=0)

    assert client.identity == f"{org.org.oauth.organization_id[:15]}/{org.org.user_id[:15]}"
    assert Export(tmp_path).holds_exactly(ids_in(org))


def test_the_plan_of_an_older_version_is_read_with_any_login(org, log_in, new_client, tmp_path):
    log_in(org)
    plan = make_plan(new_client(), request_for(page_size=100), readers=4, run_id="run")
    plain = plan.to_dict()
    del plain["identity"]

    plan = replace(Plan.from_dict(plain), segments=plan.segments)
    pages = export_segments(new_client(), plan, tmp_path, threads=2, attempt=1)

    assert sum(page["rows"] for page in pages) == 600


def started(client, folder):
    """Return the plan of a try that has its Bulk job."""
    plan = make_plan(client, replace(request_for(), api="bulk"), readers=4, run_id="run")
    return start_job(client, plan, folder, bulk_timeout=timedelta(hours=1), by_rest=None)


@pytest.mark.parametrize("who", ["another org", "another user", "the same user"])
def test_the_job_of_another_login_is_not_taken_up(org, other_org, log_in, log_in_again, new_client, tmp_path, who):
    log_in(org)
    started(new_client(), tmp_path)
    log_in_again(who)
    plan = started(new_client(), tmp_path)

    submitted = {"the same user": (1, 0), "another user": (2, 0), "another org": (1, 1)}
    assert (org.org.bulk_jobs.submitted, other_org.org.bulk_jobs.submitted) == submitted[who]
    at = other_org if who == "another org" else org
    assert plan.job.id in {job.id for job in at.org.bulk_jobs.all()}


def test_a_job_that_another_user_may_not_touch_stays_and_does_not_stop_the_export(
    org, log_in, log_in_again, new_client, tmp_path, caplog
):
    log_in(org)
    first = started(new_client(), tmp_path)
    log_in_again("another user")
    refusal = [{"message": "insufficient access rights on cross-reference id", "errorCode": "INSUFFICIENT_ACCESS"}]
    org.org.fail_next(times=2, status=403, body=refusal, path_pattern=f"/jobs/query/{first.job.id}$")

    second = started(new_client(), tmp_path)

    assert second.job.id != first.job.id
    assert f"The Bulk job {first.job.id} goes on at Salesforce" in caplog.text
    assert f"The Bulk job {first.job.id} stays at Salesforce for now" in caplog.text


@pytest.mark.usefixtures("airflow_database")
@pytest.mark.parametrize("who", ["another org", "another user"])
def test_the_page_tasks_fail_at_once_and_say_what_to_do(
    org, other_org, connections, log_in_again, make_dag, tmp_path, capfd, who
):
    connections(org)
    read_before = []

    def after_the_first_page(_method, _path, query):
        if "OFFSET" in query and not read_before:
            read_before.append(query)
            log_in_again(who)

    org.org.before_request.append(after_the_first_page)
    with make_dag(default_args={"retries": 3, "retry_delay": timedelta(0)}) as dag:
        SalesforceExportTaskGroup("contacts", destination=tmp_path.as_uri(), page_size=100, concurrency=1)

    dag_run, tasks = run(dag)

    assert dag_run.state == "failed"
    pages = [tasks["contacts.pages", index] for index in range(6)]
    assert {page.state for page in pages} == {"success", "failed"}
    assert {page.try_number for page in pages} == {1}
    assert tasks["contacts.publish", -1].state == "upstream_failed"
    assert data_calls(other_org) == 0
    captured = capfd.readouterr()
    assert "clear the task that counts, to export anew with the present login" in captured.out + captured.err

    org.org.before_request.clear()
    dag_run, _ = run(dag, logical_date=dag_run.logical_date)  # all of its tasks anew
    assert dag_run.state == "success"
    assert published(tmp_path).holds_exactly(ids_in(other_org if who == "another org" else org))


@pytest.mark.usefixtures("airflow_database")
@pytest.mark.parametrize("kind", [SalesforceExportTaskGroup, SalesforceExportOperator])
def test_a_task_that_waited_for_its_job_knows_who_submitted_it(
    org, other_org, connections, log_in_again, make_dag, tmp_path, capfd, monkeypatch, kind
):
    monkeypatch.setattr(bulk_job, "FIRST_DELAY", 0.2)
    end_jobs_by_looks(org, running=1)
    connections(org)

    def when_it_is_looked_at(method, path, _query):
        if method == "GET" and "/jobs/query/" in path:
            org.org.before_request.remove(when_it_is_looked_at)
            log_in_again("another user")

    org.org.before_request.append(when_it_is_looked_at)
    words = {"task_id": "export"} if kind is SalesforceExportOperator else {}
    with make_dag(default_args={"retries": 3, "retry_delay": timedelta(0)}) as dag:
        kind(object_type="contacts", destination=tmp_path.as_uri(), api="bulk", **words)

    dag_run, tasks = run(dag)

    assert dag_run.state == "failed"
    task = tasks["export" if words else "contacts.count", -1]
    assert (task.state, task.try_number) == ("failed", 1)
    captured = capfd.readouterr()
    assert "The login changed during this export" in captured.out + captured.err
    assert not any("/results" in call.path for call in org.org.calls)


@pytest.mark.usefixtures("airflow_database")
def test_one_task_for_all_fails_at_once_where_its_token_expires_and_the_login_changed(
    org, other_org, connections, log_in_again, make_dag, tmp_path, capfd
):
    connections(org)

    def before_a_page(_method, _path, query):
        if "LIMIT" in query:
            org.org.before_request.clear()
            org.org.expire_tokens()
            log_in_again("another org")

    org.org.before_request.append(before_a_page)
    with make_dag(default_args={"retries": 3, "retry_delay": timedelta(0)}) as dag:
        SalesforceExportOperator(
            task_id="export", object_type="contacts", destination=tmp_path.as_uri(), page_size=100, pagination="range"
        )

    dag_run, tasks = run(dag)

    assert dag_run.state == "failed"
    assert tasks["export", -1].try_number == 1
    assert data_calls(other_org) == 0
    captured = capfd.readouterr()
    assert "The login changed during this export" in captured.out + captured.err
    assert not list(tmp_path.rglob("manifest.json"))
