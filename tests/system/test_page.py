"""The page "Salesforce" in Airflow's navigation, in a real browser."""

import json
import re
import shutil
from contextlib import ExitStack
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import expect, sync_playwright
from pymongo import MongoClient

from airflow_provider_salesforce_export.demo.surroundings import as_environment, prepare_database, surroundings
from airflow_provider_salesforce_export.demo.ui import running_server, server_settings
from airflow_provider_salesforce_export.key_collection.collection import DEFAULT_COLLECTION, KeyCollection
from airflow_provider_salesforce_export.key_collection.encryption import KeyEncryption
from airflow_provider_salesforce_export.key_collection.key import Account
from airflow_provider_salesforce_export.sandbox import SandboxServer, SandboxSettings
from airflow_provider_salesforce_export.sandbox.mongod import running_mongod
from airflow_provider_salesforce_export.sandbox.ports import free_port
from tests.system.conftest import Airflow, wait_until

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PATIENCE = 60_000  # milliseconds: Airflow, its DAG runs and the browser share the machine
CONNECTIONS = re.compile(r"/v1/integrations/salesforce/connections$")
TESTS = re.compile(r"/v1/integrations/salesforce/connections/[^/]+/test$")
TESTED = {
    "works": True,
    "message": "Connected.",
    "user": "ada@acme.com",
    "org_id": "00D5g000004abcDEAQ",
    "api_usage": {"used": 900, "limit": 1000},
}
CONNECTION = {
    "conn_id": "acme",
    "environment": "production",
    "login_url": "https://login.salesforce.com",
    "grant_type": "refresh_token",
    "account_id": "acme",
    "owner": "data-platform",
    "state": "connected",
    "error": None,
    "instance_url": "https://acme.my.salesforce.com",
    "connected_by": "Ada",
    "issued_at": "2026-01-01T00:00:00+00:00",
    "updated_at": "2026-01-01T00:00:00+00:00",
    "object_types": ["contacts"],
    "callback_url": None,
    "may": {"login": True, "disconnect": True, "test": True, "export": True},
}
DAG_FILE = """
import os

from airflow.sdk import DAG

from airflow_provider_salesforce_export import SalesforceExportTaskGroup

with DAG("by_hand", schedule=None):
    SalesforceExportTaskGroup("notes", destination=os.environ["SALESFORCE_EXPORT_DESTINATION"])
"""
COLORS = ("background-color", "color")

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is here: apt-get install chromium")


@pytest.fixture(scope="module")
def airflow(tmp_path_factory):
    """The address of a running Airflow with a DAG, in which somebody is connected to an org."""
    folder = tmp_path_factory.mktemp("page")
    (folder / "dags").mkdir()
    (folder / "dags" / "by_hand.py").write_text(DAG_FILE)
    with pytest.MonkeyPatch.context() as patch, (folder / "airflow.log").open("w") as log:
        patch.chdir(folder)
        with surroundings("page") as around:
            port = free_port()
            environment = around.environment | as_environment(around.connections) | server_settings(port)
            prepare_database(environment, log)
            with running_server(environment, port, log):
                url = f"http://127.0.0.1:{port}"
                wait_until(lambda: Airflow(url).get("dags")["total_entries"] == 1)
                yield url


@pytest.fixture(scope="module")
def chromium():
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM)
        yield browser
        browser.close()


@pytest.fixture
def browser_tab(airflow, chromium):
    """A tab of a browser that nobody has used before; it has seen no error in the page's code at the end."""
    context = chromium.new_context(base_url=airflow, viewport={"width": 1400, "height": 900}, reduced_motion="reduce")
    context.set_default_timeout(PATIENCE)
    tab = context.new_page()
    errors = []
    tab.on("pageerror", lambda error: errors.append(error))
    yield tab
    context.close()
    assert errors == []


