"""Connections of the type that apache-airflow-providers-salesforce defines."""

import json

import pytest
from airflow.sdk import Connection

from airflow_provider_salesforce_export.exceptions import ConfigurationError
from airflow_provider_salesforce_export.hooks.connection import ConnectionSettings
from airflow_provider_salesforce_export.salesforce.grants import ClientCredentialsGrant, JwtBearerGrant, PasswordGrant

APP = {"consumer_key": "key", "consumer_secret": "secret"}


def settings(login="ada@acme.com", password="p4ssw0rd", **extra):
    return ConnectionSettings.from_connection(
        Connection(conn_id="sf", conn_type="salesforce", login=login, password=password, extra=json.dumps(extra))
    )


@pytest.fixture(params=["", "extra__salesforce__"], ids=["short names", "prefixed names"])
def spelled(request):
    """Spell the extras as newer or as older versions of that provider do."""
    return lambda extra: {request.param + name: value for name, value in extra.items()}


def test_password(spelled):
    org = settings(**spelled({"security_token": "TOKEN", **APP}))

    assert org.grant() == PasswordGrant("ada@acme.com", "p4ssw0rd", "TOKEN")
    assert (org.client_id, org.client_secret) == ("key", "secret")
    assert (org.account_id, org.owner) == ("key", "login.salesforce.com")


def test_jwt(spelled, key_pair, tmp_path):
    path = tmp_path / "key.pem"
    path.write_text(key_pair[0])

    for extra in ({"private_key": key_pair[0]}, {"private_key_file_path": str(path)}):
        org = settings(password=None, **spelled({"consumer_key": "key", **extra}))
        grant = org.grant()
        assert isinstance(grant, JwtBearerGrant)
        assert grant.username == "ada@acme.com"
        assert (org.client_id, org.client_secret) == ("key", "")


def test_jwt_counts_before_a_password(key_pair):
    assert settings(private_key=key_pair[0], security_token="x", **APP).grant_type == "jwt_bearer"


def test_client_credentials(spelled):
    org = settings(login=None, password=None, **spelled({"domain": "acme.my", **APP}))

    assert org.grant() == ClientCredentialsGrant()
    assert org.login_url == "https://acme.my.salesforce.com"


def test_client_credentials_at_the_shared_host_say_what_is_missing():
    with pytest.raises(ConfigurationError, match="My Domain name"):
        settings(login=None, password=None, **APP).grant()


@pytest.mark.parametrize(
    ("extra", "url"),
    [
        ({}, "https://login.salesforce.com"),
        ({"domain": "login"}, "https://login.salesforce.com"),
        ({"domain": "test"}, "https://test.salesforce.com"),
        ({"domain": "acme.my"}, "https://acme.my.salesforce.com"),
        ({"domain": "acme--uat.sandbox.my"}, "https://acme--uat.sandbox.my.salesforce.com"),
        ({"instance": "na1.salesforce.com"}, "https://na1.salesforce.com"),
        ({"instance_url": "https://acme.my.salesforce.com/"}, "https://acme.my.salesforce.com"),
        ({"domain": "login", "instance_url": "https://acme.my.salesforce.com"}, "https://acme.my.salesforce.com"),
        ({"domain": "", "instance_url": None}, "https://login.salesforce.com"),
    ],
)
def test_the_login_host(extra, url):
    assert settings(**APP, **extra).login_url == url


def test_other_fields_of_that_type():
    org = settings(
        **APP,
        version="61.0",
        proxies='{"https": "http://proxy:3128"}',
        client_id="a name for SOAP",
        organization_id="00D000000000001",
    )

    assert (org.api_version, org.proxies) == ("61.0", {"https": "http://proxy:3128"})
    assert org.client_id == "key"


def test_our_own_extras_count_there_too():
    org = settings(
        password=None, **APP, mongo_conn_id="mongo_keys", account_id="acme", auth_timeout=3, grant_type="refresh_token"
    )

    assert (org.mongo_conn_id, org.account_id, org.auth_timeout) == ("mongo_keys", "acme", 3.0)
    assert org.grant().needs_key


def test_a_short_name_counts_before_a_prefixed_one():
    assert settings(**APP, extra__salesforce__consumer_key="older").client_id == "key"


@pytest.mark.parametrize(
    ("login", "password", "extra"),
    [
        ("ada@acme.com", "p4ssw0rd", {"security_token": "t0ken"}),
        ("ada@acme.com", "p4ssw0rd", {"organization_id": "00D000000000001"}),
        ("ada@acme.com", "p4ssw0rd", {}),
        ("ada@acme.com", "p4ssw0rd", {"consumer_key": "key"}),
        ("ada@acme.com", "p4ssw0rd", {"consumer_secret": "secret"}),
        ("ada@acme.com", None, APP),
        (None, None, {"consumer_key": "key", "private_key": "t0ken"}),
        (None, None, {}),
    ],
)
def test_a_soap_login_says_what_to_add(login, password, extra):
    with pytest.raises(ConfigurationError, match=r"'sf'.*SOAP login.*not supported.*consumer_key") as caught:
        settings(login, password, **extra)
    assert not any(secret in str(caught.value) for secret in ("p4ssw0rd", "t0ken"))


def test_the_environment_stands_in_for_a_consumer_key_and_secret(monkeypatch):
    monkeypatch.setenv("SALESFORCE_CLIENT_ID", "environments-key")
    monkeypatch.setenv("SALESFORCE_SECRET_ID", "environments-secret")
    monkeypatch.setenv("SALESFORCE_GRANT_TYPE", "authorization_code")

    org = settings(security_token="TOKEN")

    assert (org.client_id, org.client_secret) == ("environments-key", "environments-secret")
    assert org.grant() == PasswordGrant("ada@acme.com", "p4ssw0rd", "TOKEN")


def test_secrets_are_not_shown():
    shown = repr(settings(security_token="t0ken", consumer_key="key", consumer_secret="s3cret"))

    assert not any(secret in shown for secret in ("p4ssw0rd", "t0ken", "s3cret"))
