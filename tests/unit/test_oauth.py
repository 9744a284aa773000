import base64
import hashlib
import json
import pickle
import re
from dataclasses import replace
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
import requests
import responses

from airflow_provider_salesforce_export import exceptions
from airflow_provider_salesforce_export.salesforce.grants import (
    AuthorizationCodeGrant,
    ClientCredentialsGrant,
    JwtBearerGrant,
    PasswordGrant,
    RefreshTokenGrant,
)
from airflow_provider_salesforce_export.salesforce.oauth import TokenEndpoint, authorize_url, new_code_verifier
from airflow_provider_salesforce_export.salesforce.private_key import parse_private_key

LOGIN = "https://login.salesforce.com"
URL = f"{LOGIN}/services/oauth2/token"
REVOKE = f"{LOGIN}/services/oauth2/revoke"
ENDPOINT = TokenEndpoint(LOGIN, "consumer-key", "consumer-secret")
REPLY = {"access_token": "new", "instance_url": "https://acme.my.salesforce.com", "issued_at": "1764547200000"}
KEY = {"refresh_token": "old"}


@pytest.fixture
def grants(key_pair):
    return {
        "refresh_token": RefreshTokenGrant(),
        "authorization_code": AuthorizationCodeGrant("c0de", "ver1fier", "https://airflow.acme.com/callback"),
        "jwt_bearer": JwtBearerGrant("ada@acme.com", parse_private_key(key_pair[0])),
        "client_credentials": ClientCredentialsGrant(),
        "password": PasswordGrant("ada@acme.com", "p4ssw0rd", "t0ken"),
    }


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

    assert ENDPOINT.fetch(RefreshTokenGrant(), KEY) == REPLY | KEY


def test_a_rotated_refresh_token_replaces_the_old_one(http):
    http.post(URL, json=REPLY | {"refresh_token": "rotated"})

    assert ENDPOINT.fetch(RefreshTokenGrant(), KEY)["refresh_token"] == "rotated"


def test_passwords_survive_the_form(http):
    http.post(
        URL,
        json=REPLY,
        match=sends(
            grant_type="password",
            username="ada+export@acme.com",
            password="p#s+&=ß %token",
            client_id="consumer-key",
            client_secret="consumer-secret",
        ),
    )

    assert ENDPOINT.fetch(PasswordGrant("ada+export@acme.com", "p#s+&=ß %", "token"), None) == REPLY


REFUSALS = [
    ("refresh_token", "invalid_grant", "expired access/refresh token", "LoginRequired", "log in to Salesforce again"),
    ("refresh_token", "invalid_grant", "", "LoginRequired", "log in to Salesforce again"),
    ("refresh_token", "invalid_grant", "ip restricted", "Authentication", "IP address is not allowed"),
    ("refresh_token", "invalid_grant", "inactive user", "Authentication", "inactive or frozen"),
    ("refresh_token", "invalid_client_id", "client identifier invalid", "Authentication", "consumer key is wrong"),
    ("refresh_token", "invalid_client", "invalid client credentials", "Authentication", "consumer secret is wrong"),
    ("refresh_token", "unsupported_grant_type", "", "Authentication", "Salesforce admin can enable"),
    ("refresh_token", "rate_limit_exceeded", "", "RequestLimit", "Too many logins"),
    ("refresh_token", "never_seen", "", "Authentication", "settings of the app"),
    ("authorization_code", "invalid_grant", "expired authorization code", "LoginRequired", "good once"),
    ("authorization_code", "invalid_grant", "invalid code verifier", "LoginRequired", "good once"),
    ("authorization_code", "redirect_uri_mismatch", "must match", "Authentication", "callback URL of the app"),
    ("password", "invalid_grant", "authentication failure", "Authentication", "user_password or security_token"),
    ("password", "invalid_grant", "invalid login hours", "Authentication", "no login at this hour"),
    ("password", "inactive_org", "", "Authentication", "locked, closed or suspended"),
    ("password", "invalid_grant", "login rate exceeded", "RequestLimit", "Too many logins"),
    ("jwt_bearer", "invalid_grant", "user hasn't approved this consumer", "Authentication", "lets the user into"),
    ("jwt_bearer", "invalid_app_access", "user is not admin approved to access this app", "Authentication", "policies"),
    ("jwt_bearer", "invalid_grant", "invalid assertion", "Authentication", "does not belong to the certificate"),
    ("jwt_bearer", "invalid_grant", "audience is invalid", "Authentication", "'test' for a sandbox"),
    ("jwt_bearer", "invalid_grant", "assertion expired", "Authentication", "clock of this machine"),
    ("jwt_bearer", "invalid_grant", "something new", "Authentication", "Check username and private_key"),
    (
        "jwt_bearer",
        "app_not_found",
        "External client app is not installed in this org",
        "Authentication",
        "installs the app",
    ),
    ("client_credentials", "invalid_grant", "no client credentials user enabled", "Authentication", "user to run as"),
    ("client_credentials", "invalid_grant", "request not supported on this domain", "Authentication", "My Domain name"),
    ("client_credentials", "invalid_grant", "something new", "Authentication", "enables the client credentials flow"),
]


