"""Every grant over a socket: what works, what each wrong value is called, and that no secret is shown."""

import json
import logging
import pickle
import re
import traceback
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from airflow_provider_salesforce_export import CONTACTS, ObjectType, SalesforceExportHook
from airflow_provider_salesforce_export.exceptions import (
    AuthenticationError,
    LoginRequiredError,
    SalesforceError,
)
from airflow_provider_salesforce_export.key_collection.collection import KeyCollection
from airflow_provider_salesforce_export.key_collection.encryption import KeyEncryption
from airflow_provider_salesforce_export.key_collection.key import Account
from airflow_provider_salesforce_export.object_types import resolve_object_type
from airflow_provider_salesforce_export.salesforce import grants
from airflow_provider_salesforce_export.salesforce.client import SalesforceClient
from airflow_provider_salesforce_export.salesforce.grants import (
    AuthorizationCodeGrant,
    ClientCredentialsGrant,
    JwtBearerGrant,
    PasswordGrant,
    RefreshTokenGrant,
)
from airflow_provider_salesforce_export.salesforce.oauth import TokenEndpoint, authorize_url, new_code_verifier
from airflow_provider_salesforce_export.salesforce.private_key import parse_private_key
from airflow_provider_salesforce_export.salesforce.session import Renewal
from airflow_provider_salesforce_export.salesforce.soql import Query

GRANTS = ("refresh_token", "authorization_code", "jwt_bearer", "client_credentials", "password")
CALLBACK = "http://localhost:8080/callback"


SECRET = "s3cret-of-the-app"


@pytest.fixture
def org(start_org, key_pair):
    """An org that knows the certificate of the app, and a password that a careless client would mangle."""
    return start_org(
        contacts=3,
        client_secret=SECRET,
        password="pä#s+w&rd%20= s3cret",
        security_token="T0KEN-s3cret",
        jwt_public_key=key_pair[1],
    )


@pytest.fixture
def keys(database):
    return KeyCollection(database["integrations.salesforce.key"], KeyEncryption((), SECRET))


@pytest.fixture
def endpoint(org):
    return TokenEndpoint(org.url, org.settings.client_id, org.settings.client_secret)


@pytest.fixture
def log_in_by_browser(org):
    """Go where a user is sent, allow access, and return what comes back to the callback."""

    def log_in(url, decision="allow"):
        with requests.Session() as browser:
            page = browser.get(url, timeout=30)
            ticket = re.search(r'name="ticket" value="([^"]+)"', page.text)
            assert ticket, page.text
            answer = browser.post(
                f"{org.url}/services/oauth2/authorize",
                data={"ticket": ticket[1], "decision": decision},
                allow_redirects=False,
                timeout=30,
            )
        location = urlsplit(answer.headers["Location"])
        assert location._replace(query="").geturl() == CALLBACK
        return {name: value for name, (value,) in parse_qs(location.query).items()}

    return log_in


@pytest.fixture
def login_url(endpoint):
    def login_url(verifier, scopes=("api", "refresh_token")):
        return authorize_url(
            endpoint.login_url,
            endpoint.client_id,
            redirect_uri=CALLBACK,
            scopes=scopes,
            state="a&b=c",
            code_verifier=verifier,
        )

    return login_url


@pytest.fixture
def make_grant(org, key_pair, log_in_by_browser, login_url):
    """Return a grant of a name, and the stored token that it needs."""

    def make_grant(name):
        settings = org.settings
        if name == "refresh_token":
            return RefreshTokenGrant(), org.org.issue_token()
        if name == "authorization_code":
            verifier = new_code_verifier()
            return AuthorizationCodeGrant(log_in_by_browser(login_url(verifier))["code"], verifier, CALLBACK), None
        if name == "jwt_bearer":
            return JwtBearerGrant(settings.username, parse_private_key(key_pair[0])), None
        if name == "client_credentials":
            return ClientCredentialsGrant(), None
        return PasswordGrant(settings.username, settings.password, settings.security_token), None

    return make_grant


