"""What others see of an export: metrics at a real StatsD socket, lineage by OpenLineage's own provider, and the log."""

import json
import logging
import os
import re
import subprocess
import sys
from collections import Counter

import pytest

from airflow_provider_salesforce_export import SalesforceExportHook
from airflow_provider_salesforce_export.exceptions import LoginRequiredError, QueryError, QuotaReachedError
from airflow_provider_salesforce_export.key_collection.key import Account
from airflow_provider_salesforce_export.salesforce import query_log
from tests.integration.api_server import outcome
from tests.integration.conftest import ids_in, published
from tests.statsd import of_ours, statsd

pytestmark = pytest.mark.usefixtures("airflow_database")

DAG_FILE = """
import os

from airflow.sdk import DAG
from airflow_provider_salesforce_export import SalesforceExportOperator, SalesforceExportTaskGroup

lake = os.environ["DESTINATION"]

with DAG("observed"):
"""
BY_RANGES = 'SalesforceExportTaskGroup("contacts", destination=lake, page_size=500, pagination="range")'
IN_TASKS = 'SalesforceExportTaskGroup("contacts", destination=lake, page_size=500)'
IN_ONE_TASK = 'SalesforceExportOperator(task_id="export", object_type="contacts", destination=lake, page_size=500)'


@pytest.fixture
def run_observed(tmp_path):
    """Run exports as ``airflow dags test`` does, in a process of its own; return what it logs."""

    def run_observed(*exports, fails=False, **settings):
        (tmp_path / "dags").mkdir(exist_ok=True)
        (tmp_path / "dags" / "observed.py").write_text(DAG_FILE + "".join(f"    {export}\n" for export in exports))
        environment = os.environ | {
            "AIRFLOW__CORE__DAGS_FOLDER": str(tmp_path / "dags"),
            "DESTINATION": (tmp_path / "lake").as_uri(),
            **settings,
        }
        command = [sys.executable, "-m", "airflow", "dags", "test", "observed"]
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
        assert bool(ended.returncode) == fails, ended.stdout + ended.stderr
        return ended.stdout + ended.stderr

    return run_observed


def test_an_export_tells_airflow_s_metrics_what_it_did(start_org, connections, run_observed, tmp_path):
    server = start_org(contacts=3000, api_quota=1000)
    connections(server)
    server.org.expire_tokens_after(4)

    with statsd() as (settings, metrics):
        logged = run_observed(BY_RANGES, **settings)

    found, manifest = of_ours(metrics), published(tmp_path / "lake").manifest
    pages = len(manifest["pages"])
    counters = {name: sum(values) for (name, kind), values in found.items() if kind == "c"}
    assert counters == {
        "exports": 1,
        "rows": 3000,
        "pages": pages,
        "bytes": manifest["bytes"],
        "repairs": 0,
        "api_calls": server.org.api_calls + counters["unauthorized"],  # a refused call is none to the org's quota
        "unauthorized": counters["unauthorized"],
        "renewals": 1,
    }
    assert counters["unauthorized"] >= 1
    assert len(found["page.duration", "ms"]) == pages
    assert len(found["query.duration", "ms"]) >= pages
    in_log = [1000 * float(seconds) for seconds in re.findall(r"Page .+ rows, .+ kB, ([\d.]+) s\.", logged)]
    assert sorted(found["page.duration", "ms"]) == pytest.approx(sorted(in_log), abs=5.1)
    assert found["export.duration", "ms"] == [pytest.approx(1000 * manifest["seconds"], abs=1)]
    assert min(found["api_quota_left", "g"]) == 1000 - server.org.api_calls
    assert min(found["api_quota_left_percent", "g"]) == round(100 - server.org.api_calls / 10, 1)


