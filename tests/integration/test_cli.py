"""``airflow salesforce-export ...``, as Airflow parses it, against an org and a mongod."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from airflow.cli import cli_parser
from airflow.models import Connection
from airflow.utils.session import create_session
from cryptography.fernet import Fernet

from tests.integration.conftest import Export, answer_of_browser, ids_in
from tests.readers import unpacked

CALLBACK = "http://localhost:8765/callback"
TOKEN = {"access_token": "00D!plain", "refresh_token": "5Aep", "instance_url": "https://acme.my.salesforce.com"}


@pytest.fixture(scope="module")
def parser():
    return cli_parser.get_parser()


@pytest.fixture
def server(start_org, connections, keys):
    """An org that has seen a login, and that ``salesforce_export_default`` names."""
    server = start_org(contacts=120, rotate_refresh_tokens=True)
    connections(server, redirect_uri=CALLBACK)
    return server


@pytest.fixture
def cli(parser, capsys, monkeypatch):
    """Run a command in this process; return its exit status, stdout and stderr."""
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "client")  # commands change it; now it is set back after the test

    def cli(*arguments):
        capsys.readouterr()
        args = parser.parse_args(["salesforce-export", *arguments])
        status = 0
        try:
            args.func(args)
        except SystemExit as end:
            status = end.code
        shown = capsys.readouterr()
        if isinstance(status, str):  # which Python prints on stderr when it ends
            return 1, shown.out, shown.err + status
        return status or 0, shown.out, shown.err

    return cli


@pytest.fixture
def stored_connection(airflow_database):
    """Put connections into Airflow's database; they are gone after the test."""
    stored = []

    def stored_connection(conn_id, **fields):
        with create_session() as session:
            session.add(Connection(conn_id=conn_id, **fields))
        stored.append(conn_id)

    yield stored_connection
    with create_session() as session:
        for conn_id in stored:
            session.delete(session.query(Connection).filter_by(conn_id=conn_id).one())


class Terminal:
    """A command in a process of its own, as in a terminal."""

    def __init__(self, *arguments):
        self.process = subprocess.Popen(
            [sys.executable, "-u", "-m", "airflow", "salesforce-export", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def read_address(self):
        for line in self.process.stdout:
            if line.startswith("http"):
                return line.strip()
        raise AssertionError(self.process.stderr.read())

    def end(self, typed=None):
        out, err = self.process.communicate(typed, timeout=180)
        return self.process.returncode, out, err

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def log_in_with(cli, capsys, monkeypatch):
    """Run ``login``; ``paste`` makes of the printed address what the user types."""

    def log_in_with(paste):
        def type_in(prompt):
            return paste(re.search(r"^http\S+$", capsys.readouterr().out, re.MULTILINE)[0])

        monkeypatch.setattr("builtins.input", type_in)
        return cli("login")

    return log_in_with


def test_the_keys_of_all_connections_are_shown_without_their_tokens(
    cli, server, keys, stored_connection, database, monkeypatch
):
    token = keys.find(keys.accounts()[0]).token
    stored_connection(
        "stored",
        conn_type="salesforce_export",
        host="acme",
        login="other-app",
        password="other-secret",
        extra=json.dumps({"key_database": database.name}),
    )
    stored_connection("incomplete", conn_type="salesforce_export", host="acme", login="other-app")
    monkeypatch.setenv("AIRFLOW_CONN_BY_URI", f"salesforce-export://app:secret@test/?key_database={database.name}")
    monkeypatch.setenv("AIRFLOW_CONN_ANOTHER", '{"conn_type": "http"}')

    status, out, _ = cli("keys", "--output", "json")

    rows = {row["connection"]: row for row in json.loads(out)}
    assert status == 0
    assert {name: row["state"] for name, row in rows.items()} == {
        "by_uri": "never",
        "incomplete": "unknown",
        "salesforce_export_default": "connected",
        "stored": "never",
    }
    assert rows["stored"]["account"] == "other-app"
    assert "consumer secret (password) is missing" in rows["incomplete"]["last_error"]
    connected = rows["salesforce_export_default"]
    assert (connected["owner"], connected["instance"]) == (server.url.partition("://")[2], server.url)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", connected["issued"])
    assert connected["renewed"]
    assert not [secret for secret in (token["access_token"], token["refresh_token"], "fernet:") if secret in out]


def test_connections_of_the_environment_are_those_that_airflow_makes_of_it(cli, airflow_database, monkeypatch):
    connections = {
        "by_uri": "SALESFORCE-EXPORT://app:secret@test",
        "by_json": '{"login": "app", "password": "secret", "conn\\u005ftype": "salesforce_export"}',
        "of_airflows_type": '{"conn_type": "http", "extra": {"conn_type": "salesforce_export"}}',
        "cut_short": '{"conn_type": "salesforce_export", "login": "app"',
        "without_such_a_field": '{"conn_type": "salesforce_export", "consumer_key": "app"}',
        "with_a_wrong_port": "salesforce-export://app:secret@test:port",
        "no_connection": "[1]",
    }
    for conn_id, value in connections.items():
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", value)

    status, out, err = cli("keys", "--output", "json")

    assert (status, err) == (0, "")
    assert [row["connection"] for row in json.loads(out)] == ["by_json", "by_uri"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("keys",),
            r"Airflow's database cannot be read\. .* 'airflow db migrate'\. Or name .* --conn-id\. no such table.*",
        ),
        (("keys", "--conn-id", "other"), ""),
        (("test", "--conn-id", "other"), r"There is no Airflow connection 'other'.*"),
    ],
)
def test_without_a_database_of_airflow_the_commands_say_so_and_show_no_stack_trace(
    arguments, message, monkeypatch, tmp_path
):
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", f"sqlite:///{tmp_path}/airflow.db")

    with Terminal(*arguments) as terminal:
        _, _, err = terminal.end()

    assert re.fullmatch(message, err.strip()), err


