from dataclasses import replace

import pytest
import requests
import responses

from airflow_provider_salesforce_export import exceptions
from airflow_provider_salesforce_export.salesforce.oauth import PasswordGrant, RefreshTokenGrant, TokenEndpoint

LOGIN = "https://login.salesforce.com"
URL = f"{LOGIN}/services/oauth2/token"
ENDPOINT = TokenEndpoint(LOGIN, "consumer-key", "consumer-secret")
REPLY = {"access_token": "new", "instance_url": "https://acme.my.salesforce.com", "issued_at": "1764547200000"}


def sends(**form):
    return [responses.matchers.urlencoded_params_matcher(form)]


def test_a_renewal_keeps_the_refresh_token_that_the_reply_leaves_out(http):
    http.post(
        URL,
        json=REPLY,
        match=sends(
            grant_type="refresh_token",
            refresh_token="old",
            client_id="consumer-key",
            client_secret="consumer-secret",
        ),
    )

    assert ENDPOINT.fetch(RefreshTokenGrant(), {"refresh_token": "old"}) == REPLY | {"refresh_token": "old"}


def test_a_rotated_refresh_token_replaces_the_old_one(http):
    http.post(URL, json=REPLY | {"refresh_token": "rotated"})

    assert ENDPOINT.fetch(RefreshTokenGrant(), {"refresh_token": "old"})["refresh_token"] == "rotated"


def test_passwords_survive_the_form(http):
    http.post(
        URL,
        json=REPLY,
        match=sends(
            grant_type="password",
            username="ada@acme.com",
            password="p#s+&=ß %token",
            client_id="consumer-key",
            client_secret="consumer-secret",
        ),
    )

    assert ENDPOINT.fetch(PasswordGrant("ada@acme.com", "p#s+&=ß %", "token"), None) == REPLY


@pytest.mark.parametrize(
    ("error", "kind", "advice"),
    [
        ("invalid_grant", exceptions.LoginRequiredError, "log in to Salesforce again"),
        ("invalid_client_id", exceptions.AuthenticationError, "consumer key is wrong"),
        ("invalid_client", exceptions.AuthenticationError, "consumer secret is wrong"),
        ("unsupported_grant_type", exceptions.AuthenticationError, "Salesforce admin"),
        ("never_seen", exceptions.AuthenticationError, "settings in Salesforce"),
    ],
)
def test_a_refusal_says_what_to_correct(http, error, kind, advice):
    http.post(URL, status=400, json={"error": error, "error_description": "because"})

    with pytest.raises(kind, match=advice) as caught:
        ENDPOINT.fetch(RefreshTokenGrant(), {"refresh_token": "old"})
    assert caught.value.error_code == error
    assert "consumer-secret" not in str(caught.value)


def test_a_refresh_token_is_never_sent_twice(http):
    http.post(URL, status=503, body="<html>maintenance</html>")

    with pytest.raises(exceptions.SalesforceUnavailableError, match="503"):
        ENDPOINT.fetch(RefreshTokenGrant(), {"refresh_token": "old"})
    assert len(http.calls) == 1


@pytest.mark.parametrize(("status", "body"), [(404, "[]"), (200, "null"), (503, '{"error": "x"}'), (200, '"text"')])
def test_a_reply_that_is_not_of_a_token_endpoint_is_said_to_be_passing(http, status, body):
    http.post(URL, status=status, body=body)

    with pytest.raises(exceptions.SalesforceUnavailableError, match=f"answered {status}"):
        ENDPOINT.fetch(RefreshTokenGrant(), {"refresh_token": "old"})


def test_silence_names_the_login_host(http):
    http.post(URL, body=requests.exceptions.ConnectTimeout())

    with pytest.raises(exceptions.SalesforceUnavailableError, match=r"login\.salesforce\.com did not answer"):
        ENDPOINT.fetch(RefreshTokenGrant(), {"refresh_token": "old"})


def test_a_mistyped_domain_is_named_as_such():
    endpoint = TokenEndpoint("https://no-such-org.invalid", "consumer-key", "consumer-secret")

    with pytest.raises(exceptions.DomainNotFoundError, match=r"My Domain name.*mistyped"):
        endpoint.fetch(RefreshTokenGrant(), {"refresh_token": "old"})


@pytest.mark.parametrize("key", [None, {}, {"access_token": "a"}, {"refresh_token": ""}])
def test_no_refresh_token_means_a_login(key):
    with pytest.raises(exceptions.LoginRequiredError):
        RefreshTokenGrant().form(key)


def test_secrets_are_not_shown():
    proxied = replace(ENDPOINT, proxies={"https": "http://me:pr0xy@proxy"})
    shown = repr(proxied) + repr(PasswordGrant("ada@acme.com", "p4ssw0rd", "t0ken"))

    assert not any(secret in shown for secret in ("consumer-secret", "pr0xy", "p4ssw0rd", "t0ken"))