class FixedToken:
    """A token that is not stored; renewed by a grant."""

    def __init__(self, endpoint, grant, key):
        self.endpoint, self.grant, self.key = endpoint, grant, key
        self.token = endpoint.fetch(grant, key)

    def current(self):
        return self.token

    def renew(self, rejected):
        self.token = self.endpoint.fetch(self.grant, self.key)
        return Renewal(self.token, True)


@pytest.mark.parametrize("name", GRANTS)
def test_a_grant_gives_a_token_that_works_and_says_whose_it_is(org, endpoint, make_grant, name):
    tokens = FixedToken(endpoint, *make_grant(name))

    client = SalesforceClient(tokens)

    assert client.count("SELECT COUNT() FROM Contact") == 3
    assert client.identity == f"{org.org.oauth.organization_id[:15]}/{org.org.user_id[:15]}"
    assert ("refresh_token" in tokens.current()) is (name in ("refresh_token", "authorization_code"))
    client.close()


def test_a_login_in_the_browser_can_be_renewed_afterwards(endpoint, make_grant):
    token = endpoint.fetch(*make_grant("authorization_code"))

    renewed = endpoint.fetch(RefreshTokenGrant(), token)

    assert renewed["access_token"] != token["access_token"]


def test_the_answer_to_a_login_brings_the_state_back(log_in_by_browser, login_url):
    assert log_in_by_browser(login_url(new_code_verifier()))["state"] == "a&b=c"
    denied = log_in_by_browser(login_url(new_code_verifier()), decision="deny")
    assert (denied["error"], denied["state"]) == ("access_denied", "a&b=c")


def test_scopes_that_the_app_does_not_have_are_refused(login_url):
    page = requests.get(login_url(new_code_verifier(), ("refresh_token", "everything")), timeout=30)

    assert (page.status_code, "invalid_scope" in page.text) == (400, True)


def test_a_code_is_good_once(endpoint, make_grant):
    grant, _ = make_grant("authorization_code")
    endpoint.fetch(grant, None)

    with pytest.raises(LoginRequiredError, match="good once"):
        endpoint.fetch(grant, None)


@pytest.mark.parametrize("name", [name for name in GRANTS if name != "jwt_bearer"])
@pytest.mark.parametrize(("field", "message"), [("client_id", "consumer key is wrong"), ("client_secret", "secret is")])
def test_a_wrong_app_is_named(endpoint, make_grant, name, field, message):
    with pytest.raises(AuthenticationError, match=message) as caught:
        replace(endpoint, **{field: "wrong"}).fetch(*make_grant(name))
    assert not isinstance(caught.value, LoginRequiredError)


@pytest.mark.parametrize(
    ("name", "wrong", "kind", "message"),
    [
        ("authorization_code", {"code": "wrong"}, LoginRequiredError, "log in to Salesforce again"),
        ("authorization_code", {"code_verifier": "wrong"}, LoginRequiredError, "log in to Salesforce again"),
        ("authorization_code", {"redirect_uri": "http://localhost/x"}, AuthenticationError, "callback URL of the app"),
        ("jwt_bearer", {"username": "wrong@acme.com"}, AuthenticationError, "username is the user's name in this"),
        ("password", {"username": "wrong@acme.com"}, AuthenticationError, "username, user_password or security_token"),
        ("password", {"password": "wrong"}, AuthenticationError, "username, user_password or security_token"),
        ("password", {"security_token": "wrong"}, AuthenticationError, "username, user_password or security_token"),
        ("password", {"security_token": ""}, AuthenticationError, "username, user_password or security_token"),
    ],
)
def test_a_wrong_field_of_a_grant_is_named(endpoint, make_grant, name, wrong, kind, message):
    grant, key = make_grant(name)

    with pytest.raises(AuthenticationError, match=message) as caught:
        endpoint.fetch(replace(grant, **wrong), key)
    assert type(caught.value) is kind


def test_a_dead_refresh_token_asks_for_a_login(endpoint):
    with pytest.raises(LoginRequiredError, match="log in to Salesforce again"):
        endpoint.fetch(RefreshTokenGrant(), {"refresh_token": "dead"})


