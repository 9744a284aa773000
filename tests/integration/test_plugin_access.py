"""Who may do what, and what must fail: forged states, foreign addresses, requests from other sites."""

import asyncio
import json
import re
import threading
import time
from types import SimpleNamespace
from urllib.parse import quote, urlencode

import jwt
import pytest
from airflow.utils.session import create_session
from sqlalchemy import text

from airflow_provider_salesforce_export import plugin
from airflow_provider_salesforce_export.plugin import forwarding, state
from airflow_provider_salesforce_export.plugin.app import app
from tests.integration.api_server import DELETE_HEADER, PREFIX, USERS, outcome, parameters

PUBLIC = {"/auth/callback"}


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


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "auth/login", {"viewer": 403, "user": 403, "op": 200, "admin": 200}),
        ("GET", "auth/login?conn_id=missing", {"viewer": 403, "user": 403, "op": 404, "admin": 404}),
        ("GET", "export/contacts", {"viewer": 403, "user": 403, "op": 200, "admin": 200}),
        ("GET", "export/contacts?conn_id=missing", {"viewer": 403, "user": 403, "op": 404, "admin": 404}),
        ("GET", "export/contacts?owner=other", {"viewer": 404, "user": 404, "op": 404, "admin": 404}),
        ("GET", "export/contacts?conn_id=mongo_default", {"viewer": 403, "user": 403, "op": 404, "admin": 404}),
        ("POST", "connections/salesforce_export_default/test", {"viewer": 403, "user": 403, "op": 200, "admin": 200}),
        ("POST", "connections/missing/test", {"viewer": 403, "user": 403, "op": 404, "admin": 404}),
        ("GET", "connections", {"viewer": 200, "user": 200, "op": 200, "admin": 200}),
        ("GET", "openapi.json", {"viewer": 200, "user": 200, "op": 200, "admin": 200}),
        ("GET", "static/page.js", {"viewer": 200, "user": 200, "op": 200, "admin": 200}),
        ("GET", "static/app.py", {"viewer": 404, "user": 404, "op": 404, "admin": 404}),
        ("GET", "static/..%2fapp.py", {"viewer": 404, "user": 404, "op": 404, "admin": 404}),
        ("DELETE", "auth/?conn_id=missing", {"viewer": 403, "user": 403, "op": 404, "admin": 404}),
        ("DELETE", "auth/", {"viewer": 403, "user": 403, "op": 200, "admin": 404}),
    ],
)
def test_who_gets_what(method, path, allowed, browser, org):
    got = {user: browser(user).request(method, path, headers=DELETE_HEADER).status_code for user in USERS}

    assert got == allowed


def test_a_connection_is_listed_to_those_who_may_read_it(browser, org):
    assert browser("viewer").get("connections").json()["connections"] == []
    assert browser("op").get("connections").json()["connections"]