@pytest.fixture
def acme(airflow):
    """A connection in the running Airflow, to an org and a MongoDB of the test's own, which it can stop."""
    api = Airflow(airflow)
    with pytest.MonkeyPatch.context() as patch, ExitStack() as org, ExitStack() as mongod:
        patch.delenv("MONGO_URI", raising=False)  # of a MongoDB that is not the test's to stop
        server = org.enter_context(SandboxServer(SandboxSettings(contacts=30, deals=0, notes=0)))
        mongo_uri = mongod.enter_context(running_mongod())
        settings = server.settings
        with MongoClient(mongo_uri) as mongo:
            keys = KeyCollection(mongo["acme"][DEFAULT_COLLECTION], KeyEncryption((), settings.client_secret))
            account = Account(settings.client_id, server.url.partition("://")[2])
            keys.save(account, server.org.issue_token(), connected_by="Ada")
        host, port = urlsplit(mongo_uri).hostname, urlsplit(mongo_uri).port
        api.post("connections", {"connection_id": "mongo_acme", "conn_type": "mongo", "host": host, "port": port})
        api.post(
            "connections",
            {
                "connection_id": "acme",
                "conn_type": "salesforce_export",
                "host": server.url,
                "login": settings.client_id,
                "password": settings.client_secret,
                "extra": json.dumps({"mongo_conn_id": "mongo_acme", "key_database": "acme"}),
            },
        )
        try:
            yield SimpleNamespace(org=server.org, stop_org=org.close, stop_mongod=mongod.close)
        finally:
            for conn_id in ("acme", "mongo_acme"):
                api.delete(f"connections/{conn_id}")


def opened(tab, query=""):
    tab.goto(f"/plugin/salesforce{query}")
    expect(tab.get_by_role("heading", name="Salesforce", exact=True)).to_be_visible()
    return tab


def with_connections(tab, *changes):
    """Have Airflow answer with made-up connections that work; without any where there are no changes."""
    tab.route(TESTS, lambda route: route.fulfill(json=TESTED))
    answer = {"connections": [CONNECTION | change for change in changes], "callback_url": None}
    tab.route(CONNECTIONS, lambda route: route.fulfill(json=answer))


def test_a_user_logs_in_looks_exports_and_disconnects(airflow, browser_tab):
    foreign = []
    own = (airflow, f"blob:{airflow}")
    browser_tab.on("request", lambda request: None if request.url.startswith(own) else foreign.append(request.url))
    browser_tab.goto("/")
    browser_tab.get_by_role("link", name="Salesforce").click()
    connection = browser_tab.get_by_role("region", name="salesforce_export_default")
    expect(connection.get_by_text("Connected", exact=True)).to_be_visible()
    expect(browser_tab.get_by_text(f"{airflow}/v1/integrations/salesforce/auth/callback")).to_be_visible()
    assert foreign == []

    disconnect(browser_tab, connection)
    expect(connection.get_by_role("button", name="Test")).to_have_attribute("aria-disabled", "true")

    connection.get_by_role("button", name="Log in").click()
    browser_tab.get_by_role("button", name="Allow").click()
    expect(browser_tab.get_by_text("Connected to Salesforce")).to_be_visible()
    expect(connection.get_by_text("Connected", exact=True)).to_be_visible()
    assert browser_tab.url == f"{airflow}/plugin/salesforce"

    connection.get_by_role("button", name="contacts").click()
    expect(connection.get_by_text("contacts: 10 of 12,345")).to_be_visible()
    expect(connection.get_by_role("row")).to_have_count(11)
    connection.get_by_role("tab", name="JSON").click()
    shown = json.loads(connection.get_by_role("tabpanel").inner_text())
    assert len(shown["data"]) == 10
    assert shown["pagination"]["total"] == 12_345

    expect(connection.get_by_text("integration@sandbox.example", exact=True)).to_be_visible()
    expect(connection.get_by_text(re.compile(r"[\d,]+ used, [\d,]+ left of 100,000"))).to_be_visible()
    connection.get_by_role("button", name="Test").click()
    expect(connection.get_by_text(re.compile("Connected to http://.* as integration@sandbox.example"))).to_be_visible()

    assert trigger(browser_tab, Airflow(airflow), "by_hand") == "success"

    disconnect(opened(browser_tab), connection)


def trigger(tab, api, dag_id):
    """Trigger a DAG run as a user does; return the state in which it ends."""

    def runs():
        return api.get(f"dags/{dag_id}/dagRuns", run_type="manual")["dag_runs"]

    assert not runs()
    tab.goto(f"/dags/{dag_id}")
    tab.get_by_role("button", name="Trigger").click()
    tab.get_by_role("dialog").get_by_role("button", name="Trigger", exact=True).click()
    wait_until(lambda: any(run["state"] in ("success", "failed") for run in runs()), seconds=240)
    (run,) = runs()
    return run["state"]


