"""Production, UAT and a sandbox side by side: each connection with its own org, its own app and its own key."""

import json

import pytest
from cryptography.fernet import Fernet

from airflow_provider_salesforce_export import SalesforceExportOperator
from airflow_provider_salesforce_export.key_collection.collection import KeyCollection
from airflow_provider_salesforce_export.key_collection.encryption import KeyEncryption
from airflow_provider_salesforce_export.key_collection.key import Account
from tests.integration.conftest import ids_in, published, run

CONTACTS = {"production": 30, "uat": 20, "sandbox": 10}
KEYS = {"production": Fernet.generate_key().decode(), "uat": "", "sandbox": Fernet.generate_key().decode()}
"""The encryption key of each connection; UAT has none, and takes its consumer secret."""


@pytest.fixture
def orgs(start_org):
    return {
        name: start_org(
            contacts=contacts,
            seed=contacts,
            client_id=f"app-of-{name}",
            client_secret=f"s3cret-of-{name}",
            rotate_refresh_tokens=True,
        )
        for name, contacts in CONTACTS.items()
    }


@pytest.fixture
def keys_of(orgs, database):
    """Return the key collection as the workers of a connection see it, and whose key is in it."""

    def keys_of(name):
        settings = orgs[name].settings
        encryption = KeyEncryption([KEYS[name]] if KEYS[name] else [], settings.client_secret)
        account = Account(settings.client_id, orgs[name].url.partition("://")[2])
        return KeyCollection(database["integrations.salesforce.key"], encryption), account

    return keys_of


@pytest.fixture
def tokens(orgs, keys_of, database, mongo_uri, monkeypatch):
    """Log in to each org, and tell Airflow of it; return the tokens, which have expired since."""
    monkeypatch.setenv("AIRFLOW_CONN_MONGO_DEFAULT", mongo_uri.replace("mongodb://", "mongo://"))
    for name, server in orgs.items():
        settings = server.settings
        connection = {
            "conn_type": "salesforce_export",
            "host": server.url,
            "login": settings.client_id,
            "password": settings.client_secret,
            "extra": {"key_database": database.name, "key_encryption_keys": KEYS[name]},
        }
        monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps(connection))
        keys, account = keys_of(name)
        keys.save(account, server.org.issue_token())
        server.org.expire_tokens()
    return {name: keys.find(account).token for name in orgs for keys, account in [keys_of(name)]}


@pytest.mark.usefixtures("airflow_database")
def test_each_connection_renews_its_own_key_and_reads_its_own_org(orgs, tokens, keys_of, make_dag, database, tmp_path):
    orgs["sandbox"].org.revoke_grants()
    with make_dag() as dag:
        for name in orgs:
            SalesforceExportOperator(
                task_id=name,
                object_type="contacts",
                destination=(tmp_path / name).as_uri(),
                salesforce_conn_id=name,
            )

    _, tasks = run(dag)

    assert {name: tasks[name, -1].state for name in orgs} == {
        "production": "success",
        "uat": "success",
        "sandbox": "failed",
    }
    for name in ("production", "uat"):
        assert published(tmp_path / name).holds_exactly(ids_in(orgs[name]))
        keys, account = keys_of(name)
        assert keys.find(account).version == 2
        assert keys.find(account).token["instance_url"] == orgs[name].url
        assert keys.find(account).token["refresh_token"] != tokens[name]["refresh_token"]
    keys, account = keys_of("sandbox")
    refused = keys.find(account)
    assert refused is None or refused.invalidated  # another thread of the task that meets the mark deletes the key
    assert {name: server.org.token_calls for name, server in orgs.items()} == dict.fromkeys(orgs, 1)
    assert database["integrations.salesforce.key"].count_documents({}) == (3 if refused else 2)
