"""The eleven settings of the service that this package replaces."""

import logging
import re
from pathlib import Path

import pytest

from airflow_provider_salesforce_export import CONTACTS, DEALS, NOTES, ObjectType, environment
from airflow_provider_salesforce_export.environment import connection_setting
from airflow_provider_salesforce_export.exceptions import ConfigurationError, UnknownObjectTypeError
from airflow_provider_salesforce_export.object_types import object_type_from_environment, resolve_object_type

QUERY = "https://acme.my.salesforce.com/services/data/v53.0/query/?q="


@pytest.mark.parametrize(
    ("variable", "field", "value", "setting"),
    [
        ("SALESFORCE_CLIENT_ID", "client_id", " consumer-key ", "consumer-key"),
        ("SALESFORCE_SECRET_ID", "client_secret", "consumer-secret", "consumer-secret"),
        ("SALESFORCE_AUTH_SCOPES", "scopes", "api refresh_token", "api refresh_token"),
        ("SALESFORCE_GRANT_TYPE", "grant_type", "authorization_code", "authorization_code"),
        ("SALESFORCE_REDIRECT_URL", "redirect_uri", "https://a.example/cb", "https://a.example/cb"),
        (
            "SALESFORCE_TOKEN_URL",
            "host",
            "https://test.salesforce.com/services/oauth2/token",
            "https://test.salesforce.com",
        ),
        ("SALESFORCE_TOKEN_URL", "host", "https://acme.my.salesforce.com/", "https://acme.my.salesforce.com"),
        ("SALESFORCE_TOKEN_URL", "host", "test", "https://test.salesforce.com"),
        (
            "SALESFORCE_AUTH_URL",
            "authorize_host",
            "https://acme.my.salesforce.com/services/oauth2/authorize",
            "https://acme.my.salesforce.com",
        ),
        (
            "SALESFORCE_AUTH_URL",
            "host",
            "https://test.salesforce.com/services/oauth2/authorize",
            "https://test.salesforce.com",
        ),
        ("SALESFORCE_CONTACT_ENDPOINT", "api_version", QUERY + "SELECT+Id+FROM+Contact", "53.0"),
        ("SALESFORCE_DEALS_ENDPOINT", "api_version", QUERY + "SELECT+Id+FROM+Opportunity", "53.0"),
        ("SALESFORCE_NOTES_ENDPOINT", "api_version", QUERY + "SELECT+Id+FROM+Note", "53.0"),
        ("SALESFORCE_COUNT_ENDPOINT", "api_version", QUERY + "SELECT+COUNT()+FROM+", "53.0"),
        (
            "SALESFORCE_COUNT_ENDPOINT",
            "api_version",
            "https://acme.my.salesforce.com/services/data/v53.0/limits/recordCount",
            "53.0",
        ),
    ],
)
def test_a_setting_stands_for_a_field_of_the_connection(monkeypatch, variable, field, value, setting):
    monkeypatch.setenv(variable, value)

    assert connection_setting(field) == (variable, setting)


@pytest.mark.parametrize("value", ["", "  "])
def test_a_blank_setting_is_none(monkeypatch, value):
    for variable in re.findall(r"SALESFORCE_\w+", Path(environment.__file__).read_text()):
        monkeypatch.setenv(variable, value)

    fields = ("client_id", "client_secret", "scopes", "grant_type", "redirect_uri", "host", "authorize_host")
    assert not any(connection_setting(field) for field in (*fields, "api_version", "timeout"))
    assert resolve_object_type("contacts") is CONTACTS


@pytest.mark.parametrize(("field", "host"), [("host", "test"), ("authorize_host", "acme.my")])
def test_tokens_and_the_login_page_may_have_hosts_of_their_own(monkeypatch, field, host):
    monkeypatch.setenv("SALESFORCE_TOKEN_URL", "https://test.salesforce.com/services/oauth2/token")
    monkeypatch.setenv("SALESFORCE_AUTH_URL", "https://acme.my.salesforce.com/services/oauth2/authorize")

    assert connection_setting(field).value == f"https://{host}.salesforce.com"