def disconnect(tab, connection):
    connection.get_by_role("button", name="Disconnect").click()
    tab.get_by_role("alertdialog").get_by_role("button", name="Disconnect").click()
    expect(connection.get_by_text("Disconnected: the key is deleted.")).to_be_visible()
    expect(connection.get_by_text("Needs login", exact=True)).to_be_visible()


def test_the_result_of_a_login_is_shown_once(browser_tab):
    with_connections(browser_tab, {})
    opened(browser_tab, "?salesforce=error&message=<b>The user</b> said no&tab=1")
    failure = browser_tab.get_by_role("alert").filter(has_text="<b>The user</b> said no")

    expect(failure).to_be_focused()
    assert browser_tab.url.endswith("/plugin/salesforce?tab=1")
    browser_tab.reload()
    expect(browser_tab.get_by_role("region", name="acme")).to_be_visible()
    expect(failure).to_have_count(0)


def test_the_link_of_a_task_leads_to_its_connection_though_it_cannot_be_listed(browser_tab):
    """In a window too low for all of them; also after a login from there."""
    connections = [CONNECTION | {"conn_id": f"c{number}", "state": "never"} for number in range(9)]

    def answer(route):
        listed = connections[:8] if "conn_id=c8" not in route.request.url else connections
        route.fulfill(json={"connections": listed, "callback_url": None})

    browser_tab.route(re.compile(r"/salesforce/connections"), answer)
    opened(browser_tab, "?conn_id=c8")
    named, other = (browser_tab.get_by_role("region", name=name) for name in ("c8", "c7"))

    expect(named).to_be_in_viewport(ratio=1)
    expect(named).to_have_attribute("aria-current", "true")
    expect(other).not_to_have_attribute("aria-current", "true")
    shown = [region.evaluate("element => getComputedStyle(element).borderColor") for region in (named, other)]
    assert shown[0] != shown[1]
    with browser_tab.expect_request("**/auth/login?*") as login:
        named.get_by_role("button", name="Log in").click()
    assert parse_qs(urlsplit(login.value.url).query)["forward_url"] == ["/plugin/salesforce?conn_id=c8"]


def test_a_connection_that_is_named_and_not_there_is_told(browser_tab):
    with_connections(browser_tab, {})
    browser_tab.route(
        re.compile(r"/connections\?conn_id=gone$"),
        lambda route: route.fulfill(json={"connections": [CONNECTION], "callback_url": None}),
    )
    opened(browser_tab, "?conn_id=gone")

    expect(browser_tab.get_by_text("The connection gone is not shown")).to_be_visible()
    expect(browser_tab.get_by_role("region", name="acme")).to_be_visible()


def test_the_navigation_shows_an_icon_in_light_and_in_dark(browser_tab):
    browser_tab.goto("/")
    icon = browser_tab.get_by_role("link", name="Salesforce").get_by_role("img")
    for scheme, name in (("light", "icon.svg"), ("dark", "icon-dark.svg")):
        browser_tab.emulate_media(color_scheme=scheme)
        expect(icon).to_have_attribute("src", f"/v1/integrations/salesforce/static/{name}")
        expect(icon).to_have_js_property("complete", True)
        assert icon.evaluate("element => element.naturalWidth") > 0


def test_the_keyboard_opens_and_leaves_the_question_before_disconnecting(browser_tab):
    with_connections(browser_tab, {})
    deleted = []
    browser_tab.on("request", lambda request: deleted.append(request) if request.method == "DELETE" else None)
    button = opened(browser_tab).get_by_role("region", name="acme").get_by_role("button", name="Disconnect")
    button.focus()
    browser_tab.keyboard.press("Enter")
    dialog = browser_tab.get_by_role("alertdialog")
    expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()

    browser_tab.keyboard.press("Escape")

    expect(dialog).to_be_hidden()
    expect(button).to_be_focused()
    assert deleted == []


