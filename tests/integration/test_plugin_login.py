"""Log in to Salesforce, come back, and disconnect, through Airflow's API server."""

from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest

from airflow_provider_salesforce_export.key_collection.key import Account
from airflow_provider_salesforce_export.sandbox.errors import OAuthError
from tests.integration.api_server import DELETE_HEADER, PREFIX, outcome, parameters
from tests.patience import PATIENCE

REVOKE = "/services/oauth2/revoke"


@pytest.fixture
def org(start_org, connections):
    """An org to which somebody is connected."""
    server = start_org(contacts=3)
    connections(server)
    return server


@pytest.fixture
def unknown_org(org, documents):
    """An org to which nobody is connected."""
    documents.delete_many({})
    return org


def test_a_login_ends_where_it_was_to_go_with_a_key_that_works(browser, unknown_org, documents, database):
    op = browser("op")

    answer = op.log_in("/plugin/salesforce?tab=1#top")

    assert outcome(answer) == ("/plugin/salesforce#top", {"tab": "1", "salesforce": "connected"})
    (document,) = documents.find()
    assert document["connected_by"] == "op"
    assert document["token"]["access_token"].startswith("fernet:")
    assert not database["integrations.salesforce.key.logins"].count_documents({})
    assert op.get("export/contacts").json()["pagination"]["total"] == 3


def test_salesforce_is_asked_with_pkce_the_scopes_and_the_callback_url(browser, unknown_org, airflow_url, database):
    op = browser("op")

    asked = parameters(op.begin())

    assert asked["redirect_uri"] == f"{airflow_url}{PREFIX}/auth/callback"
    assert asked["scope"] == "api refresh_token"
    assert asked["code_challenge_method"] == "S256"
    (pending,) = database["integrations.salesforce.key.logins"].find()
    assert pending["secrets"]["code_verifier"].startswith("fernet:")
    assert op.cookies["salesforce_login"] not in str(pending)


def test_the_cookie_of_a_login_is_kept_from_scripts_and_other_sites(browser, unknown_org):
    cookie = browser("op").get("auth/login").headers["Set-Cookie"]

    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert f"Path={PREFIX}/auth" in cookie
    assert "Secure" not in cookie


def test_behind_https_the_cookie_is_secure_and_the_connections_redirect_uri_counts(
    browser, unknown_org, connections, documents
):
    connections(unknown_org, redirect_uri="https://airflow.acme.com/af/v1/integrations/salesforce/auth/callback")
    documents.delete_many({})

    answer = browser("op").get("auth/login")

    assert parameters(answer.headers["Location"])["redirect_uri"].startswith("https://airflow.acme.com/af/")
    assert "Secure" in answer.headers["Set-Cookie"]
    assert "Path=/af/v1/integrations/salesforce/auth" in answer.headers["Set-Cookie"]


def test_with_a_key_nobody_is_sent_to_salesforce(browser, org):
    answer = browser("op").get("auth/login", params={"forward_url": "/plugin/salesforce"})

    assert outcome(answer) == ("/plugin/salesforce", {"salesforce": "connected"})


def test_a_refused_key_is_deleted_and_a_login_asked_for(browser, org, documents):
    documents.update_one({}, {"$set": {"token_invalidated": True}})

    assert browser("op").begin().startswith(f"{org.url}/services/oauth2/authorize?")
    assert not documents.count_documents({})


def test_a_login_replaces_a_key_that_nobody_can_read(browser, org, documents):
    documents.update_one({}, {"$set": {"token.access_token": "fernet:of-a-lost-key"}})
    op = browser("op")

    assert outcome(op.log_in())[1] == {"salesforce": "connected"}
    assert op.get("export/contacts").status_code == 200


def test_who_is_not_logged_in_to_airflow_is_sent_there_first(browser, unknown_org, airflow_url):
    answer = browser().get("auth/login", params={"forward_url": "/plugin/salesforce"}, headers={"Host": "evil.com"})

    assert answer.status_code == 307
    there = urlsplit(answer.headers["Location"])
    assert there.path == "/auth/login"
    assert parameters(answer.headers["Location"])["next"] == (
        f"{airflow_url}{PREFIX}/auth/login?forward_url=%2Fplugin%2Fsalesforce"
    )