@pytest.mark.parametrize(("grant", "error", "description", "kind", "advice"), REFUSALS)
def test_a_refusal_says_what_to_correct(http, grants, grant, error, description, kind, advice):
    http.post(URL, status=400, json={"error": error, "error_description": description})

    with pytest.raises(exceptions.SalesforceError, match=advice) as caught:
        ENDPOINT.fetch(grants[grant], KEY)

    assert type(caught.value).__name__ == f"{kind}Error"
    assert (caught.value.error_code, caught.value.status_code) == (error, 400)
    assert all(part in str(caught.value) for part in (LOGIN, f"grant {grant}", error, description))
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_what_salesforce_says_is_shown_as_one_short_line_without_markup_and_secrets(http):
    description = "<b>no\n\tway</b>&nbsp;\x1b[31m p4ssw0rdt0ken consumer-secret " + "x" * 1000

    http.post(URL, status=400, json={"error": "<i>bad</i>", "error_description": description})

    with pytest.raises(exceptions.AuthenticationError) as caught:
        ENDPOINT.fetch(PasswordGrant("ada@acme.com", "p4ssw0rd", "t0ken"), None)
    said = str(caught.value)
    assert "bad, no way [31m *** *** xxx" in said
    assert len(said) < 400
    assert said.isprintable()
    assert caught.value.error_code == "bad"


@pytest.mark.parametrize(
    "name", ["refresh_token", "authorization_code", "jwt_bearer", "client_credentials", "password"]
)
def test_what_was_sent_is_not_shown_where_the_reply_repeats_it(http, grants, name):
    """As a badly built gateway may."""

    def repeat(request):
        sent = dict(parse_qsl(request.body))
        return 400, {}, json.dumps({"error": "bad", "error_description": f"got {sent.pop('grant_type')} {sent}"})

    http.add_callback("POST", URL, repeat)

    with pytest.raises(exceptions.AuthenticationError, match="bad, got ") as caught:
        ENDPOINT.fetch(grants[name], {"refresh_token": "refr3sh"})
    secrets = ("consumer-secret", "refr3sh", "c0de", "ver1fier", "eyJ", "p4ssw0rd", "t0ken")
    assert not [secret for secret in secrets if secret in str(caught.value)]


@pytest.mark.parametrize("body", [{"error": None}, {"error": ["x"], "error_description": {"a": 1}}, {"error": ""}])
def test_a_refusal_of_an_odd_form_is_still_a_refusal(http, body):
    http.post(URL, status=400, json=body)

    with pytest.raises(exceptions.AuthenticationError, match="refused to issue a token"):
        ENDPOINT.fetch(RefreshTokenGrant(), KEY)


def test_a_refresh_token_is_never_sent_twice(http):
    http.post(URL, status=503, body="<html>maintenance</html>")

    with pytest.raises(exceptions.SalesforceUnavailableError, match="503"):
        ENDPOINT.fetch(RefreshTokenGrant(), KEY)
    assert len(http.calls) == 1


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, "[]"),
        (200, "null"),
        (503, '{"error": "x"}'),
        (200, '"text"'),
        (200, "{}"),
        (200, '{"access_token": "a"}'),
        (200, '{"access_token": "", "instance_url": "https://acme.my.salesforce.com"}'),
        (400, '{"access_token": "a", "instance_url": "https://acme.my.salesforce.com"}'),
        (200, '{"access_token": "cut'),
        (200, b"\xff\xfe\x00"),
    ],
)
def test_a_reply_that_is_not_of_a_token_endpoint_is_said_to_be_passing(http, status, body):
    http.post(URL, status=status, body=body)

    with pytest.raises(exceptions.SalesforceUnavailableError, match=f"answered {status}"):
        ENDPOINT.fetch(RefreshTokenGrant(), KEY)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_secrets_follow_no_redirect(http, status):
    http.post(URL, status=status, headers={"Location": "https://elsewhere.example/token?code=s3cret"})

    with pytest.raises(exceptions.SalesforceUnavailableError, match=r"points to https://elsewhere\.example/") as caught:
        ENDPOINT.fetch(RefreshTokenGrant(), KEY)
    assert len(http.calls) == 1
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("instance_url", ["https://evil.example", "http://acme.my.salesforce.com", 7])
def test_a_token_for_an_instance_that_is_not_salesforces_is_not_returned(http, instance_url):
    http.post(URL, json=REPLY | {"instance_url": instance_url})

    with pytest.raises(exceptions.ForeignInstanceError, match="not Salesforce's") as caught:
        ENDPOINT.fetch(RefreshTokenGrant(), KEY)
    assert "new" not in re.findall(r"\w+", str(caught.value))