def test_a_connection_that_is_named_is_listed_too_though_it_is_of_airflows_own_type(browser, org, monkeypatch):
    extra = {"instance_url": org.url, "consumer_key": "app", "consumer_secret": "s3cret"}
    connection = {"conn_type": "salesforce", "login": "ada", "password": "x", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_OF_AIRFLOWS_TYPE", json.dumps(connection))

    def listed(user, named):
        rows = browser(user).get("connections", params={"conn_id": named}).json()["connections"]
        return [row["conn_id"] for row in rows]

    assert listed("op", None) == ["salesforce_export_default"]
    assert listed("op", "of_airflows_type") == ["of_airflows_type", "salesforce_export_default"]
    for named in ("salesforce_export_default", "mongo_default", "missing", "", "no/such id"):
        assert listed("op", named) == ["salesforce_export_default"]
    assert listed("viewer", "of_airflows_type") == []


@pytest.fixture
def away():
    """Take the table of the connections out of Airflow's database until the test ends."""
    with create_session() as session:
        session.execute(text("ALTER TABLE connection RENAME TO away"))
    yield
    with create_session() as session:
        session.execute(text("ALTER TABLE away RENAME TO connection"))


@pytest.mark.parametrize("path", ["connections", "export/contacts?owner=x", "auth/login?owner=x"])
def test_where_airflows_database_cannot_be_read_the_answer_says_so(browser, org, path, request):
    op = browser("op")
    request.getfixturevalue("away")

    answer = op.get(path)

    assert answer.status_code == 500
    assert "database cannot be read" in answer.text
    assert "no such table" not in answer.text  # which may name the database's host and user


def test_a_right_of_the_auth_manager_counts_for_itself(browser, org, monkeypatch):
    """A user who may read a connection, and not edit or delete it."""
    from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager

    monkeypatch.setattr(SimpleAuthManager, "is_authorized_connection", lambda self, *, method, **_: method == "GET")
    op = browser("op")

    (row,) = op.get("connections").json()["connections"]
    assert row["may"] == {"login": False, "disconnect": False, "test": True, "export": True}
    assert op.get("export/contacts").status_code == 200
    assert op.get("auth/login").status_code == 403
    assert op.delete("auth/", headers=DELETE_HEADER).status_code == 403


def test_nobody_gets_anything(browser, org):
    """A walk over all routes that there are, so that a new one is not forgotten."""
    nobody, walked = browser(), set()
    for route in app.routes:
        for method in route.methods:
            path = route.path.format(object_type="contacts", conn_id="salesforce_export_default", name="page.js")
            answer = nobody.request(method, path.lstrip("/"), headers=DELETE_HEADER)
            if route.path not in PUBLIC:
                assert answer.status_code in (401, 307, 405), (method, path, answer.text)
                assert answer.status_code != 307 or "/auth/login?next=" in answer.headers["Location"]
            walked.add(route.path)
    assert walked >= {"/auth/login", "/auth/", "/export/{object_type}", "/connections", "/static/{name}", *PUBLIC}
    assert not org.org.calls


def test_a_bearer_token_does_too_and_a_wrong_one_does_not(browser, org):
    token = browser("op").cookies["_token"]
    program = browser()

    assert program.get("export/contacts", headers={"Authorization": f"Bearer {token}"}).status_code == 200
    wrong = program.get("export/contacts", headers={"Authorization": f"Bearer {token[:-4]}AAAA"})
    assert wrong.status_code in (401, 403)
    assert wrong.json()["success"] is False
    assert program.delete("auth/", headers={"Authorization": f"Bearer {token}"}).status_code == 200


def test_every_answer_has_the_headers_that_hold_a_browser_back(browser, org):
    op = browser("op")
    script = "static/page.js"
    for path in (script, "export/contacts", "export/leads", "auth/login", "auth/callback", "no/such/route"):
        headers = op.get(path).headers
        policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
        assert re.fullmatch("'sha256-[^' ]+'", policy.pop("style-src"))
        assert policy == dict.fromkeys(("default-src", "base-uri", "form-action", "frame-ancestors"), "'none'")
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cache-Control"] == ("no-cache" if path == script else "no-store")


class TestState:
    """Callbacks that this browser's login did not lead to."""

    @pytest.fixture
    def op(self, browser, unknown_org):
        return browser("op")

    @pytest.fixture(autouse=True)
    def _nothing_is_stored(self, request, unknown_org, documents):
        yield
        assert not documents.count_documents({})

    @pytest.mark.parametrize("forged", ["", "x", "signed with another key", "unsigned", "changed", "for another use"])
    def test_forged(self, forged, op):
        callback = op.consent(op.begin())
        token = parameters(callback)["state"]
        claims = jwt.decode(token, options={"verify_signature": False})
        header, payload, signature = token.split(".")
        tokens = {
            "signed with another key": jwt.encode(claims, "k" * 32, algorithm="HS256"),
            "unsigned": jwt.encode(claims, None, algorithm="none"),
            "changed": ".".join([header, payload[:-2] + "AA", signature]),
            "for another use": jwt.encode({**claims, "aud": "another"}, state._key(), algorithm="HS256"),
        }

        answer = op.get(callback.replace(token, tokens.get(forged, forged)))

        assert answer.status_code == 400
        assert "not the end of a login that was begun here" in answer.text

    def test_it_is_signed_for_an_hour_and_names_all_that_the_callback_needs(self, op, unknown_org):
        token = parameters(op.begin(forward_url="/x"))["state"]
        claims = jwt.decode(token, options={"verify_signature": False})

        assert jwt.get_unverified_header(token)["alg"] == "HS256"
        assert 3000 < claims["exp"] - time.time() <= 3600
        assert len(claims["jti"]) > 20
        assert claims["jti"] != jwt.decode(parameters(op.begin())["state"], options={"verify_signature": False})["jti"]
        assert (claims["conn_id"], claims["forward_url"], claims["user"]) == ("salesforce_export_default", "/x", "op")
        assert claims["account_id"] == unknown_org.settings.client_id
        assert claims["owner"] == unknown_org.url.partition("://")[2]

    def test_expired(self, op, monkeypatch):
        callback = op.consent(op.begin())
        monkeypatch.setattr(state, "time", SimpleNamespace(time=lambda: time.time() + 3600))

        where, result = outcome(op.get(callback))

        assert where == "/plugin/salesforce"
        assert result["salesforce"] == "error"

    def test_expired_in_mongodb(self, op, database):
        callback = op.consent(op.begin())
        database["integrations.salesforce.key.logins"].update_one({}, [{"$set": {"expires_at": "$$NOW"}}])

        assert "has ended already" in outcome(op.get(callback))[1]["message"]

    def test_replayed(self, op, documents):
        callback = op.consent(op.begin())
        assert outcome(op.get(callback))[1] == {"salesforce": "connected"}
        documents.delete_many({})

        assert "has ended already" in outcome(op.get(callback))[1]["message"]

    def test_in_another_browser(self, op, browser):
        callback = op.consent(op.begin())
        other = browser("op")

        assert "did not begin the login" in outcome(other.get(callback))[1]["message"]
        other.cookies.set("salesforce_login", "guessed")
        assert "another browser began it" in outcome(other.get(callback))[1]["message"]

    def test_of_another_user(self, op, browser):
        callback = op.consent(op.begin())
        admin, nobody = browser("admin"), browser()
        for other in (admin, nobody):
            other.cookies.set("salesforce_login", op.cookies["salesforce_login"])

            assert "Another Airflow user" in outcome(other.get(callback))[1]["message"]

    def test_of_a_user_who_lost_the_right_meanwhile(self, op, monkeypatch):
        from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager

        callback = op.consent(op.begin())
        monkeypatch.setattr(SimpleAuthManager, "is_authorized_connection", lambda self, **_: False)

        assert "You may not edit" in outcome(op.get(callback))[1]["message"]

    def test_a_code_of_another_login_is_injected(self, op, browser):
        """The attacker's code, at the end of the victim's login: the code verifier is not that of the code."""
        attacker = browser("admin")
        code = parameters(attacker.consent(attacker.begin()))["code"]
        callback = op.consent(op.begin())

        answer = op.get(callback.replace(quote(parameters(callback)["code"]), quote(code)))

        assert "invalid code verifier" in outcome(answer)[1]["message"]

    def test_a_token_for_a_foreign_host(self, op, unknown_org, monkeypatch):
        callback = op.consent(op.begin())
        issue = unknown_org.org.oauth.token
        monkeypatch.setattr(
            unknown_org.org.oauth,
            "token",
            lambda form, url: issue(form, url) | {"instance_url": "https://salesforce.com.evil.com"},
        )

        assert "neither used nor stored" in outcome(op.get(callback))[1]["message"]

    def test_html_in_what_salesforce_says(self, op):
        callback = op.consent(op.begin(forward_url=""))
        script = "<script>alert(1)</script>&lt;img src=x onerror=alert(2)&gt;"
        query = {"state": parameters(callback)["state"], "error": script, "error_description": script}

        answer = op.get(f"{callback.partition('?')[0]}?{urlencode(query)}")

        assert answer.status_code == 400
        assert "alert" in answer.text
        assert not re.search("<(script|img)", answer.text)


FOREIGN = [
    "https://evil.com/",
    "//evil.com",
    "///evil.com",
    "/\\evil.com",
    "\\\\evil.com",
    "/%2fevil.com",
    "/%252fevil.com",
    "/%5cevil.com",
    "/x/..//evil.com",
    "/./x",
    "/%2e%2e/x",
    "/\t/evil.com",
    "/\n/evil.com",
    "/%0d%0aSet-Cookie:x",
    " //evil.com",
    "https:evil.com",
    "https:/evil.com",
    "https:///evil.com",
    "javascript:alert(1)",
    "JavaScript:alert(1)//https://portal.acme.com",
    "data:text/html,x",
    "portal.acme.com",
    "evil",
    "?x",
    "https://portal.acme.com@evil.com/",
    "https://user@portal.acme.com/",
    "https://portal.acme.com:443@evil.com/",
    "https://portal.acme.com\\@evil.com/",
    "https://portal.acme.com%2f@evil.com/",
    "https://portal.acme.com.evil.com/",
    "https://evilportal.acme.com/",
    "https://portal.acme.com.",
    "https://portal.acme.com:444/",
    "https://portal.acme.com:99999/",
    "http://portal.acme.com/",
    "https://acme.com/",
    "https://acme.com/integrations-of-others",
    "https://acme.com/integrations/../admin",
    "https://acme.com/integrations/%2e%2e/admin",
    "https://acme.com/integrations/..;/admin",
    "https://acme.com/integrations/%2e%2e%3bx=1/admin",
    "https://portal.acme.com:0/",
    "https://portal.acme.com:/",
    "https://portal.acme.com\x00.evil.com/",
    "https://portal.acme.com%00.evil.com/",
    "https://\u0440ortal.acme.com/",  # a letter of another alphabet
    "https://portal。acme.com/",
    "https://pörtal.acme.com/",
    "/\uff0fevil.com",  # a slash of another alphabet
    "https://portal.acme.com/" + "x" * 2000,
]


@pytest.fixture
def allowed(monkeypatch, airflow_url):
    monkeypatch.setenv(
        "AIRFLOW__SALESFORCE_EXPORT__ALLOWED_FORWARD_URLS", "https://portal.acme.com/, https://acme.com/integrations"
    )
    return airflow_url


@pytest.mark.parametrize("address", FOREIGN)
def test_foreign_addresses_are_refused(address, allowed):
    with pytest.raises(forwarding.ForwardUrlError):
        forwarding.checked(address)


@pytest.mark.parametrize(
    "address",
    [
        "/",
        "/plugin/salesforce?tab=1#top",
        "/with%20space",
        "/@name",
        "https://portal.acme.com",
        "https://PORTAL.acme.com:443/a/b?next=https://evil.com",
        "https://acme.com/integrations",
        "https://acme.com/integrations/x",
    ],
)
def test_own_and_allowed_addresses_do(address, allowed):
    assert forwarding.checked(address) == address
    assert forwarding.checked(f"{allowed}/plugin/salesforce")


def test_a_result_is_added_to_the_query_in_place_of_an_older_one():
    address = forwarding.with_result("/x?a=1&salesforce=error&message=old#f", "error", "50% <b>&")

    assert address == "/x?a=1&salesforce=error&message=50%25+%3Cb%3E%26#f"


def test_a_login_that_would_end_elsewhere_does_not_begin(browser, unknown_org, database):
    answer = browser("op").get("auth/login", params={"forward_url": "//evil.com"})

    assert answer.status_code == 400
    assert "allowed_forward_urls" in answer.text
    assert not database["integrations.salesforce.key.logins"].count_documents({})


@pytest.mark.parametrize("header", ["Host", "X-Forwarded-Host", "Forwarded"])
def test_the_callback_url_is_not_what_the_caller_says(header, browser, unknown_org, airflow_url):
    forged = "host=evil.com" if header == "Forwarded" else "evil.com"

    op = browser("op")

    # The cookie by hand: requests goes by the Host header when it chooses cookies.
    answer = op.get("auth/login", headers={header: forged, "Cookie": f"_token={op.cookies['_token']}"})

    assert parameters(answer.headers["Location"])["redirect_uri"] == f"{airflow_url}{PREFIX}/auth/callback"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Requested-With": "XMLHttpRequest"},
        DELETE_HEADER | {"Sec-Fetch-Site": "cross-site"},
        DELETE_HEADER | {"Sec-Fetch-Site": "same-site"},
        DELETE_HEADER | {"Origin": "https://evil.com"},
        DELETE_HEADER | {"Origin": "null"},
    ],
)
def test_another_site_cannot_disconnect(headers, browser, org, documents):
    assert browser("op").delete("auth/", headers=headers).status_code == 403
    assert documents.count_documents({}) == 1


