"""Real parts: an org behind a socket, a mongod, an Airflow database."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import ExitStack, contextmanager
from datetime import datetime, timezone
from pathlib import Path

import pytest
import requests
from airflow.sdk import DAG
from airflow.timetables.interval import CronDataIntervalTimetable

from airflow_provider_salesforce_export.export.manifest import manifest_in
from airflow_provider_salesforce_export.export.plan import Request
from airflow_provider_salesforce_export.export.planning import make_plan
from airflow_provider_salesforce_export.export.publish import publish
from airflow_provider_salesforce_export.export.segments import export_segments
from airflow_provider_salesforce_export.key_collection.collection import KeyCollection
from airflow_provider_salesforce_export.key_collection.encryption import KeyEncryption
from airflow_provider_salesforce_export.key_collection.key import Account
from airflow_provider_salesforce_export.key_collection.stored_token import StoredToken
from airflow_provider_salesforce_export.object_types import CONTACTS
from airflow_provider_salesforce_export.salesforce.client import SalesforceClient
from airflow_provider_salesforce_export.salesforce.grants import RefreshTokenGrant
from airflow_provider_salesforce_export.salesforce.oauth import TokenEndpoint
from airflow_provider_salesforce_export.salesforce.soql import Query
from airflow_provider_salesforce_export.sandbox import SandboxServer, SandboxSettings
from airflow_provider_salesforce_export.sandbox.pytest_plugin import run_in_this_process
from tests.integration.api_server import Browser, running_api_server
from tests.patience import PATIENCE

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=timezone.utc)


@pytest.fixture(scope="session")
def mongo_uri(salesforce_mongo_uri):
    return salesforce_mongo_uri


@pytest.fixture
def database(salesforce_key_database):
    return salesforce_key_database


@pytest.fixture
def documents(database):
    """The keys as MongoDB has them."""
    return database["integrations.salesforce.key"]


@pytest.fixture
def start_org():
    """Start orgs with settings of the test's choice; they stop when it ends."""
    with ExitStack() as stack:

        def start(**settings):
            settings = {"contacts": 0, "deals": 0, "notes": 0, "now": NOW} | settings
            return stack.enter_context(SandboxServer(SandboxSettings(**settings)))

        yield start


@pytest.fixture
def keys(database):
    return KeyCollection(database["integrations.salesforce.key"], KeyEncryption((), SandboxSettings.client_secret))


@pytest.fixture
def log_in(keys):
    """Store a key, as a login would have; return the account."""

    def log_in(server):
        account = Account(server.settings.client_id, server.url.partition("://")[2])
        keys.save(account, server.org.issue_token())
        return account

    return log_in


@pytest.fixture
def client_of(keys, log_in):
    """Return a client of an org, which takes its token from the key collection."""

    def client_of(server, **options):
        endpoint = TokenEndpoint(server.url, server.settings.client_id, server.settings.client_secret)
        return SalesforceClient(StoredToken(keys, log_in(server), endpoint, RefreshTokenGrant()), **options)

    return client_of


@pytest.fixture
def start_worker(mongo_uri, database):
    """Start workers in processes of their own; they are killed when the test ends."""
    with ExitStack() as stack:

        def start_worker(server, **options):
            settings = server.settings
            return stack.enter_context(
                Worker(
                    {
                        "mongo_uri": mongo_uri,
                        "database": database.name,
                        "login_url": server.url,
                        "client_id": settings.client_id,
                        "client_secret": settings.client_secret,
                        "threads": 1,
                        "stop": None,
                        "clock": 0,
                        "auth_timeout": PATIENCE,
                        "lease_seconds": 2 * PATIENCE + 30,
                        "start_seconds": 10,
                    }
                    | options
                )
            )

        yield start_worker