def test_a_button_that_may_not_be_pressed_says_why(browser_tab):
    may = CONNECTION["may"]
    expected = [
        ({"state": "connected"}, "Log in", "disconnect first"),
        ({"state": "never"}, "Test", "Log in first"),
        ({"state": "needs_login"}, "contacts", "Log in first"),
        ({"state": "never"}, "Disconnect", "no key"),
        ({"state": "never", "may": may | {"login": False}}, "Log in", "right to edit"),
        ({"may": may | {"disconnect": False}}, "Disconnect", "right to delete"),
        ({"state": "never", "grant_type": "jwt_bearer"}, "Log in", "jwt_bearer needs no login"),
    ]
    with_connections(browser_tab, *({"conn_id": f"c{n}", **change} for n, (change, _, _) in enumerate(expected)))
    with browser_tab.expect_request("**/c0/test"), browser_tab.expect_request("**/c5/test"):
        opened(browser_tab)  # which tests what is connected
    expect(browser_tab.get_by_role("region")).to_have_count(len(expected))
    calls = []
    browser_tab.on("request", lambda request: calls.append(request.url) if request.method != "GET" else None)

    for number, (_, button, reason) in enumerate(expected):
        off = browser_tab.get_by_role("region", name=f"c{number}").get_by_role("button", name=button)
        off.click(force=True)
        browser_tab.keyboard.press("Enter")
        expect(off).to_have_attribute("aria-disabled", "true")
        expect(off).to_have_accessible_description(re.compile(reason))

    expect(browser_tab.get_by_role("alertdialog")).to_be_hidden()
    assert calls == []


def test_without_a_connection_the_page_says_what_to_do(browser_tab):
    with_connections(browser_tab)
    opened(browser_tab)

    expect(browser_tab.get_by_text("No callback URL")).to_be_visible()
    browser_tab.get_by_role("link", name="Open Airflow's connections").click()

    expect(browser_tab).to_have_url(re.compile("/connections$"))


def test_a_connection_that_makes_no_sense_is_told(browser_tab):
    nothing_known = dict.fromkeys(("environment", "login_url", "grant_type", "account_id", "owner", "connected_by"))
    with_connections(browser_tab, nothing_known | {"state": "error", "error": "The field timeout is no number."})
    connection = opened(browser_tab).get_by_role("region", name="acme")

    expect(connection.get_by_text("Error", exact=True)).to_be_visible()
    expect(connection.get_by_text("The field timeout is no number.")).to_be_visible()


def test_an_org_and_a_mongodb_that_go_away_are_told(browser_tab, acme):
    connection = opened(browser_tab).get_by_role("region", name="acme")
    for text in ("Connected", "Ada", acme.org.settings.username):
        expect(connection.get_by_text(text, exact=True)).to_be_visible()

    acme.stop_org()
    connection.get_by_role("button", name="contacts").click()
    expect(connection.get_by_text("did not answer")).to_be_visible()
    browser_tab.reload()  # what the page asks for by itself
    expect(connection.get_by_text("did not answer")).to_be_visible()
    expect(connection.get_by_text("Connected", exact=True)).to_be_visible()

    acme.stop_mongod()
    browser_tab.get_by_role("button", name="Reload").click()
    expect(connection.get_by_text("Error", exact=True)).to_be_visible()
    expect(connection.get_by_text("MongoDB, which keeps the Salesforce keys, does not answer")).to_be_visible()
    others = browser_tab.get_by_role("region", name="salesforce_export_default")
    expect(others.get_by_text("Error", exact=True)).to_have_count(0)


def test_a_key_that_salesforce_refuses_is_seen_when_the_page_is_opened(browser_tab, acme):
    acme.org.revoke_grants()
    connection = opened(browser_tab).get_by_role("region", name="acme")

    expect(connection.get_by_text("Needs login", exact=True)).to_be_visible()
    expect(connection.get_by_role("button", name="Log in")).not_to_have_attribute("aria-disabled", "true")