def test_another_site_cannot_test(browser, org, airflow_url):
    path = "connections/salesforce_export_default/test"

    assert browser("op").post(path, headers={"Origin": "https://evil.com"}).status_code == 403
    assert browser("op").post(path, headers={"Origin": airflow_url}).status_code == 200
    assert not [call for call in org.org.calls if call.status == 403]


@pytest.mark.parametrize(
    "path",
    [
        "export/Contact WHERE Name='x'",
        "export/contacts'--",
        "export/Account",
        "export/..%2f..%2fapi",
        "export/contacts?page=1;DROP",
        "export/contacts?page=0",
        "export/contacts?page=-1",
        "export/contacts?page=1.5",
        "export/contacts?page=" + "9" * 5000,
        "export/contacts?limit=0",
        "export/contacts?limit=1 OFFSET 5",
        "export/contacts?limit=99999999999",
        "export/contacts?limit=",
        "export/contacts?conn_id=" + "x" * 300,
    ],
)
def test_what_is_no_type_page_or_limit_never_reaches_salesforce(path, browser, org):
    answer = browser("op").get(path)

    assert answer.status_code in (400, 404), answer.text
    assert answer.json()["success"] is False
    assert not [call for call in org.org.calls if call.soql]


def test_the_description_has_an_example_for_every_answer(browser, airflow_url):
    description = browser("viewer").get("openapi.json").json()

    for path in description["paths"].values():
        for operation in path.values():
            for code, answer in operation["responses"].items():
                if code not in ("302", "422"):
                    assert answer["content"]["application/json"]["example"], (path, code)


