"""
Nothing that Airflow keeps or shows of a run holds a secret: each grant, where it works and where it fails, at DEBUG.

Airflow's own masking is off: what it knows to mask must not come that far.
"""

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from cryptography.fernet import Fernet

from airflow_provider_salesforce_export.key_collection.collection import KeyCollection
from airflow_provider_salesforce_export.key_collection.encryption import KeyEncryption
from airflow_provider_salesforce_export.key_collection.key import Account
from tests.integration.conftest import answer_of_browser

DATABASE = Path(os.environ["AIRFLOW_HOME"]) / "airflow.db"
WORKS = ("by_login", "by_old_key", "by_jwt", "by_jwt_file", "by_app", "by_password", "by_airflows_type")
FAILS = (
    "login_ended",
    "old_key_ended",
    "mongo_away",
    "wrong_app_secret",
    "wrong_private_key",
    "wrong_password",
    "no_such_host",
    "proxy_away",
    "encrypted_under_another_key",
)
DAG_FILE = """
import pickle
from pathlib import Path

from airflow.sdk import DAG, task
from airflow_provider_salesforce_export import *
from airflow_provider_salesforce_export import exceptions

def pickle_errors(context):
    # As executors do that send errors between processes; one by one, as an error does not take its cause along.
    errors = [context["exception"]]
    while errors[-1].__context__:
        errors.append(errors[-1].__context__)
    ours = [error for error in errors if isinstance(error, exceptions.SalesforceExportError)]
    Path({errors!r}, context["ti"].task_id).write_bytes(pickle.dumps([*ours, str(errors), repr(errors)]))

with DAG("secrets", schedule=None, default_args={{"on_failure_callback": pickle_errors}}):
    for conn_id in {conn_ids}:
        SalesforceExportOperator(
            task_id=conn_id, object_type="contacts", destination={destination!r} + conn_id, salesforce_conn_id=conn_id
        )
    SalesforceExportTaskGroup("contacts", destination={destination!r} + "group", salesforce_conn_id="by_login")

    @task
    def renew():
        with SalesforceExportHook("by_login") as hook:
            hook.renew()
            return str([hook, hook.settings, hook.keys, hook.tokens, hook.client, hook.account])

    renew()
"""


class Org:
    """An org, and every secret that goes in or out of its token endpoint."""

    def __init__(self, server, monkeypatch):
        self.server = server
        self.secrets = set()
        answer = server.org.oauth.token

        def token(form, url):
            names = set(form) - {"grant_type", "client_id", "username", "redirect_uri"}
            self.secrets |= {form[name] for name in names}
            reply = answer(form, url)
            self.secrets |= {reply[name] for name in ("access_token", "refresh_token", "signature") if name in reply}
            return reply

        monkeypatch.setattr(server.org.oauth, "token", token)

    def issue_token(self, **changes):
        token = self.server.org.issue_token() | changes
        self.secrets |= {token["access_token"], token["refresh_token"], token["signature"]}
        return token


@pytest.fixture
def org(start_org, key_pair, monkeypatch):
    return Org(
        start_org(
            contacts=30,
            rotate_refresh_tokens=True,
            client_secret="s3cret#of+the app",
            password="pä#s+w&rd%20= s3cret",
            security_token="T0KEN-s3cret",
            jwt_public_key=key_pair[1],
        ),
        monkeypatch,
    )


