"""The sandbox org over a real socket, met by simple-salesforce, unmodified, and by plain requests."""

from __future__ import annotations

import asyncio
import re
import threading
from datetime import datetime, timezone
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from requests.adapters import HTTPAdapter
from simple_salesforce import Salesforce
from simple_salesforce.exceptions import SalesforceExpiredSession, SalesforceResourceNotFound

from airflow_provider_salesforce_export.sandbox import SandboxServer, SandboxSettings, gate

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=timezone.utc)
SMALL = {"contacts": 450, "deals": 30, "notes": 20, "now": NOW}
DATA = "/services/data/v68.0"


class PlainAdapter(HTTPAdapter):
    """Sends over http what simple-salesforce, which knows only https, addresses to the loopback."""

    def send(self, request, *args, **kwargs):
        request.url = request.url.replace("https://", "http://", 1)
        return super().send(request, *args, **kwargs)


@pytest.fixture(scope="module")
def whole_org():
    with SandboxServer(SandboxSettings(now=NOW)) as server:
        yield server


@pytest.fixture
def serve():
    servers = []

    def start(**settings):
        servers.append(SandboxServer(SandboxSettings(**{**SMALL, **settings})).__enter__())
        return servers[-1]

    yield start
    for server in servers:
        server.__exit__(None, None, None)


@pytest.fixture
def simple():
    sessions = []

    def connect(server):
        session = requests.Session()
        session.mount("https://127.0.0.1", PlainAdapter())
        sessions.append(session)
        token = server.org.issue_token()
        return Salesforce(instance_url=server.url, session_id=token["access_token"], session=session)

    yield connect
    for session in sessions:
        session.close()


@pytest.fixture
def get():
    with requests.Session() as session:

        def call(server, path, token=None, **kwargs):
            token = token or server.org.issue_token()["access_token"]
            headers = {"Authorization": f"Bearer {token}", **kwargs.pop("headers", {})}
            return session.get(server.url + path, headers=headers, timeout=30, **kwargs)

        yield call


@pytest.mark.parametrize(
    ("sobject", "count"), [("Contact", 12_345), ("Opportunity", 4_321), ("Note", 678), ("User", 25)]
)
def test_simple_salesforce_reads_everything_once(whole_org, simple, sobject, count):
    client = simple(whole_org)
    result = client.query_all(f"SELECT Id, Name FROM {sobject}".replace("Name FROM Note", "Title FROM Note"))
    assert result["totalSize"] == count
    assert len({record["Id"] for record in result["records"]}) == len(result["records"]) == count
    assert client.query(f"SELECT COUNT() FROM {sobject}")["totalSize"] == count


def test_simple_salesforce_iterates_with_relations(whole_org, simple):
    soql = "SELECT Id, Account.Name, Contact.Owner.Alias FROM Contact"
    records = list(simple(whole_org).query_all_iter(soql, include_deleted=True))
    assert len({record["Id"] for record in records}) == len(records) == 12_345 + 123
    assert {record["Account"] is None for record in records} == {True, False}
    assert all(record["Owner"]["Alias"] for record in records)


def test_simple_salesforce_describes(whole_org, simple):
    client = simple(whole_org)
    assert {"Contact", "Account", "Opportunity", "Note", "User"} <= {
        sobject["name"] for sobject in client.describe()["sobjects"]
    }
    fields = {field["name"]: field for field in client.Contact.describe()["fields"]}
    assert fields["AccountId"]["relationshipName"] == "Account"
    assert fields["MailingAddress"]["type"] == "address"
    assert fields["MailingCity"]["compoundFieldName"] == "MailingAddress"
    assert "base64" in {field["type"] for field in client.Attachment.describe()["fields"]}
    assert client.Contact.metadata()["objectDescribe"]["keyPrefix"] == "003"


def test_simple_salesforce_sees_limits(serve, simple):
    client = simple(serve(api_quota=50))
    assert client.limits()["DailyApiRequests"] == {"Max": 50, "Remaining": 49}
    assert client.api_usage["api-usage"].used == 1