def test_airflow_lists_the_page_in_its_navigation(browser, airflow_url):
    plugins = browser("admin").get(f"{airflow_url}/api/v2/plugins").json()["plugins"]

    (ours,) = (plugin for plugin in plugins if plugin["name"] == "salesforce_export")
    (page,) = ours["react_apps"]
    assert (page["name"], page["url_route"]) == ("Salesforce", "salesforce")
    script = browser("viewer").get(airflow_url + page["bundle_url"])
    assert script.headers["Content-Type"].startswith("text/javascript")
    assert "AirflowPlugin" in script.text
    icons = [browser("viewer").get(airflow_url + page[key]) for key in ("icon", "icon_dark_mode")]
    assert [icon.headers["Content-Type"] for icon in icons] == ["image/svg+xml"] * 2
    assert icons[0].text.startswith("<svg ")
    assert icons[0].text != icons[1].text
    assert json.dumps(page)


def test_the_app_is_imported_once_and_not_on_the_event_loop(monkeypatch):
    threads, requests = [], []

    async def app(*request):
        requests.append(request)

    def import_module(name):
        threads.append(threading.current_thread())
        return SimpleNamespace(app=app)

    async def two_requests():
        lazy = plugin.LazyApp()
        await lazy({}, None, None)
        await lazy({}, None, None)

    monkeypatch.setattr(plugin, "import_module", import_module)
    asyncio.run(two_requests())

    assert len(requests) == 2
    (thread,) = threads
    assert thread is not threading.main_thread()