def test_one_key_is_shown_with_its_last_error(cli, server, keys):
    account = keys.accounts()[0]
    keys.lease(keys.find(account), 60).invalidate("expired access/refresh token")

    status, out, _ = cli("keys", "--conn-id", "salesforce_export_default", "-o", "plain")

    assert status == 0
    assert re.search(r"needs_login .* expired access/refresh token", out)


def test_without_any_connection_the_commands_say_where_they_have_looked(cli, airflow_database):
    assert cli("keys") == (1, "", cli("rotate-keys")[2])
    assert "database and environment have no connection of type salesforce_export" in cli("keys")[2]
    status, _, err = cli("test", "--conn-id", "missing")
    assert (status, "There is no Airflow connection 'missing'" in err) == (1, True)


def test_the_test_says_what_works_and_what_does_not(cli, server):
    status, out, _ = cli("test")
    assert (status, "by grant refresh_token" in out) == (0, True)

    server.org.expire_tokens()
    server.org.revoke_grants()
    status, out, err = cli("test")

    assert (status, out) == (1, "")
    assert "log in to Salesforce" in err


def test_logging_out_revokes_and_deletes(cli, server, keys):
    account = keys.accounts()[0]
    token = keys.find(account).token

    assert cli("logout") == (0, "Logged out.\n", "")

    assert keys.find(account) is None
    assert not server.org.oauth.sessions.revoke(token["refresh_token"])
    assert cli("logout") == (0, "There was no key.\n", "")


@pytest.mark.parametrize(
    ("reply", "message"),
    [({"status": 503, "body": "maintenance"}, "503"), ({"status": 400, "body": {"error": "other"}}, "refused")],
)
def test_logging_out_says_where_salesforce_has_not_revoked(cli, server, keys, reply, message):
    account = keys.accounts()[0]
    server.org.fail_next(path_pattern="/oauth2/revoke", **reply)

    status, _, err = cli("logout")

    assert status == 1
    assert "The key is deleted. The token was not revoked, and stays good" in err
    assert message in err
    assert keys.find(account) is None


