import json
from base64 import b64encode

import pytest
from airflow.sdk import Connection

from airflow_provider_salesforce_export import SalesforceExportHook
from airflow_provider_salesforce_export.exceptions import ConfigurationError
from airflow_provider_salesforce_export.hooks.connection import ConnectionSettings
from airflow_provider_salesforce_export.salesforce.grants import (
    GRANT_TYPES,
    ClientCredentialsGrant,
    JwtBearerGrant,
    PasswordGrant,
    RefreshTokenGrant,
)

EVERY_SETTING = {
    "SALESFORCE_CLIENT_ID": "environments-key",
    "SALESFORCE_SECRET_ID": "environments-secret",
    "SALESFORCE_AUTH_SCOPES": "api,refresh_token",
    "SALESFORCE_AUTH_URL": "https://acme.my.salesforce.com/services/oauth2/authorize",
    "SALESFORCE_TOKEN_URL": "https://test.salesforce.com/services/oauth2/token",
    "SALESFORCE_GRANT_TYPE": "authorization_code",
    "SALESFORCE_REDIRECT_URL": "https://old.acme.com/callback",
    "SALESFORCE_COUNT_ENDPOINT": "https://acme.my.salesforce.com/services/data/v53.0/query/?q=SELECT+COUNT()+FROM+",
}


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


@pytest.fixture
def every_setting(monkeypatch):
    for variable, value in EVERY_SETTING.items():
        monkeypatch.setenv(variable, value)


def test_a_misspelt_field_is_named_without_its_value(caplog):
    settings(acount_id="acme", my_token="s3cret", owner="team")

    (warning,) = (message for message in caplog.messages if "extra fields" in message)
    assert warning == (
        "Nothing reads the extra fields acount_id, my_token in the Airflow connection 'org'. Perhaps this was meant: "
        "account_id."
    )


def test_defaults():
    org = settings()

    assert org.login_url == org.login_page_url == "https://login.salesforce.com"
    assert (org.account_id, org.owner) == ("consumer-key", "login.salesforce.com")
    assert org.mongo_conn_id == "mongo_default"
    assert (org.auth_timeout, org.timeout) == (10.0, 180.0)
    assert (org.redirect_uri, org.scopes) == (None, ("api", "refresh_token"))
    assert isinstance(org.grant(), RefreshTokenGrant)


def test_blank_fields_count_as_unset():
    blank = dict.fromkeys(ConnectionSettings.__dataclass_fields__.keys() - {"client_id", "client_secret"}, "")

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
        user_password=" secret ",
        security_token="token",
        redirect_uri="http://localhost:8080/callback",
        scopes="api refresh_token id",
        private_key="key",
        private_key_file_path="/key.pem",
    )

    assert (org.account_id, org.owner, org.mongo_conn_id) == ("acme", "platform", "mongo_keys")
    assert (org.key_database, org.key_collection, org.api_version) == ("keys", "salesforce", "65.0")
    assert org.key_encryption_keys == ("new", "old") == settings(key_encryption_keys=["new", "old"]).key_encryption_keys
    assert (org.auth_timeout, org.timeout, org.proxies) == (3.0, 7.0, {"https": "http://proxy:3128"})
    assert (org.redirect_uri, org.scopes) == ("http://localhost:8080/callback", ("api", "refresh_token", "id"))
    assert (org.private_key, org.private_key_file_path) == ("key", "/key.pem")
    assert org.grant() == PasswordGrant("ada@acme.com", " secret ", "token")