def test_repairs_and_the_seconds_of_bulk_jobs_are_told(start_org, connections, run_observed, tmp_path):
    server = start_org(contacts=900, deals=50)
    connections(server)
    first = min(ids_in(server))

    def delete_before_the_second_page(_method, _path, query):
        if "OFFSET" in query and first in ids_in(server):
            server.org.delete("Contact", first)

    server.org.before_request.append(delete_before_the_second_page)
    with statsd() as (settings, metrics):
        run_observed(
            'SalesforceExportTaskGroup("contacts", destination=lake, page_size=500, concurrency=1, max_page_tasks=1)',
            'SalesforceExportTaskGroup("deals", destination=lake, api="bulk")',
            **settings,
        )

    found = of_ours(metrics)
    assert len(published(tmp_path / "lake").manifest["repairs"]) == 1
    assert sorted(found["repairs", "c"]) == [0, 1]
    (duration,) = found["bulk_job.duration", "ms"]
    whole = published(tmp_path / "lake", "deals").manifest["seconds"]
    assert 0 < duration < 1000 * whole


def test_the_log_tells_seconds_rows_and_bytes_of_each_query_and_no_token(start_org, client_of, keys, caplog):
    server = start_org(contacts=2300)
    client, soql = client_of(server), "SELECT Id, Name FROM Contact ORDER BY Id"
    caplog.set_level(logging.DEBUG, logger="airflow_provider_salesforce_export")

    assert client.count("SELECT COUNT() FROM Contact") == 2300
    assert sum(map(len, client.query(soql))) == 2300

    lines = [record.message for record in caplog.records if record.message.startswith("Query: ")]
    told = [re.fullmatch(r"Query: [\d.]+ s, (\d+) rows, (\d+) bytes: (.+)", line).groups() for line in lines]
    assert [(rows, query) for rows, _, query in told] == [
        ("0", "SELECT COUNT() FROM Contact"),
        ("2000", soql),
        ("300", "what followed"),
    ]
    assert int(told[1][1]) > 2000 * len("003000000000000AAA")
    key = keys.find(Account(server.settings.client_id, server.url.partition("://")[2]))
    assert key.token["access_token"] not in caplog.text


@pytest.mark.parametrize(("slow", "level"), [(0.0, logging.INFO), (60.0, logging.DEBUG)])
def test_a_slow_query_is_told_to_everybody(start_org, client_of, caplog, monkeypatch, slow, level):
    monkeypatch.setattr(query_log, "SLOW", slow)
    client = client_of(start_org(contacts=3))
    caplog.set_level(logging.DEBUG, logger="airflow_provider_salesforce_export")

    client.count("SELECT COUNT() FROM Contact")

    (told,) = (record for record in caplog.records if record.message.startswith("Query: "))
    assert told.levelno == level


def test_the_log_names_a_query_that_failed(start_org, client_of, caplog):
    client, soql = client_of(start_org(contacts=3)), "SELECT Id, Nmae FROM Contact"
    caplog.set_level(logging.INFO, logger="airflow_provider_salesforce_export")

    with pytest.raises(QueryError, match="Nmae"):
        list(client.query(soql))

    (told,) = (message for message in caplog.messages if message.startswith("Query: "))
    assert re.fullmatch(rf"Query: failed after [\d.]+ s: {soql}", told)


def test_a_query_that_was_not_sent_has_not_failed(start_org, client_of, caplog):
    client = client_of(start_org(contacts=3, api_quota=10), api_quota_limit=0.1)
    caplog.set_level(logging.DEBUG, logger="airflow_provider_salesforce_export")
    client.describe("Contact")  # tells how many calls were made

    with pytest.raises(QuotaReachedError):
        client.count("SELECT COUNT() FROM Contact")

    assert not [message for message in caplog.messages if message.startswith("Query: ")]


@pytest.fixture
def lineage_of(run_observed, tmp_path):
    """Run an export; return the last event of each kind that OpenLineage is told of a task."""
    events = tmp_path / "lineage.jsonl"
    transport = json.dumps({"type": "file", "log_file_path": str(events), "append": True})

    def lineage_of(task, export, **outcome):
        run_observed(export, **outcome, AIRFLOW__OPENLINEAGE__TRANSPORT=transport)
        told = map(json.loads, events.read_text().splitlines())
        return {event["eventType"]: event for event in told if event["job"]["name"] == f"observed.{task}"}

    return lineage_of


def ends(event):
    """Return what an event names as read and as written."""
    return [[(end["namespace"], end["name"]) for end in event[side]] for side in ("inputs", "outputs")]