def test_a_key_that_cannot_be_read_can_be_deleted(cli, server, keys, database):
    account = keys.accounts()[0]
    other = Fernet(Fernet.generate_key()).encrypt(b"x").decode()
    database["integrations.salesforce.key"].update_one({}, {"$set": {"token.access_token": f"fernet:{other}"}})

    status, _, err = cli("logout")

    assert (status, "is encrypted under a key that is not set here" in err) == (1, True)
    assert keys.find(account) is None


def test_objects_and_fields_are_listed(cli, server):
    status, out, _ = cli("sobjects", "-o", "json")
    assert status == 0
    assert {"name": "Opportunity", "label": "Opportunity", "custom": "False"} in json.loads(out)

    status, out, _ = cli("fields", "contact", "-o", "json")
    fields = {field["name"]: field for field in json.loads(out)}
    assert fields["OwnerId"] == {
        "name": "OwnerId",
        "type": "reference",
        "label": "OwnerId",
        "relationship": "Owner",
        "references": "User",
    }
    assert cli("fields", "Nothing__c")[::2] == (
        1,
        "The sObject Nothing__c does not exist, or the user may not see it: correct the object type, or ask a "
        "Salesforce admin.",
    )


def test_one_object_is_exported_without_a_dag(cli, server, tmp_path):
    status, out, _ = cli("export", "contacts", "--destination", tmp_path.as_uri(), "--page-size", "50", "-o", "json")

    (summary,) = json.loads(out)
    assert (status, summary["rows"], summary["pages"]) == (0, "120", "3")
    export = Export(Path(summary["manifest"].removeprefix("file://")).parent)
    assert export.holds_exactly(ids_in(server))


def test_a_large_object_is_exported_by_bulk_without_a_dag(cli, server, tmp_path):
    status, _, err = cli("export", "contacts", "--destination", tmp_path.as_uri(), "--api", "bulk", "-o", "json")

    assert (status, err) == (0, "")
    export = Export(next(tmp_path.glob("contacts/*")))
    assert export.manifest["api"] == "bulk"
    assert export.holds_exactly(ids_in(server))
    assert server.org.bulk_jobs.all() == []