def test_a_key_that_is_not_the_apps_is_named(endpoint, make_grant, make_private_key):
    grant, _ = make_grant("jwt_bearer")

    with pytest.raises(AuthenticationError, match="does not belong to the certificate"):
        endpoint.fetch(replace(grant, private_key=parse_private_key(make_private_key()[0])), None)


def test_a_consumer_key_that_the_certificate_does_not_fit_is_named(endpoint, make_grant):
    with pytest.raises(AuthenticationError, match="consumer key is wrong"):
        replace(endpoint, client_id="wrong").fetch(*make_grant("jwt_bearer"))


@pytest.mark.parametrize("lifetime", [-600, 600])
def test_a_clock_that_is_wrong_is_named(endpoint, make_grant, monkeypatch, lifetime):
    monkeypatch.setattr(grants, "_JWT_LIFETIME", lifetime)

    with pytest.raises(AuthenticationError, match="clock of this machine is wrong"):
        endpoint.fetch(*make_grant("jwt_bearer"))


def test_a_revoked_token_is_dead(endpoint, org):
    token = org.org.issue_token()

    assert endpoint.revoke(token)
    assert not endpoint.revoke(token)
    with pytest.raises(LoginRequiredError):
        endpoint.fetch(RefreshTokenGrant(), token)
    assert org.org.oauth.sessions.find(token["access_token"]) is None


def test_a_token_without_a_refresh_token_can_be_revoked(endpoint, org, make_grant):
    token = endpoint.fetch(*make_grant("password"))

    assert endpoint.revoke(token)
    assert org.org.oauth.sessions.find(token["access_token"]) is None


# Through Airflow's connection


@pytest.fixture
def hook_of(org, mongo_uri, database, monkeypatch):
    """Return a hook with a connection to the org, and no stored key."""

    def hook_of(extras, **connection):
        settings = org.settings
        fields = {
            "conn_type": "salesforce_export",
            "host": org.url,
            "login": settings.client_id,
            "password": settings.client_secret,
            "extra": {"key_database": database.name, **extras},
        }
        monkeypatch.setenv("AIRFLOW_CONN_ORG", json.dumps(fields | connection))
        monkeypatch.setenv("AIRFLOW_CONN_MONGO_DEFAULT", mongo_uri.replace("mongodb://", "mongo://"))
        return SalesforceExportHook("org")

    return hook_of


@pytest.fixture
def extras(org, key_pair):
    settings = org.settings
    return {
        "refresh_token": {},
        "jwt_bearer": {
            "grant_type": "jwt_bearer",
            "username": settings.username,
            "private_key": key_pair[0].replace("\n", "\\n"),
        },
        "client_credentials": {"grant_type": "client_credentials"},
        "password": {
            "grant_type": "password",
            "username": settings.username,
            "user_password": settings.password,
            "security_token": settings.security_token,
        },
    }


@pytest.mark.parametrize("name", ["refresh_token", "jwt_bearer", "client_credentials", "password"])
def test_the_test_button_says_which_grant(org, hook_of, extras, log_in, name):
    hook = hook_of(extras[name])
    if name == "refresh_token":
        log_in(org)

    works, said = hook.test_connection()

    assert works, said
    assert f"as {org.settings.username} by grant {name}" in said