def test_where_there_is_nowhere_to_go_a_page_says_how_it_went(browser, unknown_org):
    op = browser("op")

    denied, allowed = op.log_in("", "deny"), op.log_in("")

    assert denied.status_code == 400
    assert "Access was denied in Salesforce" in denied.text
    assert allowed.status_code == 200
    assert "Connected to Salesforce" in allowed.text


def test_a_login_that_the_user_denies_comes_back_with_the_reason(browser, unknown_org):
    where, result = outcome(browser("op").log_in(decision="deny"))

    assert where == "/plugin/salesforce"
    assert result["salesforce"] == "error"
    assert "allow it" in result["message"]


@pytest.mark.parametrize(
    ("code", "description", "advice"),
    [
        ("redirect_uri_mismatch", "redirect_uri must match configuration", "add this callback URL, to the letter"),
        ("invalid_client_id", "client identifier invalid", "copy the consumer key"),
        ("invalid_client", "invalid client credentials", "copy the consumer secret"),
        ("OAUTH_APP_BLOCKED", "this app is blocked by admin", "has blocked the app"),
        ("OAUTH_EC_APP_NOT_FOUND", "External client app is not installed in this org", "is not installed"),
        ("OAUTH_APP_ACCESS_DENIED", "user is not admin approved to access this app", "is not let into the app"),
    ],
)
@pytest.mark.parametrize("where", ["callback", "token endpoint"])
def test_a_wrong_app_is_told_with_what_to_register(
    where, code, description, advice, browser, unknown_org, monkeypatch, airflow_url
):
    def refuse(form, url):
        raise OAuthError(code, description)

    op = browser("op")
    callback = op.consent(op.begin())
    if where == "callback":
        state = parameters(callback)["state"]
        answer = op.get(
            callback.partition("?")[0],
            params={"state": state, "error": code, "error_description": description},
        )
    else:
        monkeypatch.setattr(unknown_org.org.oauth, "token", refuse)
        answer = op.get(callback)

    message = outcome(answer)[1]["message"]
    assert advice in message
    assert f"{airflow_url}{PREFIX}/auth/callback" in message


def test_a_connection_that_needs_no_login_says_so(browser, unknown_org, connections):
    connections(unknown_org, grant_type="client_credentials")

    _, result = outcome(browser("op").get("auth/login", params={"forward_url": "/"}))

    assert "needs no login: grant_type 'client_credentials'" in result["message"]


def test_an_account_chooses_the_connection_and_another_one_is_refused(browser, unknown_org):
    op = browser("op")
    settings = unknown_org.settings

    sent = op.begin(account_id=settings.client_id, owner=unknown_org.url.partition("://")[2])
    refused = op.get("auth/login", params={"account_id": "of-somebody-else"})

    assert sent.startswith(unknown_org.url)
    assert refused.status_code == 404
    assert op.get("auth/login", params={"conn_id": "salesforce_export_default", "owner": "x"}).status_code == 404


def test_without_a_refresh_token_nothing_is_stored(browser, unknown_org, documents, monkeypatch):
    answer = unknown_org.org.oauth.token
    without = {"refresh_token"}
    op = browser("op")
    callback = op.consent(op.begin())
    monkeypatch.setattr(
        unknown_org.org.oauth,
        "token",
        lambda form, url: {name: value for name, value in answer(form, url).items() if name not in without},
    )

    assert "scope refresh_token" in outcome(op.get(callback))[1]["message"]
    assert not documents.count_documents({})


def test_two_logins_at_once_in_one_browser_both_end_and_the_last_one_wins(browser, unknown_org, documents):
    op = browser("op")
    first, second = op.consent(op.begin()), op.consent(op.begin())

    assert outcome(op.get(second))[1] == {"salesforce": "connected"}
    assert outcome(op.get(first))[1] == {"salesforce": "connected"}
    (document,) = documents.find()
    assert document["version"] == 2
    assert op.get("export/contacts").status_code == 200


def test_two_users_log_in_at_once(browser, unknown_org, documents):
    op, admin = browser("op"), browser("admin")
    of_op, of_admin = op.consent(op.begin()), admin.consent(admin.begin())

    assert outcome(admin.get(of_admin))[1] == {"salesforce": "connected"}
    assert outcome(op.get(of_op))[1] == {"salesforce": "connected"}
    (document,) = documents.find()
    assert document["connected_by"] == "op"