@pytest.mark.parametrize(
    ("endpoints", "version"),
    [
        ({"CONTACT": "48.0", "NOTES": "53.0", "COUNT": "60.0"}, "53.0"),
        ({"CONTACT": "9.0", "DEALS": "53.0"}, "53.0"),
        ({"COUNT": "60.0"}, "60.0"),
    ],
)
def test_the_api_version_is_the_newest_of_the_objects_and_else_the_counts(monkeypatch, endpoints, version):
    for name, its_version in endpoints.items():
        url = f"https://acme.my.salesforce.com/services/data/v{its_version}/query?q=SELECT+Id+FROM+Contact"
        monkeypatch.setenv(f"SALESFORCE_{name}_ENDPOINT", url)

    assert connection_setting("api_version").value == version


@pytest.mark.parametrize(
    ("name", "variable", "query", "fields", "where"),
    [
        ("contacts", "CONTACT", "SELECT+Id,Name,Level__c+FROM+Contact", ("Id", "Name", "Level__c"), None),
        ("contacts", "CONTACT", "SELECT%20Id%2C%20Name%20FROM%20Contact", ("Id", "Name"), None),
        ("contacts", "CONTACT", "SELECT Id, Name FROM Contact", ("Id", "Name"), None),
        ("contacts", "CONTACT", "select+id+from+contact+where+Name+LIKE+'A%25'", ("id",), "Name LIKE 'A%'"),
        ("deals", "DEALS", "SELECT+Id,Owner.Alias+FROM+Opportunity+", ("Id", "Owner.Alias"), None),
        ("deals", "DEALS", "SELECT+Id+FROM+Opportunity+WHERE+Amount+>+5", ("Id",), "Amount > 5"),
        ("notes", "NOTES", "SELECT+Id,Body+FROM+Note+WHERE+Title='a%26b'", ("Id", "Body"), "Title='a&b'"),
    ],
)
def test_an_endpoint_is_the_query_of_its_object(monkeypatch, name, variable, query, fields, where):
    monkeypatch.setenv(f"SALESFORCE_{variable}_ENDPOINT", QUERY + query)

    object_type = resolve_object_type(name)

    assert (object_type.name, object_type.fields, object_type.where) == (name, fields, where)
    assert object_type == object_type_from_environment(name)


@pytest.mark.parametrize(
    ("paging", "kept"),
    [
        (" ORDER BY Name", ""),
        (" ORDER BY Name ASC NULLS LAST, CreatedDate DESC LIMIT 200 OFFSET 400", ""),
        (" order by Id limit 10", ""),
        (" LIMIT 200", ""),
        (" LIMIT", ""),
        (" LIMIT 200 OFFSET ", ""),
        (" OFFSET 0;", ""),
        (" WHERE Title = 'x LIMIT 5' LIMIT 10", "Title = 'x LIMIT 5'"),
        (" WHERE Title = 'it\\'s LIMIT 5' ORDER BY Id", "Title = 'it\\'s LIMIT 5'"),
        (" WHERE Limit__c > 5\nORDER  BY\nId", "Limit__c > 5"),
    ],
)
def test_the_paging_of_an_endpoint_is_left_out_and_that_is_said(monkeypatch, caplog, paging, kept):
    monkeypatch.setenv("SALESFORCE_CONTACT_ENDPOINT", f"{QUERY}SELECT Id FROM Contact{paging}")

    with caplog.at_level(logging.DEBUG, environment.__name__):
        object_type = resolve_object_type("contacts")

    assert object_type == ObjectType("contacts", "Contact", ("Id",), where=kept or None)
    assert re.search("SALESFORCE_CONTACT_ENDPOINT: .* is left out", caplog.text)


def test_an_endpoint_without_paging_says_nothing(monkeypatch, caplog):
    monkeypatch.setenv("SALESFORCE_CONTACT_ENDPOINT", f"{QUERY}SELECT+Id+FROM+Contact+WHERE+Title='ORDER BY x'")

    with caplog.at_level(logging.DEBUG):
        assert resolve_object_type("contacts").where == "Title='ORDER BY x'"
    assert not caplog.records