@pytest.mark.parametrize(
    ("name", "wrong", "message"),
    [
        ("password", {"user_password": "wrong"}, "user_password or security_token is wrong"),
        ("password", {"security_token": "wrong"}, "user_password or security_token is wrong"),
        ("password", {"username": "wrong"}, "username, user_password"),
        ("password", {"password": "wrong"}, "consumer secret is wrong"),
        ("password", {"login": "wrong"}, "consumer key is wrong"),
        ("client_credentials", {"password": "wrong"}, "consumer secret is wrong"),
        ("jwt_bearer", {"username": "wrong"}, "lets the user into the app"),
        ("jwt_bearer", {"private_key": "wrong"}, "private_key is not an RSA private key"),
    ],
)
def test_the_test_button_finds_a_wrong_value_although_a_token_is_stored(hook_of, extras, name, wrong, message):
    assert hook_of(extras[name]).test_connection()[0]
    extra = {field: value for field, value in wrong.items() if field not in ("login", "password")}
    connection = {field: value for field, value in wrong.items() if field in ("login", "password")}

    works, said = hook_of(extras[name] | extra, **connection).test_connection()

    assert not works
    assert message in said


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        ({"error": "invalid_grant", "error_description": "ip restricted"}, "IP address is not allowed"),
        (
            {"error": "invalid_app_access", "error_description": "user is not admin approved to access this app"},
            "lets the user into the app",
        ),
        ({"error": "inactive_user", "error_description": "user is inactive"}, "inactive or frozen"),
    ],
)
def test_the_test_button_says_who_mends_what_only_salesforce_can_see(org, hook_of, extras, reply, message):
    org.org.fail_next(status=400, body=reply, path_pattern="/oauth2/token")

    works, said = hook_of(extras["password"]).test_connection()

    assert (works, message in said, reply["error_description"] in said) == (False, True, True)


def test_a_token_for_another_host_is_neither_used_nor_stored(org, hook_of, extras, keys):
    reply = {"access_token": "s3cret", "instance_url": "https://evil.example", "token_type": "Bearer"}
    org.org.fail_next(status=200, body=reply, path_pattern="/oauth2/token")
    hook = hook_of(extras["password"])

    with hook, pytest.raises(AuthenticationError, match=r"evil\.example.*neither used nor stored"):
        hook.client.count("SELECT COUNT() FROM Contact")

    assert keys.find(hook.account).token is None
    assert [call.path for call in org.org.calls] == ["/services/oauth2/token"]


def test_a_refusal_that_a_salesforce_admin_can_lift_does_not_cost_the_login(org, hook_of, log_in, keys):
    account = log_in(org)
    hook = hook_of({})
    org.org.expire_tokens()
    org.org.fail_next(
        status=400, body={"error": "invalid_grant", "error_description": "ip restricted"}, path_pattern="/oauth2/token"
    )

    with hook:
        with pytest.raises(AuthenticationError, match="IP address is not allowed"):
            hook.client.count("SELECT COUNT() FROM Contact")
        assert not keys.find(account).invalidated
        assert hook.client.count("SELECT COUNT() FROM Contact") == 3


@pytest.mark.parametrize("prefix", ["", "extra__salesforce__"])
@pytest.mark.parametrize("name", ["jwt_bearer", "client_credentials", "password"])
def test_a_connection_of_airflows_own_type_works(org, hook_of, key_pair, name, prefix, database):
    settings = org.settings
    extra = {"instance_url": org.url, "consumer_key": settings.client_id}
    user = {"login": settings.username, "password": None}
    if name == "jwt_bearer":
        extra |= {"private_key": key_pair[0]}
    else:
        extra |= {"consumer_secret": settings.client_secret, "security_token": settings.security_token}
        user = {"login": settings.username, "password": settings.password} if name == "password" else {"login": None}
    hook = hook_of(
        {},
        conn_type="salesforce",
        host=None,
        extra={prefix + field: value for field, value in extra.items()} | {"key_database": database.name},
        **({"password": None} | user),
    )

    works, said = hook.test_connection()

    assert works, said
    assert f"by grant {name}" in said