@pytest.mark.parametrize("scopes", ["id api", "id,api", "id+api", "id%20api", " id\n api ", ["id", "api"]], ids=repr)
def test_scopes_in_every_spelling(scopes):
    assert settings(scopes=scopes).scopes == ("id", "api")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"login": None}, r"consumer key \(login\) is missing in the Airflow connection 'org'"),
        ({"password": None}, r"consumer secret \(password\) is missing in the Airflow connection 'org'"),
        ({"host": "http://acme.my.salesforce.com"}, "must be https, .* write 'https://acme.my.salesforce.com'"),
        ({"grant_type": "magic"}, f"grant_type 'magic'.*'org'.*{', '.join(GRANT_TYPES)}"),
        ({"api_version": "latest"}, "api_version 'latest'"),
        ({"timeout": "soon"}, "timeout 'soon'"),
        ({"auth_timeout": -1}, "auth_timeout -1"),
        ({"proxies": "http://me:s3cret@proxy:3128"}, "proxies"),
        (
            {"redirect_uri": "http://airflow.acme.com/callback"},
            "redirect_uri 'http://airflow.acme.com/callback'.*https",
        ),
    ],
)
def test_a_wrong_field_is_named(wrong, message):
    with pytest.raises(ConfigurationError, match=message) as caught:
        settings(**wrong)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("word", "grant_type"),
    [
        ("authorization_code", "refresh_token"),
        ("urn:ietf:params:oauth:grant-type:jwt-bearer", "jwt_bearer"),
        (" client_credentials ", "client_credentials"),
    ],
)
def test_other_words_for_a_grant(word, grant_type):
    assert settings(grant_type=word).grant_type == grant_type


@pytest.mark.parametrize(
    ("fields", "missing"),
    [
        ({"grant_type": "password"}, "'password' needs username and user_password"),
        ({"grant_type": "password", "username": "ada@acme.com"}, "'password' needs user_password in"),
        ({"grant_type": "password", "user_password": "x"}, "'password' needs username in"),
        ({"grant_type": "jwt_bearer"}, "'jwt_bearer' needs username and private_key"),
        ({"grant_type": "jwt_bearer", "username": "ada@acme.com"}, "'jwt_bearer' needs private_key in"),
        ({"grant_type": "jwt_bearer", "private_key_file_path": "/key.pem"}, "'jwt_bearer' needs username in"),
        ({"grant_type": "jwt_bearer", "username": "x", "private_key": "y"}, "private_key is not an RSA private key"),
        ({"grant_type": "jwt_bearer", "username": "x", "private_key_file_path": "/none.pem"}, "'/none.pem' cannot be"),
        ({"grant_type": "client_credentials"}, r"does not work at https://login\.salesforce\.com.*My Domain name"),
        ({"grant_type": "client_credentials", "host": "test"}, "does not work at https://test"),
    ],
)
def test_a_grant_names_what_it_needs(fields, missing):
    with pytest.raises(ConfigurationError, match=missing):
        settings(**fields).grant()


def test_the_jwt_grant_needs_no_secret_and_takes_its_key_from_a_field_or_a_file(key_pair, tmp_path):
    path = tmp_path / "key.pem"
    path.write_text(key_pair[0])
    common = {"password": None, "grant_type": "jwt_bearer", "username": "ada@acme.com"}

    from_field = settings(**common, private_key=b64encode(key_pair[0].encode()).decode()).grant()
    from_file = settings(**common, private_key_file_path=str(path)).grant()

    assert isinstance(from_field, JwtBearerGrant)
    assert from_field.username == from_file.username == "ada@acme.com"
    assert from_field.private_key.private_numbers() == from_file.private_key.private_numbers()


def test_the_client_credentials_grant_works_at_a_my_domain():
    assert settings(host="acme", grant_type="client_credentials").grant() == ClientCredentialsGrant()


def test_the_token_endpoint_has_what_the_connection_says():
    endpoint = settings(auth_timeout=3, proxies={"https": "http://proxy:3128"}).token_endpoint()

    assert (endpoint.login_url, endpoint.client_id, endpoint.client_secret) == (
        "https://login.salesforce.com",
        "consumer-key",
        "consumer-secret",
    )
    assert (endpoint.timeout, endpoint.proxies) == (3.0, {"https": "http://proxy:3128"})