def test_a_login_ends_well_where_the_key_was_deleted_meanwhile(browser, org, documents):
    documents.update_one({}, {"$set": {"token_invalidated": True}})
    op = browser("op")
    callback = op.consent(op.begin())
    documents.delete_many({})

    assert outcome(op.get(callback))[1] == {"salesforce": "connected"}
    assert documents.count_documents({}) == 1


def test_salesforce_away_is_told_where_the_login_was_to_go(browser, unknown_org):
    op = browser("op")
    callback = op.consent(op.begin())
    unknown_org.org.fail_next(status=503, body="<html>down</html>", path_pattern="/services/oauth2/token")

    where, result = outcome(op.get(callback))

    assert where == "/plugin/salesforce"
    assert "under maintenance" in result["message"]


def test_a_salesforce_that_is_slow_is_given_up(browser, unknown_org, connections, documents, token_gate):
    connections(unknown_org, auth_timeout=0.2)
    documents.delete_many({})
    op = browser("op")
    callback = op.consent(op.begin())

    with token_gate(unknown_org):
        _, result = outcome(op.get(callback))

    assert result["salesforce"] == "error"
    assert "did not answer" in result["message"]


def test_mongodb_away_is_told_where_the_login_was_to_go(browser, unknown_org, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_MONGO_DEFAULT", "mongo://127.0.0.1:1/?serverSelectionTimeoutMS=100")

    _, result = outcome(browser("op").get("auth/login", params={"forward_url": "/"}))

    assert "MongoDB, which keeps the Salesforce keys, does not answer" in result["message"]


def test_mongodb_away_at_the_callback_is_told_where_the_login_was_to_go(browser, unknown_org, monkeypatch):
    op = browser("op")
    callback = op.consent(op.begin())
    monkeypatch.setenv("AIRFLOW_CONN_MONGO_DEFAULT", "mongo://127.0.0.1:1/?serverSelectionTimeoutMS=100")

    where, result = outcome(op.get(callback))

    assert where == "/plugin/salesforce"
    assert "MongoDB, which keeps the Salesforce keys, does not answer" in result["message"]
    assert not [call for call in unknown_org.org.calls if "/token" in call.path]  # the code is still good


def test_while_a_login_waits_for_salesforce_the_server_answers_others(
    browser, unknown_org, connections, documents, token_gate
):
    connections(unknown_org, auth_timeout=PATIENCE)
    documents.delete_many({})
    op, other = browser("op"), browser("op")
    callback = op.consent(op.begin())

    with ThreadPoolExecutor(1) as pool:
        with token_gate(unknown_org) as gate:
            answer = pool.submit(op.get, callback)
            gate.wait_until(lambda: gate.waiting)
            assert other.get("connections").status_code == 200
            assert not answer.done()
        assert outcome(answer.result())[1] == {"salesforce": "connected"}


def test_disconnecting_revokes_at_salesforce_and_deletes_the_key(browser, org, documents, keys):
    admin = browser("admin")
    token, stored = org.org.issue_token(), keys.find(Account(org.settings.client_id, org.url.partition("://")[2])).token
    assert admin.get("export/contacts").status_code == 200

    answer = admin.delete("auth/", headers=DELETE_HEADER)

    assert answer.json() == {"success": True, "message": "Disconnected: the key is deleted.", "revoked": True}
    assert not documents.count_documents({})
    assert org.org.oauth.sessions.find(token["access_token"])  # of another login
    assert not org.org.oauth.sessions.find(stored["access_token"])
    assert admin.delete("auth/", headers=DELETE_HEADER).status_code == 404
    refused = admin.get("export/contacts")
    assert refused.status_code == 404
    assert refused.json()["login_url"].endswith(f"{PREFIX}/auth/login?conn_id=salesforce_export_default")


def test_where_salesforce_does_not_revoke_the_key_is_deleted_and_the_answer_says_so(browser, org, documents):
    org.org.fail_next(status=503, body="down", path_pattern=REVOKE)

    answer = browser("op").delete("auth/", headers=DELETE_HEADER).json()

    assert answer["revoked"] is False
    assert "stays good until a Salesforce admin revokes it" in answer["message"]
    assert not documents.count_documents({})
