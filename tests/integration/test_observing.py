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
from airflow_provider_salesforce_export.exceptions import LoginRequiredError
from airflow_provider_salesforce_export.key_collection.key import Account
from tests.integration.api_server import outcome
from tests.integration.conftest import published
from tests.statsd import of_ours, statsd

pytestmark = pytest.mark.usefixtures("airflow_database")

DAG_FILE = """
import os

from airflow.sdk import DAG
from airflow_provider_salesforce_export import SalesforceExportTaskGroup

with DAG("observed"):
    SalesforceExportTaskGroup("contacts", destination=os.environ["DESTINATION"], page_size=500, pagination="range")
"""


@pytest.fixture
def run_observed(tmp_path):
    """Run an export as ``airflow dags test`` does, in a process of its own; return what it logs."""

    def run_observed(**settings):
        (tmp_path / "dags").mkdir(exist_ok=True)
        (tmp_path / "dags" / "observed.py").write_text(DAG_FILE)
        environment = os.environ | {
            "AIRFLOW__CORE__DAGS_FOLDER": str(tmp_path / "dags"),
            "DESTINATION": (tmp_path / "lake").as_uri(),
            **settings,
        }
        command = [sys.executable, "-m", "airflow", "dags", "test", "observed"]
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout + ended.stderr

    return run_observed


def test_an_export_tells_airflow_s_metrics_what_it_did(start_org, connections, run_observed, tmp_path):
    server = start_org(contacts=3000, api_quota=1000)
    connections(server)
    server.org.expire_tokens_after(4)

    with statsd() as (settings, metrics):
        logged = run_observed(**settings)

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


def test_openlineage_is_told_of_the_object_the_folder_and_the_query(start_org, connections, run_observed, tmp_path):
    server = start_org(contacts=1200)
    connections(server)
    events = tmp_path / "lineage.jsonl"

    run_observed(
        AIRFLOW__OPENLINEAGE__TRANSPORT=json.dumps({"type": "file", "log_file_path": str(events), "append": True})
    )

    manifest = published(tmp_path / "lake").manifest
    (event,) = [
        event
        for event in map(json.loads, events.read_text().splitlines())
        if event["eventType"] == "COMPLETE" and event["job"]["name"] == "observed.contacts.publish"
    ]
    (read,), (written,) = event["inputs"], event["outputs"]
    assert (read["namespace"], read["name"]) == (f"salesforce://{server.url.partition('://')[2]}", "Contact")
    assert (written["namespace"], written["name"]) == ("file", str(tmp_path / "lake" / "contacts"))
    assert event["job"]["facets"]["sql"]["query"] == manifest["soql"]
    statistics = written["outputFacets"]["outputStatistics"]
    assert (statistics["rowCount"], statistics["size"]) == (1200, manifest["bytes"])
    fields = {field["name"]: field.get("type") for field in written["facets"]["schema"]["fields"]}
    assert fields == {column["path"]: column["type"] for column in manifest["columns"]}


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
