"""The DAG that keeps logins alive, run by a real Airflow; and logins that end."""

import json
from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import DagBag

from airflow_provider_salesforce_export import SalesforceExportHook
from airflow_provider_salesforce_export.exceptions import LoginRequiredError
from airflow_provider_salesforce_export.key_collection.key import Account
from tests.integration.conftest import run

DAG_FILE = Path(__file__).parents[2] / "dags" / "salesforce_keep_logins.py"


@pytest.fixture
def server(start_org, connections):
    server = start_org(rotate_refresh_tokens=True)
    connections(server)
    return server


@pytest.fixture
def connect(server, database, keys, monkeypatch):
    """Tell Airflow of one more connection to the org, with a login of its own; return its account."""

    def connect(conn_id, **token):
        settings = server.settings
        account = Account(conn_id, server.url.partition("://")[2])
        keys.save(account, server.org.issue_token() | token)
        connection = {
            "conn_type": "salesforce_export",
            "host": server.url,
            "login": settings.client_id,
            "password": settings.client_secret,
            "extra": {"key_database": database.name, "account_id": conn_id},
        }
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(connection))
        return account

    return connect


@pytest.mark.usefixtures("airflow_database")
def test_the_weekly_dag_renews_every_login_and_names_the_one_that_has_ended(connect, keys, server):
    good, other = connect("good"), connect("other")
    ended = connect("ended", refresh_token="dead")
    before = {account: keys.find(account).token for account in (good, other)}
    dag = DagBag(dag_folder=str(DAG_FILE)).dags["salesforce_keep_logins"]
    for task in dag.tasks:
        task.retries = 0

    dag_run, tasks = run(dag, run_conf={"conn_ids": ["good", "ended", "other"]})

    assert dag_run.state == "failed"
    states = {tasks["renew", index].rendered_map_index: tasks["renew", index].state for index in range(3)}
    assert states == {"good": "success", "ended": "failed", "other": "success"}
    for account, token in before.items():
        assert keys.find(account).token["access_token"] != token["access_token"]
        assert keys.find(account).token["refresh_token"] != token["refresh_token"]
    status = keys.status(ended)
    assert (status.state, "log in to Salesforce again" in status.last_error) == ("needs_login", True)
    assert server.org.token_calls == 3


def test_a_renewal_leaves_others_a_token_that_works(server):
    with SalesforceExportHook() as worker, SalesforceExportHook() as heartbeat:
        assert worker.count("SELECT COUNT() FROM Contact") == 0
        heartbeat.renew()
        server.org.expire_tokens()
        assert worker.count("SELECT COUNT() FROM Contact") == 0
    assert server.org.token_calls == 2


def test_there_is_nothing_to_renew_before_the_first_login(server, keys):
    (account,) = keys.accounts()
    keys.delete(account)

    with SalesforceExportHook() as hook, pytest.raises(LoginRequiredError, match="is not there: log in"):
        hook.renew()
    assert server.org.token_calls == 0