def test_a_slash_after_the_instance_is_taken_off(http):
    http.post(URL, json=REPLY | {"instance_url": "https://acme.my.salesforce.com/"})

    assert ENDPOINT.fetch(RefreshTokenGrant(), KEY)["instance_url"] == "https://acme.my.salesforce.com"


def test_silence_names_the_login_host(http):
    http.post(URL, body=requests.exceptions.ConnectTimeout())

    with pytest.raises(exceptions.SalesforceUnavailableError, match=r"login\.salesforce\.com did not answer"):
        ENDPOINT.fetch(RefreshTokenGrant(), KEY)


def test_a_login_waits_ten_seconds_unless_told_otherwise(http):
    http.post(URL, json=REPLY)
    ENDPOINT.fetch(RefreshTokenGrant(), KEY)
    replace(ENDPOINT, timeout=3.0).fetch(RefreshTokenGrant(), KEY)

    assert [call.request.req_kwargs["timeout"] for call in http.calls] == [10.0, 3.0]


def test_a_mistyped_domain_is_named_as_such():
    endpoint = TokenEndpoint("https://no-such-org.invalid", "consumer-key", "consumer-secret")

    with pytest.raises(exceptions.DomainNotFoundError, match=r"My Domain name.*mistyped"):
        endpoint.fetch(RefreshTokenGrant(), KEY)


@pytest.mark.parametrize(
    ("token", "revoked"),
    [({"access_token": "a", "refresh_token": "r"}, "r"), ({"access_token": "a"}, "a")],
)
def test_revoking_ends_the_refresh_token_where_there_is_one(http, token, revoked):
    http.post(REVOKE, match=sends(token=revoked))

    assert ENDPOINT.revoke(token)


@pytest.mark.parametrize("error", ["unsupported_token_type", "invalid_token"])
def test_revoking_a_dead_token_says_so(http, error):
    http.post(REVOKE, status=400, json={"error": error})

    assert not ENDPOINT.revoke({"access_token": "a"})


def test_a_revocation_that_fails_is_an_error(http):
    http.post(REVOKE, status=400, json={"error": "invalid_request s3cret"})
    http.post(REVOKE, status=503, body="<html>")

    with pytest.raises(exceptions.AuthenticationError, match=r"refused to revoke the token: invalid_request \*\*\*"):
        ENDPOINT.revoke({"access_token": "s3cret"})
    with pytest.raises(exceptions.SalesforceUnavailableError, match="503"):
        ENDPOINT.revoke({"access_token": "s3cret"})


def test_a_user_logs_in_at_an_address_with_pkce():
    verifier = new_code_verifier()

    url = urlsplit(
        authorize_url(
            LOGIN,
            "consumer-key",
            redirect_uri="https://airflow.acme.com/callback?a=b",
            scopes=("api", "refresh_token"),
            state="a&b=c",
            code_verifier=verifier,
        )
    )

    assert url._replace(query="").geturl() == f"{LOGIN}/services/oauth2/authorize"
    digest = hashlib.sha256(verifier.encode()).digest()
    assert parse_qs(url.query, strict_parsing=True) == {
        "response_type": ["code"],
        "client_id": ["consumer-key"],
        "redirect_uri": ["https://airflow.acme.com/callback?a=b"],
        "scope": ["api refresh_token"],
        "state": ["a&b=c"],
        "code_challenge": [base64.urlsafe_b64encode(digest).decode().rstrip("=")],
        "code_challenge_method": ["S256"],
    }
    assert verifier not in url.query
    assert "+" not in url.query  # Salesforce takes it for a plus


def test_code_verifiers_are_of_the_form_that_the_standard_demands_and_never_the_same():
    verifiers = {new_code_verifier() for _ in range(100)}

    assert len(verifiers) == 100
    assert all(re.fullmatch(r"[A-Za-z0-9._~-]{43,128}", verifier) for verifier in verifiers)


@pytest.mark.parametrize("scopes", [("api",), ("api", "full"), ()])
def test_scopes_that_give_no_refresh_token_are_refused(scopes):
    with pytest.raises(exceptions.ConfigurationError, match="add refresh_token"):
        authorize_url(
            LOGIN, "key", redirect_uri="https://a.example", scopes=scopes, state="s", code_verifier=new_code_verifier()
        )


def test_secrets_are_not_shown():
    proxied = replace(ENDPOINT, proxies={"https": "http://me:pr0xy@proxy"})

    assert not any(secret in repr(proxied) for secret in ("consumer-secret", "pr0xy"))
