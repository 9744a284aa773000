"""One key for all of Airflow's processes: real worker, triggerer and API server renew it, and none shows a secret."""

import json
import sqlite3
from contextlib import closing
from datetime import datetime, timezone
from threading import Event
from types import SimpleNamespace

import pytest
import requests
from cryptography.fernet import Fernet
from pymongo import MongoClient

from airflow_provider_salesforce_export.demo.surroundings import (
    DATABASE,
    as_environment,
    prepare_database,
    surroundings,
)
from airflow_provider_salesforce_export.demo.ui import running_server, server_settings
from airflow_provider_salesforce_export.key_collection.collection import DEFAULT_COLLECTION, KeyCollection
from airflow_provider_salesforce_export.key_collection.encryption import KeyEncryption
from airflow_provider_salesforce_export.key_collection.key import Account
from airflow_provider_salesforce_export.operators.count import AIRFLOW_V_3_3_PLUS
from airflow_provider_salesforce_export.sandbox import SandboxSettings
from airflow_provider_salesforce_export.sandbox.ports import free_port
from tests.system.conftest import Airflow, wait_until

RENEWING = """
from airflow.sdk import BaseOperator
from airflow.triggers.base import BaseTrigger, TriggerEvent
from asgiref.sync import sync_to_async

from airflow_provider_salesforce_export import SalesforceExportHook


def renew_and_count(conn_id):
    with SalesforceExportHook(conn_id) as hook:
        hook.renew()
        return hook.count("SELECT COUNT() FROM Contact")


class RenewTrigger(BaseTrigger):
    def __init__(self, conn_id):
        super().__init__()
        self.conn_id = conn_id

    def serialize(self):
        return "renewing.RenewTrigger", {"conn_id": self.conn_id}

    async def run(self):
        yield TriggerEvent(await sync_to_async(renew_and_count)(self.conn_id))


class RenewInTriggerer(BaseOperator):
    def __init__(self, conn_id, **arguments):
        super().__init__(**arguments)
        self.conn_id = conn_id

    def execute(self, context):
        self.defer(trigger=RenewTrigger(self.conn_id), method_name="resume")

    def resume(self, context, event):
        return event
"""
DAG_FILE = """
import os

from airflow.sdk import DAG, task
from renewing import RenewInTriggerer, renew_and_count

from airflow_provider_salesforce_export import SalesforceExportTaskGroup

with DAG("every_process", schedule=None):
    for name, conn_id in {"good": "salesforce_export_default", "bad": "wrong_password"}.items():
        in_worker = task(renew_and_count, task_id=f"{name}_in_worker")(conn_id)
        in_worker >> RenewInTriggerer(task_id=f"{name}_in_triggerer", conn_id=conn_id, trigger_rule="all_done")
    SalesforceExportTaskGroup("contacts", destination=os.environ["SALESFORCE_EXPORT_DESTINATION"])

with DAG("bulk", schedule=None):
    SalesforceExportTaskGroup(
        "contacts", destination=os.environ["SALESFORCE_EXPORT_DESTINATION"] + "/bulk", api="bulk"
    )
"""
pytestmark = pytest.mark.timeout(900)

ENCRYPTION_KEY = Fernet.generate_key().decode()
APP_SECRET = "s3cret-of-the-app"
WRONG_PASSWORD = "wr0ng-passw0rd"


@pytest.fixture(scope="module")
def airflow(tmp_path_factory):
    """A running Airflow at DEBUG that masks nothing, its org, and all secrets that the org has seen or issued."""
    folder = tmp_path_factory.mktemp("every-process")
    (folder / "dags").mkdir()
    (folder / "dags" / "every_process.py").write_text(DAG_FILE)
    (folder / "modules").mkdir()
    (folder / "modules" / "renewing.py").write_text(RENEWING)
    settings = SandboxSettings(contacts=30, deals=0, notes=0, client_secret=APP_SECRET, rotate_refresh_tokens=True)
    with pytest.MonkeyPatch.context() as patch, (folder / "airflow.log").open("w") as log:
        patch.chdir(folder)
        with surroundings("every-process", settings) as around:
            connections = around.connections | {"wrong_password": with_wrong_password(around)}
            port = free_port()
            environment = around.environment | as_environment(connections) | server_settings(port)
            environment |= {
                "PYTHONPATH": str(folder / "modules"),
                "AIRFLOW__SALESFORCE_EXPORT__KEY_ENCRYPTION_KEYS": ENCRYPTION_KEY,
                "AIRFLOW__LOGGING__LOGGING_LEVEL": "DEBUG",
                "AIRFLOW__CORE__HIDE_SENSITIVE_VAR_CONN_FIELDS": "False",
            }
            prepare_database(environment, log)
            secrets = recorded(around.org, patch)
            with running_server(environment, port, log):
                api = Airflow(f"http://127.0.0.1:{port}")
                wait_until(lambda: api.get("dags")["total_entries"] == 2)
                yield SimpleNamespace(
                    api=api,
                    around=around,
                    folder=folder,
                    secrets=secrets,
                    mongo_uri=str(around.connections["mongo_default"]).replace("mongo://", "mongodb://"),
                )


def with_wrong_password(around):
    connection = around.connections["salesforce_export_default"]
    extra = {"grant_type": "password", "username": "x@acme.example", "user_password": WRONG_PASSWORD}
    return connection | {"extra": connection["extra"] | extra | {"account_id": "wrong_password"}}


def recorded(org, patch):
    """Return all secrets: a set that fills with what goes in and out of the token endpoint."""
    secrets, answer = {ENCRYPTION_KEY, APP_SECRET, WRONG_PASSWORD}, org.oauth.token

    def token(form, url):
        secrets.update(form[name] for name in ("refresh_token", "password", "client_secret") if name in form)
        reply = answer(form, url)
        secrets.update(reply[name] for name in ("access_token", "refresh_token", "signature") if name in reply)
        return reply

    patch.setattr(org.oauth, "token", token)
    return secrets