def test_simple_salesforce_creates_updates_and_deletes(serve, simple):
    server = serve()
    client = simple(server)
    record_id = client.Contact.create({"FirstName": "Ada", "LastName": "O'Brien"})["id"]
    assert client.Contact.update(record_id, {"Email": "ada@example.com", "FirstName": None}) == 204
    record = client.Contact.get(record_id)
    assert (record["Name"], record["Email"], record["OwnerId"]) == ("O'Brien", "ada@example.com", server.org.user_id)
    before = record["SystemModstamp"]
    server.org.update("Contact", record_id, SystemModstamp="2026-01-01T00:00:00Z")
    assert client.Contact.delete(record_id) == 204
    with pytest.raises(SalesforceResourceNotFound, match="ENTITY_IS_DELETED"):
        client.Contact.delete(record_id)
    with pytest.raises(SalesforceResourceNotFound, match="NOT_FOUND"):
        client.Contact.get(record_id)
    soql = f"SELECT IsDeleted, SystemModstamp FROM Contact WHERE Id = '{record_id}'"
    assert client.query(soql)["totalSize"] == 0
    (deleted,) = client.query(soql, include_deleted=True)["records"]
    assert deleted["IsDeleted"] is True
    assert deleted["SystemModstamp"] >= before


def test_simple_salesforce_meets_an_expired_session(serve, simple):
    server = serve()
    client = simple(server)
    server.org.expire_tokens_after(1)
    client.query("SELECT COUNT() FROM Contact")
    with pytest.raises(SalesforceExpiredSession, match="INVALID_SESSION_ID"):
        client.query("SELECT COUNT() FROM Contact")


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"FirstName": "Ada"}, "REQUIRED_FIELD_MISSING"),
        ({"LastName": "X", "Foo": 1}, "INVALID_FIELD"),
        ({"LastName": "X", "CreatedDate": "2026-01-01T00:00:00Z"}, "INVALID_FIELD_FOR_INSERT_UPDATE"),
        ({"LastName": "X" * 81}, "STRING_TOO_LONG"),
        ({"LastName": "X", "DoNotCall": "yes"}, "JSON_PARSER_ERROR"),
        ({"LastName": "X", "AccountId": "001"}, "MALFORMED_ID"),
        ({"LastName": "X", "Birthdate": "tomorrow"}, "JSON_PARSER_ERROR"),
    ],
)
def test_create_refuses(whole_org, values, code):
    token = whole_org.org.issue_token()["access_token"]
    reply = requests.post(
        f"{whole_org.url}{DATA}/sobjects/Contact",
        json=values,
        headers={"Authorization": f"Bearer {token}"},
        timeout=30,
    )
    assert (reply.status_code, reply.json()[0]["errorCode"]) == (400, code)


def test_versions_need_no_token_and_retired_ones_are_gone(whole_org):
    versions = requests.get(f"{whole_org.url}/services/data/", timeout=30).json()
    assert versions[-1] == {"label": "Winter '27", "url": "/services/data/v68.0", "version": "68.0"}
    unknown = requests.get(f"{whole_org.url}/services/data/v99.0/limits", timeout=30)
    retired = requests.get(f"{whole_org.url}/services/data/v30.0/limits", timeout=30)
    assert (unknown.status_code, unknown.json()[0]["errorCode"]) == (404, "NOT_FOUND")
    assert (retired.status_code, retired.json()[0]["errorCode"]) == (410, "UNSUPPORTED_API_VERSION")


def test_without_a_good_token(whole_org, get):
    wrong = get(whole_org, f"{DATA}/limits", token="wrong")
    assert wrong.status_code == 401
    assert wrong.json() == [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]
    assert wrong.headers["WWW-Authenticate"]
    missing = get(whole_org, f"{DATA}/limits", headers={"Authorization": ""})
    assert missing.json()[0]["errorCode"] == "INVALID_AUTH_HEADER"


def test_quota(serve, get):
    server = serve(api_quota=1)
    assert get(server, f"{DATA}/limits").headers["Sforce-Limit-Info"] == "api-usage=1/1"
    reply = get(server, f"{DATA}/limits")
    assert reply.status_code == 403
    assert reply.json() == [{"message": "TotalRequests Limit exceeded.", "errorCode": "REQUEST_LIMIT_EXCEEDED"}]