@pytest.fixture
def interruptible():
    """Let processes that are started now heed Ctrl-C also where these tests run in the background of a shell."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_control_c_aborts_the_job_of_an_export_without_a_dag(server, tmp_path):
    server.settings.bulk_seconds = 600
    with Terminal("export", "contacts", "--destination", tmp_path.as_uri(), "--api", "bulk") as terminal:
        deadline = time.monotonic() + 120
        while not any(call.method == "GET" and "/jobs/query/750" in call.path for call in list(server.org.calls)):
            assert terminal.process.poll() is None, terminal.end()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        terminal.process.send_signal(signal.SIGINT)
        status, _, err = terminal.end()

    assert (status, err.splitlines()[-1]) == (1, "Stopped.")
    assert [job.state for job in server.org.bulk_jobs.all()] == ["Aborted"]
    assert not list(tmp_path.glob("contacts/*/manifest.json"))


def test_an_export_without_a_dag_has_the_files_that_were_asked_for(cli, server, tmp_path):
    files = ["--format", "jsonl", "--compression", "gzip", "--flatten"]
    place = ["--partition-style", "hive", "--on-schema-change", "fail"]

    status, _, err = cli("export", "contacts", "--destination", tmp_path.as_uri(), *files, *place)

    assert (status, err) == (0, "")
    (manifest,) = tmp_path.glob("contacts/ds=*/snapshot=*/_manifest.json")
    (page,) = json.loads(manifest.read_bytes())["pages"]
    exported = [json.loads(line) for line in unpacked(manifest.parent / page["file"]).splitlines()]
    assert {record["Id"] for record in exported} == set(ids_in(server))
    assert "Account.Name" in exported[0]


def test_a_query_with_the_recycle_bin_is_exported_without_a_dag(cli, server, tmp_path):
    soql = "SELECT Name FROM Contact WHERE Id != null"

    status, out, _ = cli(
        "export", "people", "--soql", soql, "--destination", tmp_path.as_uri(), "--include-deleted", "-o", "json"
    )

    assert status == 0
    (summary,) = json.loads(out)
    assert summary["object_type"] == "people"
    export = Export(Path(summary["manifest"].removeprefix("file://")).parent)
    assert export.holds_exactly(ids_in(server, deleted=True))
    assert export.pages[0]["data"][0].keys() == {"Id", "Name", "SystemModstamp", "IsDeleted"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("leads",), "Unknown object type 'leads'"),
        (("leads",), "on the command line --soql"),
        (("contacts", "--page-size", "2001"), "page_size must be a whole number from 1 to 2000"),
        (("contacts", "--concurrency", "many"), "concurrency must be a whole number"),
        (("contacts", "--format", "xml"), "output_format must be one of json, jsonl, csv, parquet, not 'xml'"),
        (("x", "--soql", "SELECT Nmae FROM Contact"), "Contact has no field Nmae, or the user may not see it"),
        (("x", "--soql", "SELECT Id FROM Contact LIMIT 5"), "LIMIT in the query"),
        (("contacts", "--destination-conn-id", "lake"), "There is no Airflow connection 'lake'"),
    ],
)
def test_what_cannot_be_exported_is_named(cli, server, tmp_path, arguments, message):
    status, out, err = cli("export", *arguments, "--destination", tmp_path.as_uri())

    assert (status, out) == (1, "")
    assert message in err
    assert not list(tmp_path.rglob("*.json"))


@pytest.mark.parametrize("destination", ["", "lake/salesforce", "s3:/lake"])
def test_a_destination_that_is_no_url_is_refused(cli, server, tmp_path, monkeypatch, destination):
    monkeypatch.chdir(tmp_path)

    status, out, err = cli("export", "contacts", "--destination", destination)

    assert (status, out) == (1, "")
    assert f"The destination {destination!r} is not the URL of a folder" in err
    assert not list(tmp_path.iterdir())


def test_an_org_short_of_calls_is_left_alone(cli, start_org, connections, tmp_path):
    server = start_org(contacts=10, api_quota=10)
    connections(server)
    server.org.api_calls = 8

    status, _, err = cli("export", "contacts", "--destination", tmp_path.as_uri())

    assert status == 1
    assert "API calls" in err


def test_a_login_by_pasted_address_stores_a_key(server, keys):
    account = keys.accounts()[0]
    keys.delete(account)

    with Terminal("login") as terminal:
        address = terminal.read_address()
        status, out, err = terminal.end(answer_of_browser(address) + "\n")

    assert (status, err) == (0, "")
    assert f"Logged in to {server.url}: the key is stored." in out
    query = parse_qs(urlsplit(address).query)
    assert (query["code_challenge_method"], query["redirect_uri"]) == (["S256"], [CALLBACK])
    assert keys.find(account).token["refresh_token"]


def test_a_login_by_the_code_alone_stores_a_key(server, keys, log_in_with):
    keys.delete(keys.accounts()[0])

    def paste(url):
        return parse_qs(urlsplit(answer_of_browser(url)).query)["code"][0]

    status, out, _ = log_in_with(paste)

    assert (status, "the key is stored" in out) == (0, True)
    assert len(keys.accounts()) == 1


@pytest.mark.parametrize(
    ("paste", "message"),
    [
        (lambda url: f"{CALLBACK}?code=x&state=forged", "its state differs"),
        (lambda url: f"{CALLBACK}?code=x", "its state differs"),
        (lambda url: answer_of_browser(url, "deny"), "access_denied"),
        (lambda url: "no-such-code", "log in to Salesforce again"),
        (lambda url: " ", "Nothing was pasted"),
    ],
    ids=["forged", "no state", "denied", "unknown code", "nothing"],
)
def test_an_answer_that_is_no_login_stores_nothing(server, keys, log_in_with, paste, message):
    keys.delete(keys.accounts()[0])

    status, _, err = log_in_with(paste)

    assert (status, message in err) == (1, True)
    assert keys.accounts() == []


def test_a_login_by_a_callback_on_this_machine_heeds_the_right_answer_alone(server, keys):
    account = keys.accounts()[0]
    keys.delete(account)

    with Terminal("login", "--port", "0") as terminal:
        address = terminal.read_address()
        port = urlsplit(parse_qs(urlsplit(address).query)["redirect_uri"][0]).port
        callback = f"http://127.0.0.1:{port}/callback"
        assert requests.get(f"http://127.0.0.1:{port}/favicon.ico", timeout=30).status_code == 404
        assert requests.get(callback, params={"code": "x", "state": "forged"}, timeout=30).status_code == 404
        answer = answer_of_browser(address)
        assert answer.startswith(f"http://localhost:{port}/callback?")
        page = requests.get(answer.replace("localhost", "127.0.0.1"), timeout=30)
        status, out, err = terminal.end()

    assert (page.status_code, "close this page" in page.text) == (200, True)
    assert (status, err) == (0, "")
    assert "the key is stored" in out
    assert keys.find(account).token["refresh_token"]


def test_a_port_that_is_taken_is_named(cli, server):
    with socket.create_server(("127.0.0.1", 0)) as owner:
        port = owner.getsockname()[1]
        status, _, err = cli("login", "--port", str(port))

    assert (status, f"Port {port} cannot be used" in err) == (1, True)


def test_a_connection_that_needs_no_login_says_so(cli, server, connections):
    connections(server, grant_type="password", username="x", user_password="y")

    status, _, err = cli("login")

    assert (status, "needs no login: grant_type 'password'" in err) == (1, True)


def test_nobody_is_sent_to_salesforce_where_the_key_could_not_be_stored(cli, server, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_MONGO_DEFAULT", "mongo://127.0.0.1:9/?serverSelectionTimeoutMS=100")

    status, out, err = cli("login")

    assert (status, out) == (1, "")
    assert "MongoDB, which keeps the Salesforce keys, does not answer" in err


def test_rotation_reencrypts_each_token_under_the_keys_of_its_own_connection(
    cli, server, keys, connections, monkeypatch, database, airflow_database
):
    account = keys.accounts()[0]
    documents = database["integrations.salesforce.key"]
    before = documents.find_one()["token"]["access_token"]
    documents.insert_one({"account_id": "other-app", "owner": "test.salesforce.com", "token": dict(TOKEN)})
    documents.insert_one({"account_id": "orphan", "owner": "x", "token": dict(TOKEN)})
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", f"salesforce-export://other-app:s@test/?key_database={database.name}")
    connections(server, key_encryption_keys=Fernet.generate_key().decode())

    status, out, err = cli("rotate-keys")

    assert (status, out) == (0, "rotated: 2, missing: 0, busy: 0, unreadable: 0\n")
    assert "Account orphan (owner x)" in err
    assert documents.find_one()["token"]["access_token"] != before
    assert documents.find_one({"account_id": "other-app"})["token"]["access_token"].startswith("fernet:")
    assert documents.find_one({"account_id": "orphan"})["token"] == TOKEN
    assert cli("test")[0] == 0
    assert account in keys.accounts()


def test_rotation_fails_where_a_token_cannot_be_read_or_is_being_renewed(
    cli, server, keys, connections, database, monkeypatch, airflow_database
):
    documents = database["integrations.salesforce.key"]
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", f"salesforce-export://other-app:s@test/?key_database={database.name}")
    documents.insert_one(
        {"account_id": "other-app", "owner": "test.salesforce.com", "token": {**TOKEN, "access_token": "fernet:x"}}
    )
    keys.lease(keys.find(keys.accounts()[0]), 60)

    status, out, err = cli("rotate-keys")

    assert (status, out) == (1, "rotated: 0, missing: 0, busy: 1, unreadable: 1\n")
    assert "other: The token is encrypted under a key that is not set here" in err
    assert "salesforce_export_default: The token is being renewed" in err


def test_airflow_runs_the_commands_with_connections_of_its_database(stored_connection, server):
    connection = json.loads(os.environ["AIRFLOW_CONN_SALESFORCE_EXPORT_DEFAULT"])
    extra = json.dumps(connection.pop("extra"))
    stored_connection("in_database", extra=extra, **connection)

    with Terminal("test", "--conn-id", "in_database") as terminal:
        status, out, err = terminal.end()

    assert (status, err) == (0, "")
    assert f"Connected to {server.url}" in out