def test_the_settings_of_the_replaced_service_alone_will_do(org, mongo_uri, database, keys, log_in, monkeypatch):
    settings = org.settings
    query = f"{org.url}/services/data/v53.0/query/?q="
    for variable, value in {
        "CLIENT_ID": settings.client_id,
        "SECRET_ID": settings.client_secret,
        "AUTH_SCOPES": "api refresh_token",
        "AUTH_URL": f"{org.url}/services/oauth2/authorize",
        "TOKEN_URL": f"{org.url}/services/oauth2/token",
        "GRANT_TYPE": "authorization_code",
        "REDIRECT_URL": CALLBACK,
        "CONTACT_ENDPOINT": f"{query}SELECT+Id,Department+FROM+Contact+ORDER+BY+Name+LIMIT+200",
        "COUNT_ENDPOINT": f"{query}SELECT+COUNT()+FROM+",
    }.items():
        monkeypatch.setenv(f"SALESFORCE_{variable}", value)
    address, _, options = mongo_uri.replace("mongodb://", "mongo://").partition("?")
    monkeypatch.setenv("AIRFLOW_CONN_MONGO_DEFAULT", f"{address.rstrip('/')}/{database.name}?{options}")
    log_in(org)
    org.org.expire_tokens()
    contacts = resolve_object_type("contacts")

    with SalesforceExportHook() as hook:
        query = Query(contacts.sobject, contacts.all_fields()).where(contacts.where)
        (batch,) = hook.client.query(query.select())
        assert hook.client.count(query.count()) == len(batch) == 3

    assert contacts == ObjectType("contacts", "Contact", ("Id", "Department")) != CONTACTS
    assert batch[0].keys() - {"attributes"} == {"Id", "Department", "SystemModstamp"}
    assert {call.path for call in org.org.calls} == {"/services/oauth2/token", "/services/data/v53.0/query"}
    assert keys.find(Account(settings.client_id, org.url.partition("://")[2])).version == 2


# Secrets


def shown_by(error):
    """Return all that Python, a log or another process may show of an error: itself, its chain, its stack."""
    texts, errors = [], [error]
    while errors:
        error = errors.pop()
        texts += [str(error), repr(error), "".join(traceback.format_exception(error))]
        errors += [other for other in (error.__cause__, error.__context__) if other is not None]
    return "\n".join(texts)


def logged_in_debug(caplog):
    """Show every log, that of urllib3 too, as an Airflow at DEBUG does."""
    caplog.clear()
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, "urllib3")


def secrets_of(org, key_pair, *holders):
    """Return all that must not be shown: of the org, of grants and of tokens."""
    found = {org.settings.client_secret, org.settings.password, org.settings.security_token, "eyJ", "pr0xy"}
    found |= set(key_pair[0].splitlines()[1:-1])
    for holder in filter(None, holders):
        fields = holder if isinstance(holder, dict) else vars(holder)
        found |= {fields[name] for name in ("access_token", "refresh_token", "code", "code_verifier") if name in fields}
    return found


@pytest.mark.parametrize("name", GRANTS)
def test_no_secret_is_shown_where_all_goes_well(org, endpoint, make_grant, key_pair, caplog, name):
    grant, key = make_grant(name)
    logged_in_debug(caplog)

    tokens = FixedToken(endpoint, grant, key)
    client = SalesforceClient(tokens)
    client.count("SELECT COUNT() FROM Contact")
    client.close()
    assert endpoint.revoke(tokens.token)

    shown = repr((endpoint, grant, client)) + caplog.text
    assert "POST /services/oauth2/token" in shown
    assert "GET /services/data" in shown
    assert f"issued a new access token (grant {name})" in shown
    assert not [secret for secret in secrets_of(org, key_pair, grant, key, tokens.token) if secret in shown]


@pytest.mark.parametrize(
    "disturbed",
    [
        {"client_id": "wrong"},
        {"login_url": "http://127.0.0.1:9"},
        {"login_url": "https://no-such-org.invalid"},
        {"login_url": "http://proxied.invalid", "proxies": {"http": "http://me:pr0xy@127.0.0.1:9"}},
    ],
    ids=["refused", "away", "mistyped", "the proxy away"],
)
@pytest.mark.parametrize("name", GRANTS)
def test_no_secret_is_shown_where_it_fails(org, endpoint, make_grant, key_pair, caplog, name, disturbed):
    grant, key = make_grant(name)
    logged_in_debug(caplog)

    with pytest.raises(SalesforceError) as caught:
        replace(endpoint, **disturbed).fetch(grant, key)

    shown = shown_by(caught.value) + shown_by(pickle.loads(pickle.dumps(caught.value))) + caplog.text
    assert "urllib3" in shown
    assert not [secret for secret in secrets_of(org, key_pair, grant, key) if secret in shown]
