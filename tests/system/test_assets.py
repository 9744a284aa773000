"""An export that starts another DAG, by Airflow's real scheduler; and the metrics of its real processes."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import requests

from airflow_provider_salesforce_export.demo.surroundings import as_environment, prepare_database, surroundings
from airflow_provider_salesforce_export.demo.ui import running_server, server_settings
from airflow_provider_salesforce_export.sandbox import SandboxSettings
from airflow_provider_salesforce_export.sandbox.ports import free_port
from tests.integration.api_server import PREFIX
from tests.integration.conftest import ids_in
from tests.statsd import of_ours, statsd
from tests.system.conftest import ROOT, Airflow, wait_until

pytestmark = pytest.mark.timeout(900)


def ended_runs(api, dag_id):
    """Return the runs of a DAG that have ended, once there are any."""
    path, ended = f"dags/{dag_id}/dagRuns", {"state": ["success", "failed"]}
    wait_until(lambda: api.get(path, **ended)["dag_runs"])
    return api.get(path, **ended)["dag_runs"]


def test_a_published_export_starts_the_dag_that_loads_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("dags").mkdir()
    for name in ("salesforce_contacts.py", "salesforce_load_contacts.py"):
        Path("dags", name).symlink_to(ROOT / "dags" / name)
    org_settings = SandboxSettings(contacts=2500, deals=0, notes=0)
    with (
        open("airflow.log", "w") as log,
        statsd() as (metrics_settings, metrics),
        surroundings("assets", org_settings) as around,
    ):
        port = free_port()
        environment = around.environment | as_environment(around.connections) | server_settings(port) | metrics_settings
        prepare_database(environment, log)
        with running_server(environment, port, log):
            api = Airflow(f"http://127.0.0.1:{port}")
            wait_until(lambda: api.get("dags")["total_entries"] == 2)
            (exporting,) = ended_runs(api, "salesforce_contacts")
            assert exporting["state"] == "success"
            (loading,) = ended_runs(api, "salesforce_load_contacts")
            events = api.get("assets/events")["asset_events"]
            requests.get(f"{api.url}{PREFIX}/auth/callback", params={"state": "of-nobody"}, timeout=60)
            wait_until(lambda: ("failed_callbacks", "c") in of_ours(metrics), seconds=60)
        held = set(ids_in(around))

    (manifest_file,) = around.pages.glob("contacts/*/manifest.json")
    manifest = json.loads(manifest_file.read_bytes())
    assert (loading["state"], loading["run_type"]) == ("success", "asset_triggered")
    assert [event["uri"] for event in events] == [f"{around.pages.as_uri()}/contacts"]
    assert events[0]["extra"]["manifest"] == manifest_file.as_uri()
    with closing(sqlite3.connect(environment["SALESFORCE_EXPORT_SQLITE"])) as database:
        loaded = [row[0] for row in database.execute('SELECT "Id" FROM contacts')]
    assert len(loaded) == len(held) == manifest["rows"]
    assert set(loaded) == held
    found = of_ours(metrics)
    assert found["rows", "c"] == [manifest["rows"]]
    assert len(found["page.duration", "ms"]) == len(manifest["pages"])
    assert sum(found["api_calls", "c"]) == around.org.api_calls