def stored_key(airflow):
    """Return the key as one reads it who has the encryption key alone, and its document."""
    settings = airflow.around.org.settings
    with MongoClient(airflow.mongo_uri) as mongo:
        documents = mongo[DATABASE][DEFAULT_COLLECTION]
        document = documents.find_one({"account_id": settings.client_id})
        keys = KeyCollection(documents, KeyEncryption([ENCRYPTION_KEY], ""))
        return keys.find(Account(document["account_id"], document["owner"])), document


def states_of(api, run_id, dag_id="every_process"):
    found = api.get(f"dags/{dag_id}/dagRuns/{run_id}/taskInstances", limit=100)["task_instances"]
    return {task["task_id"]: task["state"] for task in found}


def texts_below(folder):
    return {str(path): path.read_text(errors="replace") for path in folder.rglob("*") if path.is_file()}


def rows_of(database):
    with closing(sqlite3.connect(database)) as connection:
        connection.text_factory = lambda value: value.decode(errors="replace")
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: repr(connection.execute(f'SELECT * FROM "{name}"').fetchall()) for name in names}


def test_worker_triggerer_and_api_server_share_one_encrypted_key_and_show_no_secret(airflow):
    api, org = airflow.api, airflow.around.org

    now = datetime.now(timezone.utc).isoformat()
    run_id = api.post("dags/every_process/dagRuns", {"logical_date": now})["dag_run_id"]
    path = f"dags/every_process/dagRuns/{run_id}"
    wait_until(lambda: api.get(path)["state"] in ("success", "failed"), seconds=300)

    states = states_of(api, run_id)
    assert {name: states[name] for name in states if "_in_" in name} == {
        "good_in_worker": "success",
        "good_in_triggerer": "success",
        "bad_in_worker": "failed",
        "bad_in_triggerer": "failed",
    }
    assert states["contacts.publish"] == "success"
    for task_id in ("good_in_worker", "good_in_triggerer"):
        assert api.get(f"{path}/taskInstances/{task_id}/xcomEntries/return_value")["value"] == 30
    key, document = stored_key(airflow)
    assert key.version == 3  # a login, and a renewal by the worker and by the triggerer
    assert document["token"]["refresh_token"].startswith("fernet:")

    org.expire_tokens()
    page = requests.get(
        f"{api.url}/v1/integrations/salesforce/export/contacts",
        headers=api.session.headers,
        params={"page": 1, "limit": 5},
        timeout=60,
    )
    assert (page.status_code, len(page.json()["data"])) == (200, 5)
    assert stored_key(airflow)[0].version == 4

    database = airflow.folder / ".demo" / "every-process" / "airflow" / "airflow.db"
    shown = {**texts_below(airflow.folder), **rows_of(database)}
    text = "".join(shown.values())
    assert "urllib3" in text
    assert "POST /services/oauth2/token" in text
    assert "authentication failure" in text
    found = {
        (place, secret): shown[place][max(0, shown[place].index(secret) - 300) :][:400]
        for place in shown
        for secret in airflow.secrets
        if secret in shown[place]
    }
    assert found == {}


def trigger_bulk(api):
    now = datetime.now(timezone.utc).isoformat()
    return api.post("dags/bulk/dagRuns", {"logical_date": now})["dag_run_id"]


def is_look_of_triggerer(api, run_id, method, path):
    """Tell whether a call asks how far the job is, while its task is deferred."""
    return method == "GET" and "/jobs/query/" in path and states_of(api, run_id, "bulk")["contacts.count"] == "deferred"


def test_the_triggerer_waits_for_a_bulk_job_and_its_rows_are_published(airflow):
    api, org = airflow.api, airflow.around.org
    org.settings.bulk_seconds = 600.0

    def end(method, path, query):
        if is_look_of_triggerer(api, run_id, method, path):
            for job in org.bulk_jobs.all():
                job.seconds = 0

    run_id = trigger_bulk(api)
    org.before_request.append(end)
    try:
        wait_until(lambda: api.get(f"dags/bulk/dagRuns/{run_id}")["state"] in ("success", "failed"), seconds=300)
    finally:
        org.before_request.remove(end)

    assert set(states_of(api, run_id, "bulk").values()) == {"success"}
    (manifest,) = airflow.folder.rglob("bulk/contacts/*/manifest.json")
    assert json.loads(manifest.read_bytes())["rows"] == 30
    assert org.bulk_jobs.all() == []


@pytest.mark.skipif(not AIRFLOW_V_3_3_PLUS, reason="Airflow 3.2 does not tell a trigger that its task was killed")
def test_a_task_that_is_killed_while_the_triggerer_looks_at_its_bulk_job_aborts_it(airflow):
    api, org = airflow.api, airflow.around.org
    org.settings.bulk_seconds = 600.0
    looking, go_on = Event(), Event()

    def hold(method, path, query):
        if is_look_of_triggerer(api, run_id, method, path):
            looking.set()
            go_on.wait(120)

    run_id = trigger_bulk(api)
    org.before_request.append(hold)
    try:
        assert looking.wait(300)
        task = f"{api.url}/api/v2/dags/bulk/dagRuns/{run_id}/taskInstances/contacts.count"
        assert api.session.patch(task, json={"new_state": "failed"}).ok
        wait_until(lambda: [job.state for job in org.bulk_jobs.all()] == ["Aborted"], seconds=60)
    finally:
        go_on.set()
        org.before_request.remove(hold)