def test_batches_are_as_small_as_set_and_keep_their_rows(serve, get):
    server = serve(batch_size=100)
    query = {"q": "SELECT Id FROM Contact"}
    reply = get(server, f"{DATA}/query", params=query).json()
    gone, kept = reply["records"][0]["Id"], reply["records"][1]["Id"]
    server.org.hard_delete("Contact", gone)
    server.org.insert("Contact", LastName="Late")
    ids = [record["Id"] for record in reply["records"]]
    while not reply["done"]:
        assert re.fullmatch(rf"{DATA}/query/01g\w{{15}}-\d+", reply["nextRecordsUrl"])
        assert reply["totalSize"] == 450
        reply = get(server, reply["nextRecordsUrl"]).json()
        ids += [record["Id"] for record in reply["records"]]
    assert len(set(ids)) == len(ids) == 450
    assert kept in ids


def test_batch_size_asked_for(serve, get):
    server = serve()
    headers = {"Sforce-Query-Options": "batchSize=200"}
    reply = get(server, f"{DATA}/query", params={"q": "SELECT Id FROM Contact"}, headers=headers).json()
    assert (len(reply["records"]), reply["done"]) == (200, False)


def test_the_oldest_of_eleven_cursors_goes(serve, get):
    server = serve(batch_size=200)
    query = {"q": "SELECT Id FROM Contact"}
    urls = [get(server, f"{DATA}/query", params=query).json()["nextRecordsUrl"] for _ in range(11)]
    evicted = get(server, urls[0])
    assert (evicted.status_code, evicted.json()[0]["errorCode"]) == (400, "INVALID_QUERY_LOCATOR")
    assert get(server, urls[1]).status_code == 200


def test_hidden_fields_are_not_there(serve, get):
    server = serve(hidden_fields=("Contact.Email",))
    reply = get(server, f"{DATA}/query", params={"q": "SELECT Email FROM Contact"})
    assert reply.json()[0]["errorCode"] == "INVALID_FIELD"
    described = get(server, f"{DATA}/sobjects/Contact/describe").json()
    assert "Email" not in {field["name"] for field in described["fields"]}


def test_describe_if_modified_since(whole_org, get):
    first = get(whole_org, f"{DATA}/sobjects/Contact/describe")
    changed = {"If-Modified-Since": first.headers["Last-Modified"]}
    assert get(whole_org, f"{DATA}/sobjects/Contact/describe", headers=changed).status_code == 304
    long_ago = {"If-Modified-Since": "Mon, 01 Jan 2024 00:00:00 GMT"}
    assert get(whole_org, f"{DATA}/sobjects/Contact/describe", headers=long_ago).status_code == 200


def test_base64_fields_are_read_by_their_url(whole_org, get):
    soql = "SELECT Body, BodyLength FROM Attachment LIMIT 1"
    (record,) = get(whole_org, f"{DATA}/query", params={"q": soql}).json()["records"]
    assert len(get(whole_org, record["Body"]).content) == record["BodyLength"]


def test_urls_up_to_16384_bytes(whole_org, get):
    start = f"{DATA}/query?q=SELECT+Id+FROM+Contact+LIMIT+1"
    assert get(whole_org, start + "+" * (16_384 - len(start))).status_code == 200
    assert get(whole_org, start + "+" * (16_385 - len(start))).status_code == 414


def test_faults(serve, get):
    server = serve()
    query = {"q": "SELECT Id FROM Contact"}
    token = server.org.issue_token()["access_token"]
    server.org.fail_next(after=1, headers={"Retry-After": "1"}, path_pattern="/query")
    server.org.fail_next(status=200, body="<html>Maintenance</html>", path_pattern="/limits")
    assert get(server, f"{DATA}/query", token, params=query).status_code == 200
    failed = get(server, f"{DATA}/query", token, params=query)
    assert (failed.status_code, failed.headers["Retry-After"]) == (503, "1")
    assert failed.json()[0]["errorCode"] == "SERVER_UNAVAILABLE"
    maintenance = get(server, f"{DATA}/limits", token)
    assert maintenance.status_code == 200
    assert maintenance.headers["Content-Type"].startswith("text/html")
    server.org.fail_next(truncate=100)
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        get(server, f"{DATA}/query", token, params=query)
    assert get(server, f"{DATA}/query", token, params=query).status_code == 200
    assert [call.status for call in server.org.calls] == [200, 503, 200, 200, 200]
    assert server.org.calls[0].soql == "SELECT Id FROM Contact"


def test_hooks_run_before_each_data_call(serve, get):
    server = serve()
    server.org.before_request.append(lambda method, path, query: server.org.insert("Contact", LastName="New"))
    counts = [get(server, f"{DATA}/query", params={"q": "SELECT COUNT() FROM Contact"}).json() for _ in range(2)]
    assert [count["totalSize"] for count in counts] == [451, 452]