@pytest.fixture
def surroundings(org, key_pair, make_private_key, mongo_uri, database, tmp_path):
    """Environment of an Airflow at DEBUG with all connections; their secrets are added to those of the org."""
    settings, other_key = org.server.settings, make_private_key()[0]
    (tmp_path / "key.pem").write_text(key_pair[0])
    password = {
        "grant_type": "password",
        "username": settings.username,
        "user_password": settings.password,
        "security_token": settings.security_token,
    }
    jwt = {"grant_type": "jwt_bearer", "username": settings.username}
    encryption_key = Fernet.generate_key().decode()
    fields = {
        "by_login": {"redirect_uri": "http://localhost:8765/callback"},
        "by_jwt": jwt | {"private_key": key_pair[0].replace("\n", "\\n")},
        "by_jwt_file": jwt | {"private_key_file_path": str(tmp_path / "key.pem")},
        "by_app": {"grant_type": "client_credentials"},
        "by_password": password,
        "mongo_away": {"mongo_conn_id": "mongo_that_is_away"},
        "wrong_private_key": jwt | {"private_key": other_key.replace("\n", "\\n")},
        "wrong_password": password | {"user_password": "wr0ng-passw0rd"},
        "proxy_away": password | {"proxies": {"http": "http://me:pr0xy-passw0rd@127.0.0.1:9"}},
        "encrypted_under_another_key": {"key_encryption_keys": encryption_key},
    }
    columns = {
        "wrong_app_secret": {"password": "wr0ng-s3cret"},
        "no_such_host": {"host": "https://no-such-org.invalid"},
    }
    connections = {
        conn_id: {
            "conn_type": "salesforce_export",
            "host": org.server.url,
            "login": settings.client_id,
            "password": settings.client_secret,
            "extra": {"key_database": database.name, "account_id": conn_id, **fields.get(conn_id, {})},
        }
        | columns.get(conn_id, {})
        for conn_id in (*WORKS, *FAILS)
    }
    connections["wrong_app_secret"]["extra"]["grant_type"] = "client_credentials"
    connections["no_such_host"]["extra"] |= password
    connections["by_airflows_type"] = {
        "conn_type": "salesforce",
        "login": settings.username,
        "password": settings.password,
        "extra": {
            "instance_url": org.server.url,
            "consumer_key": settings.client_id,
            "consumer_secret": settings.client_secret,
            "security_token": settings.security_token,
            "key_database": database.name,
            "account_id": "by_airflows_type",
        },
    }
    org.secrets |= {settings.client_secret, settings.password, settings.security_token, encryption_key}
    org.secrets |= {"wr0ng-passw0rd", "wr0ng-s3cret", "pr0xy-passw0rd", "m0ngo-passw0rd"}
    org.secrets |= {line for key in (key_pair[0], other_key) for line in key.splitlines()[1:-1]}
    return {
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "DEBUG",
        "AIRFLOW__CORE__HIDE_SENSITIVE_VAR_CONN_FIELDS": "False",
        "AIRFLOW_CONN_MONGO_DEFAULT": mongo_uri.replace("mongodb://", "mongo://"),
        "AIRFLOW_CONN_MONGO_THAT_IS_AWAY": "mongo://me:m0ngo-passw0rd@127.0.0.1:9/?serverSelectionTimeoutMS=100",
    } | {f"AIRFLOW_CONN_{conn_id.upper()}": json.dumps(value) for conn_id, value in connections.items()}


@pytest.fixture
def keys_of(org, database):
    """Return the key collection as workers with the consumer secret see it."""

    def keys_of(*encryption_keys):
        encryption = KeyEncryption(encryption_keys, org.server.settings.client_secret)
        return KeyCollection(database["integrations.salesforce.key"], encryption)

    return keys_of


@pytest.fixture
def stored_keys(org, keys_of, database):
    """Store keys as logins have left them; those of the replaced service are in plain text."""
    owner = org.server.url.partition("://")[2]
    for conn_id, changes in (("by_old_key", {}), ("old_key_ended", {"refresh_token": "5Aep-dead-and-in-plain-text"})):
        token = org.issue_token(**changes)
        document = {"account_id": conn_id, "owner": owner, "token": token, "tenant": "acme"}
        database["integrations.salesforce.key"].insert_one(document)
    keys_of().save(Account("login_ended", owner), org.issue_token(refresh_token="5Aep-dead-and-encrypted"))
    other = keys_of(Fernet.generate_key().decode())
    other.save(Account("encrypted_under_another_key", owner), org.issue_token())