def test_a_row_shows_all_that_is_known(browser_tab):
    with_connections(browser_tab, {})
    connection = opened(browser_tab).get_by_role("region", name="acme")

    for name, value in (
        ("Org", "00D5g000004abcDEAQ"),
        ("User", "ada@acme.com"),
        ("Instance", "https://acme.my.salesforce.com"),
        ("Login host", "https://login.salesforce.com"),
        ("Connected by", "Ada"),
        ("Token issued", re.compile(" ago$|^[a-z]+day$")),
        ("Last renewed", re.compile(" ago$|^[a-z]+day$")),
        ("Key (account, owner)", "acme, data-platform"),
    ):
        term = connection.locator("dt", has_text=re.compile(f"^{re.escape(name)}$"))
        expect(term.locator("xpath=following-sibling::dd")).to_have_text(value)
    expect(connection.get_by_text("production", exact=True)).to_be_visible()
    expect(connection.get_by_text("900 used, 100 left of 1,000")).to_be_visible()
    expect(connection.get_by_role("progressbar", name="API calls today")).to_have_attribute("aria-valuenow", "90")


def test_the_plain_page_is_drawn_under_its_policy(browser_tab):
    refused = []
    browser_tab.on("console", lambda message: refused.append(message.text) if message.type == "error" else None)
    browser_tab.goto("/v1/integrations/salesforce/auth/login?forward_url=//evil.com")

    expect(browser_tab.get_by_text("forward_url is refused")).to_be_visible()
    expect(browser_tab.locator("body")).to_have_css("max-width", "640px")
    assert not [text for text in refused if "Content Security Policy" in text]


def test_what_goes_wrong_is_said_and_can_be_tried_again(browser_tab):
    with_connections(browser_tab, {})
    answers = iter(
        [
            {"status": 401, "json": {"message": "Not authenticated"}},
            {"status": 403, "json": {"detail": "Forbidden"}},
            {"status": 429, "json": {"message": "No calls are left."}, "headers": {"Retry-After": "60"}},
            {"status": 400, "json": {"message": "Salesforce: <i>no such field</i>"}},
            {"status": 502, "body": "<html>Bad Gateway</html>"},
            {"json": {"data": [{"Id": "1", "Account": None}, {"Account": {"Name": "A"}}], "pagination": {"total": 2}}},
        ]
    )
    browser_tab.route(re.compile("/export/contacts"), lambda route: route.fulfill(**next(answers)))
    connection = opened(browser_tab).get_by_role("region", name="acme")
    button = connection.get_by_role("button", name="contacts")

    for text in (
        "Reload the page to log in to Airflow",
        "Forbidden. Ask an Airflow admin",
        "No calls are left. Try again in 60 seconds",
        "Salesforce: <i>no such field</i>",
        "answered 502",
    ):
        button.click()
        expect(connection.get_by_text(text)).to_be_visible()
    button.click()

    expect(connection.get_by_role("columnheader")).to_have_text(["Id", "Account.Name"])
    expect(connection.get_by_text("answered 502")).to_be_hidden()
    expect(button).to_be_focused()


def test_an_api_server_that_is_away_is_told(browser_tab):
    browser_tab.route(CONNECTIONS, lambda route: route.abort())
    opened(browser_tab)

    expect(browser_tab.get_by_text("API server does not answer")).to_be_visible()
    with_connections(browser_tab, {})
    browser_tab.get_by_role("button", name="Reload").click()

    expect(browser_tab.get_by_role("region", name="acme")).to_be_visible()
    expect(browser_tab.get_by_text("API server does not answer")).to_be_hidden()


def test_the_page_fits_narrow_and_wide_windows_in_light_and_in_dark(browser_tab):
    with_connections(
        browser_tab, {"login_url": "https://acme--a-very-long-name-of-a-sandbox.sandbox.my.salesforce.com"}
    )
    connection = opened(browser_tab).get_by_role("region", name="acme")
    for width in (400, 1400):
        browser_tab.set_viewport_size({"width": width, "height": 900})
        assert connection.evaluate("element => element.scrollWidth <= element.clientWidth")
        for part in (connection, *connection.get_by_role("button").all()):
            box = part.bounding_box()
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= width

    browser_tab.emulate_media(color_scheme="light")
    light = {name: connection.evaluate(f"element => getComputedStyle(element)['{name}']") for name in COLORS}
    browser_tab.emulate_media(color_scheme="dark")
    for name in COLORS:
        expect(connection).not_to_have_css(name, light[name])
