import json

import pytest
from airflow.sdk import Connection

from airflow_provider_salesforce_export.exceptions import ConfigurationError
from airflow_provider_salesforce_export.hooks.connection import ConnectionSettings
from airflow_provider_salesforce_export.salesforce.oauth import PasswordGrant, RefreshTokenGrant


def settings(host="login", login="consumer-key", password="consumer-secret", **extra):
    return ConnectionSettings.from_connection(
        Connection(
            conn_id="org",
            conn_type="salesforce_export",
            host=host,
            login=login,
            password=password,
            extra=json.dumps(extra),
        )
    )


def test_defaults():
    org = settings()

    assert org.login_url == "https://login.salesforce.com"
    assert (org.account_id, org.owner) == ("consumer-key", "login.salesforce.com")
    assert org.mongo_conn_id == "mongo_default"
    assert (org.auth_timeout, org.timeout) == (10.0, 120.0)
    assert isinstance(org.grant(), RefreshTokenGrant)


def test_blank_fields_count_as_unset():
    blank = dict.fromkeys(
        ["grant_type", "account_id", "owner", "mongo_conn_id", "api_version", "auth_timeout", "timeout", "proxies"], ""
    )

    assert settings(**blank) == settings()
    assert settings(**dict.fromkeys(blank)) == settings()


def test_every_extra_is_read():
    org = settings(
        account_id="acme",
        owner="platform",
        mongo_conn_id="mongo_keys",
        key_database="keys",
        key_collection="salesforce",
        key_encryption_keys="new, old,",
        api_version="v65",
        auth_timeout="3",
        timeout=7,
        proxies='{"https": "http://proxy:3128"}',
        grant_type="password",
        username="ada@acme.com",
        user_password="secret",
        security_token="token",
    )

    assert (org.account_id, org.owner, org.mongo_conn_id) == ("acme", "platform", "mongo_keys")
    assert (org.key_database, org.key_collection, org.api_version) == ("keys", "salesforce", "65.0")
    assert org.key_encryption_keys == ("new", "old") == settings(key_encryption_keys=["new", "old"]).key_encryption_keys
    assert (org.auth_timeout, org.timeout, org.proxies) == (3.0, 7.0, {"https": "http://proxy:3128"})
    assert org.grant() == PasswordGrant("ada@acme.com", "secret", "token")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"login": None}, "consumer key"),
        ({"password": None}, "consumer secret"),
        ({"host": "http://acme.my.salesforce.com"}, "must be https"),
        ({"grant_type": "magic"}, "grant_type 'magic'.*'org'.*refresh_token, password"),
        ({"api_version": "latest"}, "api_version 'latest'"),
        ({"timeout": "soon"}, "timeout 'soon'"),
        ({"auth_timeout": -1}, "auth_timeout -1"),
        ({"proxies": "http://proxy:3128"}, "proxies"),
    ],
)
def test_a_wrong_field_is_named(wrong, message):
    with pytest.raises(ConfigurationError, match=message):
        settings(**wrong)


def test_the_password_grant_names_what_it_needs():
    with pytest.raises(ConfigurationError, match="username and user_password"):
        settings(grant_type="password", username="ada@acme.com").grant()


def test_secrets_are_not_shown():
    shown = repr(settings(user_password="p4ssw0rd", security_token="t0ken", key_encryption_keys="k3y"))

    assert not any(secret in shown for secret in ("consumer-secret", "p4ssw0rd", "t0ken", "k3y"))