def test_latency_does_not_queue_calls(serve, get, monkeypatch):
    server = serve(latency=0.3)
    token = server.org.issue_token()["access_token"]
    slept, all_sleep = [], asyncio.Event()

    async def sleep_until_all_do(seconds):
        slept.append(seconds)
        if len(slept) == 10:
            all_sleep.set()
        await asyncio.wait_for(all_sleep.wait(), 60)

    monkeypatch.setattr(gate, "asyncio", SimpleNamespace(sleep=sleep_until_all_do))
    threads = [threading.Thread(target=get, args=(server, f"{DATA}/limits", token)) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [call.status for call in server.org.calls] == [200] * 10
    assert slept == [0.3] * 10


def test_login_in_the_browser(serve):
    server = serve(rotate_refresh_tokens=True)
    callback = "http://localhost:8080/callback"
    asked = {
        "response_type": "code",
        "client_id": server.settings.client_id,
        "redirect_uri": callback,
        "state": "a&b=c",
        "scope": "api refresh_token",
    }
    with requests.Session() as browser:

        def answer(decision):
            page = browser.get(f"{server.url}/services/oauth2/authorize", params=asked, timeout=30)
            ticket = re.search(r'name="ticket" value="([^"]+)"', page.text)[1]
            reply = browser.post(
                f"{server.url}/services/oauth2/authorize",
                data={"ticket": ticket, "decision": decision},
                allow_redirects=False,
                timeout=30,
            )
            location = urlsplit(reply.headers["Location"])
            assert location._replace(query="").geturl() == callback
            return {name: value[0] for name, value in parse_qs(location.query).items()}

        denied = answer("deny")
        assert (denied["error"], denied["state"]) == ("access_denied", "a&b=c")
        code = answer("allow")["code"]
        client = {"client_id": server.settings.client_id, "client_secret": server.settings.client_secret}
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": callback, **client}
        token = browser.post(f"{server.url}/services/oauth2/token", data=form, timeout=30).json()
        assert token["instance_url"] == server.url
        bearer = {"Authorization": f"Bearer {token['access_token']}"}
        info = browser.get(f"{server.url}/services/oauth2/userinfo", headers=bearer, timeout=30).json()
        assert info["preferred_username"] == server.settings.username
        revoked = {"token": token["refresh_token"]}
        assert browser.post(f"{server.url}/services/oauth2/revoke", data=revoked, timeout=30).status_code == 200
        form = {"grant_type": "refresh_token", "refresh_token": token["refresh_token"], **client}
        dead = browser.post(f"{server.url}/services/oauth2/token", data=form, timeout=30)
        assert dead.status_code == 400
        assert dead.json() == {"error": "invalid_grant", "error_description": "expired access/refresh token"}
        assert server.org.token_calls == 2


def test_a_password_with_special_characters_survives(serve):
    server = serve(password="pä#s+w&rd%20", security_token="TOKEN")
    form = {
        "grant_type": "password",
        "client_id": server.settings.client_id,
        "client_secret": server.settings.client_secret,
        "username": server.settings.username,
        "password": "pä#s+w&rd%20TOKEN",
    }
    assert requests.post(f"{server.url}/services/oauth2/token", data=form, timeout=30).status_code == 200


def test_knobs_over_http(serve, get):
    server = serve()
    token = requests.post(f"{server.url}/sandbox/tokens", timeout=30).json()["access_token"]
    assert get(server, f"{DATA}/limits", token).status_code == 200
    requests.post(f"{server.url}/sandbox/faults", json={"status": 500}, timeout=30).raise_for_status()
    assert get(server, f"{DATA}/limits", token).status_code == 500
    assert requests.post(f"{server.url}/sandbox/faults", json={"nonsense": 1}, timeout=30).status_code == 400
    requests.post(f"{server.url}/sandbox/expire-tokens", json={"after_calls": 1}, timeout=30).raise_for_status()
    assert [get(server, f"{DATA}/limits", token).status_code for _ in range(2)] == [200, 401]
    state = requests.get(f"{server.url}/sandbox/state", timeout=30).json()
    assert state["api_calls"] == 2
    assert server.settings.client_secret not in str(state)
    page = requests.get(f"{server.url}/", timeout=30).text
    for value in (server.url, server.settings.client_id, server.settings.client_secret):
        assert f"<code>{value}</code>" in page