class Worker:
    """A process that runs ``renewing_worker.py``."""

    def __init__(self, options):
        program = Path(__file__).with_name("renewing_worker.py")
        self._process = subprocess.Popen(
            [sys.executable, str(program), json.dumps(options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )

    def wait_for(self, name):
        """Return the next event that has this name."""
        for line in self._process.stdout:
            event = json.loads(line)
            if name in event:
                return event
            assert "error" not in event, event["message"]
        raise AssertionError(f"The worker ended without {name}.")

    def wait_for_log(self, text):
        while text not in self.wait_for("log")["log"]:
            pass

    def go(self):
        self._process.stdin.write("go\n")

    def resume(self):
        self._process.send_signal(signal.SIGCONT)

    def kill(self):
        self._process.kill()
        self._process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.kill()
        self._process.stdin.close()
        self._process.stdout.close()


@pytest.fixture
def token_gate(monkeypatch):
    """Hold the token calls of an org until the block ends."""

    @contextmanager
    def token_gate(server, *, calls=1000, then=None):
        gate = TokenGate(server.org.oauth.token, calls, then)
        monkeypatch.setattr(server.org.oauth, "token", gate)
        try:
            yield gate
        finally:
            gate.open()

    return token_gate


class TokenGate:
    """
    Answers token calls as the org does; the first ones only once it is open, and with ``then`` if that is given.
    """

    def __init__(self, answer, calls, then):
        self._answer = answer
        self._then = then
        self._held = iter(range(calls))
        self._opened = threading.Event()
        self.waiting = 0

    def __call__(self, form, url):
        if next(self._held, None) is None:
            return self._answer(form, url)
        self.waiting += 1
        assert self._opened.wait(PATIENCE)
        if self._then:
            raise self._then
        return self._answer(form, url)

    def open(self):
        self._opened.set()

    @staticmethod
    def wait_until(condition):
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.01)


@pytest.fixture
def connections(connect_salesforce_org, log_in, monkeypatch):
    """Tell Airflow of an org and of the MongoDB with its key."""

    def connections(server, connection=None, **extra):
        log_in(server)
        conn_id = connect_salesforce_org(server.org, **{"grant_type": "refresh_token", **extra})
        variable = f"AIRFLOW_CONN_{conn_id.upper()}"
        monkeypatch.setenv(variable, json.dumps(json.loads(os.environ[variable]) | (connection or {})))

    return connections


@pytest.fixture(scope="session")
def airflow_url(airflow_database):
    """Airflow's API server, which finds the plugin by its entry point."""
    with running_api_server() as url:
        yield url


@pytest.fixture
def browser(airflow_url):
    """Open browsers in which one of the users is logged in to Airflow, or nobody."""
    with ExitStack() as stack:
        yield lambda user=None: stack.enter_context(Browser(airflow_url, user))


@pytest.fixture
def make_dag(request):
    """Return a DAG that nobody else uses, for tasks to be put into."""

    def make_dag(**arguments):
        arguments = {"schedule": CronDataIntervalTimetable("0 0 * * *", timezone="UTC")} | arguments
        start_date = datetime(2026, 1, 1, tzinfo=timezone.utc)
        return DAG(f"test_{abs(hash(request.node.nodeid))}", start_date=start_date, **arguments)

    return make_dag


def answer_of_browser(url, decision="allow"):
    """Log in as a user does who opens the address; return the address that the browser is sent to."""
    with requests.Session() as browser:
        page = browser.get(url, timeout=30)
        ticket = re.search(r'name="ticket" value="([^"]+)"', page.text)
        assert ticket, page.text
        form = {"ticket": ticket[1], "decision": decision}
        answer = browser.post(page.url.partition("?")[0], data=form, allow_redirects=False, timeout=30)
    return answer.headers["Location"]


def end_jobs_by_looks(server, running=2):
    """Have each Bulk job of an org run on for that many looks and be over later, whatever the machine's speed."""
    server.settings.bulk_seconds = 600
    looks = Counter()

    def count(method, path, _query):
        look = re.search(r"/jobs/query/(\w+)$", path)
        if method == "GET" and look:
            looks[look[1]] += 1
            for job in server.org.bulk_jobs.all():
                if looks[job.id] > running:
                    job.seconds = 0

    server.org.before_request.append(count)


def run(dag, **arguments):
    """Run a DAG; return the run, and its task instances by id and map index."""
    dag_run = run_in_this_process(dag, **arguments)
    return dag_run, {(ti.task_id, ti.map_index): ti for ti in dag_run.get_task_instances()}


class Export:
    """What lies in the folder of an export, as a careful reader reads it."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.manifest = json.loads(manifest_in(self.folder).read_bytes())
        self.pages = [json.loads((self.folder / page["file"]).read_bytes()) for page in self.manifest["pages"]]
        self.ids = [record["Id"] for page in self.pages for record in page["data"]]
        self.files = sorted(os.listdir(self.folder))

    def holds_exactly(self, ids):
        return Counter(self.ids) == Counter(dict.fromkeys(ids, 1))


def published(destination, name="contacts"):
    """Return the one export of an object type below a folder."""
    (manifest,) = (destination / name).glob("*/manifest.json")
    return Export(manifest.parent)


def ids_in(server, sobject="Contact", *, deleted=False):
    """Ask the org's own database which records there are."""
    condition = "" if deleted else "WHERE IsDeleted = 0"
    with server.org.store.reading() as connection:
        return [row[0] for row in connection.execute(f'SELECT Id FROM "{sobject}" {condition}')]


def request_for(
    object_type=CONTACTS, *, page_size=2000, pagination="auto", include_deleted=False, window=None, **files
):
    query = Query(object_type.sobject, object_type.all_fields(include_deleted=include_deleted)).where(object_type.where)
    files["optional_fields"] = object_type.optional_fields(include_deleted=include_deleted)
    if window:
        query = query.where(window.condition(object_type.cursor_field))
    return Request(object_type.name, query, include_deleted, page_size, pagination, **files)


def run_export(client, request, folder, *, threads=4, readers=4):
    """Export without Airflow; return what lies in the folder."""
    plan = make_plan(client, request, readers=readers, run_id="run")
    pages = export_segments(client, plan, folder, threads=threads, attempt=1)
    publish(client, folder, plan, pages, api_calls=0)
    return Export(folder)