def ends_of(server, folder):
    """Return the one object of an org that is read, and the one folder that is filled."""
    return [[(f"salesforce://{server.url.partition('://')[2]}", "Contact")], [("file", str(folder / "contacts"))]]


@pytest.mark.parametrize(("task", "export"), [("contacts.publish", IN_TASKS), ("export", IN_ONE_TASK)])
def test_openlineage_is_told_of_the_object_the_folder_and_the_query(
    task, export, start_org, connections, lineage_of, tmp_path
):
    server = start_org(contacts=1200)
    connections(server)

    told = lineage_of(task, export)

    event, manifest = told["COMPLETE"], published(tmp_path / "lake").manifest
    assert ends(event) == ends_of(server, tmp_path / "lake")
    assert event["job"]["facets"]["sql"]["query"] == manifest["soql"]
    (read,), (written,) = event["inputs"], event["outputs"]
    statistics = written["outputFacets"]["outputStatistics"]
    assert (statistics["rowCount"], statistics["size"]) == (1200, manifest["bytes"])
    for end in (read, written):
        fields = {field["name"]: field.get("type") for field in end["facets"]["schema"]["fields"]}
        assert fields == {column["path"]: column["type"] for column in manifest["columns"]}
    # A task that plans does not know at its start where the org is, but where its files go.
    assert ends(told["START"])[1] == ends(event)[1]
    assert ends(told["START"])[0] == (ends(event)[0] if task == "contacts.publish" else [])


@pytest.mark.parametrize(("task", "export"), [("contacts.publish", IN_TASKS), ("export", IN_ONE_TASK)])
def test_openlineage_is_told_of_both_ends_of_an_export_that_fails_too(
    task, export, start_org, connections, lineage_of, tmp_path
):
    server = start_org(contacts=1200)
    connections(server)
    refusal = [{"errorCode": "INVALID_FIELD", "message": "No such column."}]
    server.org.fail_next(100, status=400, body=refusal, path_pattern="COUNT", after=1)  # all but the one that plans

    event = lineage_of(task, export, fails=True)["FAIL"]

    assert not list((tmp_path / "lake").rglob("manifest.json"))
    assert ends(event) == ends_of(server, tmp_path / "lake")
    assert "outputStatistics" not in event["outputs"][0].get("outputFacets", {})


@pytest.fixture
def counted(monkeypatch):
    """What the counters of this process are told: name and tags, and how much."""
    counted = Counter()

    class Stats:
        @staticmethod
        def incr(name, count, *, tags):
            counted[(name, *sorted(tags.items()))] += count

        @staticmethod
        def gauge(name, value, *, tags):
            pass

        timing = gauge

    monkeypatch.setattr("airflow_provider_salesforce_export.metrics.Stats", Stats)
    return counted


CONN_ID = ("conn_id", "salesforce_export_default")


def test_logins_and_callbacks_that_fail_are_counted(start_org, connections, browser, database, counted):
    connections(start_org())
    database["integrations.salesforce.key"].delete_many({})
    op = browser("op")

    assert outcome(op.log_in(decision="deny"))[1]["salesforce"] == "error"
    assert op.get("auth/callback", params={"state": "of-nobody"}).status_code == 400
    assert outcome(op.log_in())[1]["salesforce"] == "connected"

    assert counted == {
        ("salesforce_export.failed_callbacks", CONN_ID): 1,
        ("salesforce_export.failed_callbacks",): 1,
        ("salesforce_export.logins", CONN_ID): 1,
    }


def test_a_key_that_needs_a_login_is_counted_each_time_that_a_task_finds_it(start_org, connections, counted):
    server = start_org()
    connections(server)
    server.org.expire_tokens()
    server.org.revoke_grants()

    for _ in range(2):
        with SalesforceExportHook() as hook, pytest.raises(LoginRequiredError):
            hook.count("SELECT COUNT() FROM Contact")

    assert counted == {
        ("salesforce_export.unauthorized", CONN_ID): 1,
        ("salesforce_export.failed_renewals", CONN_ID): 1,
        ("salesforce_export.login_required", CONN_ID): 2,
    }