@pytest.mark.parametrize(
    "value",
    [
        "SELECT Id FROM Contact",
        "https://acme.my.salesforce.com/services/data/v53.0/query/",
        "https://acme.my.salesforce.com/services/data/v53.0/query/?q=",
        "https://acme.my.salesforce.com/services/data/v53.0/queryAll/?q=SELECT+Id+FROM+Contact",
        "https://acme.my.salesforce.com/services/data/query/?q=SELECT+Id+FROM+Contact",
        "https://[acme/services/data/v53.0/query/?q=SELECT+Id+FROM+Contact",
        "https://me:s3cret@acme.my.salesforce.com/query",
        QUERY + "DELETE+FROM+Contact",
        QUERY + "SELECT+FIELDS(ALL)+FROM+Contact+LIMIT+200",
        QUERY + "SELECT+Id,(SELECT+Id+FROM+Cases+LIMIT+5)+FROM+Contact",
        QUERY + "SELECT+Id+FROM+Contact+LIMIT+five",
        QUERY + "SELECT+Id+FROM+Contact+GROUP+BY+Id",
        QUERY + "SELECT+Id+FROM+Contact+LIMIT+5+FOR+VIEW",
    ],
)
def test_an_endpoint_that_is_no_query_is_named(monkeypatch, value):
    monkeypatch.setenv("SALESFORCE_CONTACT_ENDPOINT", value)

    with pytest.raises(ConfigurationError, match="environment variable SALESFORCE_CONTACT_ENDPOINT") as caught:
        resolve_object_type("contacts")
    assert "s3cret" not in str(caught.value)
    assert resolve_object_type("deals") is DEALS


@pytest.mark.parametrize(
    ("variable", "value", "field"),
    [
        ("SALESFORCE_TOKEN_URL", "http://login.salesforce.com/services/oauth2/token", "host"),
        ("SALESFORCE_TOKEN_URL", "https://me:s3cret@login.salesforce.com/services/oauth2/token", "host"),
        ("SALESFORCE_TOKEN_URL", "https://login.salesforce.com/other", "host"),
        ("SALESFORCE_AUTH_URL", "https://login.salesforce.com/services/oauth2/authorize?x=s3cret", "authorize_host"),
        ("SALESFORCE_COUNT_ENDPOINT", "https://acme.my.salesforce.com/count", "api_version"),
        ("SALESFORCE_NOTES_ENDPOINT", "https://acme.my.salesforce.com/notes", "api_version"),
    ],
)
def test_a_setting_of_a_wrong_form_is_named_and_not_shown(monkeypatch, variable, value, field):
    monkeypatch.setenv(variable, value)

    with pytest.raises(ConfigurationError, match=f"environment variable {variable} .*such as") as caught:
        connection_setting(field)
    assert "s3cret" not in str(caught.value)


def test_without_settings_the_catalogue_counts():
    assert [resolve_object_type(name) for name in ("contacts", "deals", "notes")] == [CONTACTS, DEALS, NOTES]
    assert object_type_from_environment("contacts") is None
    assert object_type_from_environment("users") is None


def test_an_endpoint_changes_no_object_type_of_ones_own(monkeypatch):
    monkeypatch.setenv("SALESFORCE_CONTACT_ENDPOINT", QUERY + "SELECT+Id+FROM+Contact")

    assert resolve_object_type(CONTACTS) is CONTACTS
    with pytest.raises(UnknownObjectTypeError):
        resolve_object_type("users")


def test_every_setting_is_documented():
    variables = set(re.findall(r"SALESFORCE_[A-Z_]+", Path(environment.__file__).read_text()))

    documented = (Path(__file__).parents[2] / "docs" / "environment.md").read_text()

    assert len(variables) == 11
    assert variables == set(re.findall(r"`(SALESFORCE_[A-Z_]+)`", documented))