def run_airflow(environment, *arguments, typed=None):
    """Run a command in a process of its own; return its exit status, and all that it shows."""
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "airflow", *arguments],
        env=os.environ | environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    shown = ""
    if typed:
        for line in process.stdout:
            shown += line
            if line.startswith("http"):
                process.stdin.write(typed(line.strip()) + "\n")
                process.stdin.flush()
                break
    rest, _ = process.communicate(timeout=300)
    return process.returncode, shown + rest


def tables():
    """Return all that Airflow's database holds, as text by table."""
    with closing(sqlite3.connect(DATABASE)) as connection:
        connection.text_factory = lambda value: value.decode(errors="replace")
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: repr(connection.execute(f'SELECT * FROM "{name}"').fetchall()) for name in names}


def states_of(dag_id):
    """Return the states of the tasks of a DAG that carry the name of a connection."""
    with closing(sqlite3.connect(DATABASE)) as connection:
        states = dict(connection.execute("SELECT task_id, state FROM task_instance WHERE dag_id = ?", (dag_id,)))
    return {task_id: state for task_id, state in states.items() if task_id in (*WORKS, *FAILS)}


def files_below(folder):
    return {str(path): path.read_text(errors="replace") for path in Path(folder).rglob("*") if path.is_file()}


def found_in(shown, secrets):
    """Return where which secrets stand, as they are or as a URL or JSON would write them."""
    spellings = {
        spelling: secret
        for secret in secrets
        for spelling in (secret, quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1])
    }
    return {
        (place, spelling): text[max(0, text.index(spelling) - 300) : text.index(spelling) + 100]
        for place, text in shown.items()
        for spelling in spellings
        if spelling in text
    }


@pytest.mark.usefixtures("airflow_database", "stored_keys")
def test_no_secret_is_kept_or_shown(org, surroundings, tmp_path):
    status, login = run_airflow(
        surroundings, "salesforce-export", "login", "--conn-id", "by_login", "-v", typed=answer_of_browser
    )
    assert (status, "the key is stored" in login) == (0, True), login
    org.server.org.expire_tokens()
    dags = tmp_path / "dags"
    dags.mkdir()
    errors = tmp_path / "errors"
    errors.mkdir()
    destination = f"{(tmp_path / 'lake').as_uri()}/"
    (dags / "secrets.py").write_text(
        DAG_FILE.format(conn_ids=(*WORKS, *FAILS), destination=destination, errors=str(errors))
    )

    _, run = run_airflow(
        surroundings | {"AIRFLOW__CORE__DAGS_FOLDER": str(dags)},
        "dags",
        "test",
        "secrets",
        "-f",
        str(dags / "secrets.py"),
    )

    stored = tables()
    shown = {
        "login": login,
        # airflow dags test itself logs, at DEBUG, what it is asked to mask; the supervisor of real tasks does not.
        "run": "\n".join(line for line in run.splitlines() if "msg=MaskSecret(" not in line),
        **stored,
        **files_below(tmp_path / "lake"),
        **files_below(errors),
        **files_below(DATABASE.with_name("logs")),
    }
    assert "urllib3" in run
    assert "POST /services/oauth2/token" in run
    assert "pymongo" in run
    assert "SalesforceClient" in stored["xcom"]
    assert "by_password" in stored["serialized_dag"]
    assert states_of("secrets") == dict.fromkeys(WORKS, "success") | dict.fromkeys(FAILS, "failed")
    assert {path.name for path in errors.iterdir()} == set(FAILS)
    assert all(b"airflow_provider_salesforce_export.exceptions" in path.read_bytes() for path in errors.iterdir())
    assert len(list((tmp_path / "lake").rglob("manifest.json"))) == len(WORKS) + 1
    assert found_in(shown, org.secrets) == {}