def test_secrets_are_not_shown():
    names = ["user_password", "security_token", "private_key", "key_encryption_keys"]
    shown = repr(settings(**{name: f"s3cret-{name}" for name in names}, proxies={"https": "http://me:s3cret@proxy"}))

    assert "s3cret" not in shown
    assert "consumer-secret" not in shown


@pytest.mark.usefixtures("every_setting")
def test_the_environment_stands_in_for_blank_fields():
    org = settings(host="", login="", password="")

    assert (org.client_id, org.client_secret) == ("environments-key", "environments-secret")
    assert (org.login_url, org.login_page_url) == ("https://test.salesforce.com", "https://acme.my.salesforce.com")
    assert (org.account_id, org.owner) == ("environments-key", "test.salesforce.com")
    assert (org.redirect_uri, org.scopes) == ("https://old.acme.com/callback", ("api", "refresh_token"))
    assert (org.grant_type, org.api_version) == ("refresh_token", "53.0")


@pytest.mark.usefixtures("every_setting")
def test_the_connection_counts_above_the_environment():
    fields = {
        "grant_type": "password",
        "redirect_uri": "https://new.acme.com/callback",
        "scopes": "api id refresh_token",
        "api_version": "65.0",
    }
    org = settings(host="login", **fields)

    assert (org.client_id, org.client_secret) == ("consumer-key", "consumer-secret")
    assert org.login_url == org.login_page_url == "https://login.salesforce.com"
    assert {name: getattr(org, name) for name in fields} == fields | {"scopes": ("api", "id", "refresh_token")}


def test_a_wrong_setting_that_the_connection_covers_harms_nobody(monkeypatch):
    for variable in [*EVERY_SETTING, "SALESFORCE_CONTACT_ENDPOINT"]:
        monkeypatch.setenv(variable, "http://wrong")

    covered = {"grant_type": "refresh_token", "redirect_uri": "https://a.example", "scopes": "api", "api_version": "62"}
    assert settings(**covered).login_url == "https://login.salesforce.com"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("SALESFORCE_GRANT_TYPE", "magic"),
        ("SALESFORCE_REDIRECT_URL", "http://old.acme.com/callback"),
        ("SALESFORCE_TOKEN_URL", "http://login.salesforce.com/services/oauth2/token"),
        ("SALESFORCE_COUNT_ENDPOINT", "SELECT COUNT() FROM Contact"),
    ],
)
def test_a_wrong_setting_is_named(monkeypatch, variable, value):
    monkeypatch.setenv(variable, value)

    with pytest.raises(ConfigurationError, match=variable):
        settings(host="")


@pytest.fixture
def no_connection(monkeypatch):
    """Airflow has no connection at all."""
    from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook

    def find_none(conn_id):
        raise AirflowNotFoundException(conn_id)

    monkeypatch.setattr(BaseHook, "get_connection", find_none)


@pytest.mark.usefixtures("no_connection", "every_setting")
def test_without_a_connection_the_environment_alone_will_do():
    org = SalesforceExportHook().settings

    assert (org.client_id, org.login_url) == ("environments-key", "https://test.salesforce.com")


@pytest.mark.usefixtures("no_connection", "every_setting")
def test_a_connection_that_a_dag_names_must_exist():
    with pytest.raises(ConfigurationError, match="no Airflow connection 'acme_production'"):
        _ = SalesforceExportHook("acme_production").settings


@pytest.mark.usefixtures("no_connection")
def test_without_a_connection_and_without_settings_the_connection_is_missing(monkeypatch):
    with pytest.raises(ConfigurationError, match="no Airflow connection 'salesforce_export_default'"):
        _ = SalesforceExportHook().settings
    monkeypatch.setenv("SALESFORCE_CLIENT_ID", "environments-key")
    with pytest.raises(ConfigurationError, match=r"consumer secret \(password\) is missing in the environment"):
        _ = SalesforceExportHook().settings
