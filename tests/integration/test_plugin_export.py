"""Read pages through Airflow's API server."""

import asyncio
import json
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
import requests

from airflow_provider_salesforce_export.hooks.salesforce_export import SalesforceExportHook
from airflow_provider_salesforce_export.object_types import CONTACTS
from airflow_provider_salesforce_export.plugin.export import open_page
from airflow_provider_salesforce_export.sandbox.ids import to_18
from tests.integration.conftest import ids_in
from tests.patience import PATIENCE


@pytest.fixture
def connect(start_org, connections):
    """Start an org to which somebody is connected."""

    def connect(**settings):
        server = start_org(**settings)
        connections(server)
        return server

    return connect


@pytest.fixture
def op(browser):
    return browser("op")


def test_a_page_is_the_envelope_of_the_replaced_service(op, connect):
    org = connect(contacts=25)

    answer = op.get("export/contacts?page=2&limit=10").json()

    assert list(answer) == ["success", "message", "data", "pagination"]
    assert (answer["success"], answer["message"]) == (True, "SUCCESS")
    assert [record["Id"] for record in answer["data"]] == ids_in(org)[10:20]
    assert "attributes" not in json.dumps(answer)
    assert answer["pagination"] == {
        "page": 2,
        "per_page": 10,
        "total": 25,
        "total_pages": 3,
        "next_page": 3,
        "prev_page": 1,
        "offsetValue": 10,
    }


@pytest.mark.parametrize(
    ("query", "rows", "pagination"),
    [
        ("", 25, (1, 25, 25, 1, None, None, 0)),
        ("?limit=25", 25, (1, 25, 25, 1, None, None, 0)),
        ("?limit=2147483647", 25, (1, 2147483647, 25, 1, None, None, 0)),
        ("?page=3&limit=10", 5, (3, 10, 25, 3, None, 2, 20)),
        ("?page=4&limit=10", 0, (4, 10, 25, 3, None, 3, 30)),
        ("?page=2", 0, (2, 25, 25, 1, None, 1, 25)),
        ("?page=2147483647&limit=2147483647", 0, None),
    ],
)
def test_pages_and_limits(query, rows, pagination, op, connect):
    connect(contacts=25)

    answer = op.get(f"export/contacts{query}").json()

    assert len(answer["data"]) == rows
    assert pagination is None or tuple(answer["pagination"].values()) == pagination


def test_nothing_is_a_page_too(op, connect):
    connect()

    assert tuple(op.get("export/deals").json()["pagination"].values()) == (1, 0, 0, 0, None, None, 0)


def test_all_pages_together_hold_every_record_once_also_beyond_offset_2000(op, connect):
    org = connect(contacts=7_300, batch_size=500)

    pages = [op.get(f"export/contacts?page={page}&limit=1500").json()["data"] for page in range(1, 6)]

    assert [record["Id"] for page in pages for record in page] == ids_in(org)
    assert not [call.soql for call in org.org.calls if call.status != 200]


def test_every_page_begins_where_it_should_where_ids_lie_far_apart(op, connect):
    org = connect(contacts=2_500)
    for number in range(3):
        org.org.insert("Contact", LastName="Far", Id=to_18(f"003zz0000ZZZZZ{number}"))
    ids = ids_in(org)
    assert ids[-1].startswith("003zz")

    for offset in (2000, 2001, 2499, 2500, 2502):
        (record,) = op.get(f"export/contacts?page={offset + 1}&limit=1").json()["data"]
        assert record["Id"] == ids[offset]


def test_records_are_sent_while_later_ones_are_not_yet_read(op, connect):
    org = connect(contacts=20_000)
    read, sent = threading.Event(), []

    def wait_for_the_client(method, path, query):
        if "-8000" in path:
            sent.append(read.wait(60))

    org.org.before_request.append(wait_for_the_client)
    with op.get("export/contacts", headers={"Accept-Encoding": "identity"}, stream=True) as answer:
        body, records = b"", 0
        for chunk in answer.iter_content(100_000):
            body += chunk
            records += chunk.count(b'"Id"')
            if records > 7_000:
                read.set()

    assert sent == [True]
    assert len(json.loads(body)["data"]) == 20_000


def test_memory_stays_flat_however_many_records_there_are():
    """An org without end, as the route reads it: never more than a few batches are held."""
    made = []

    class Org:
        def count(self, soql):
            return 200_000

        def require_quota(self, calls):
            assert calls == 100

        def query(self, soql, *, record_type):
            for number in range(100):
                batch = Batch({"Id": f"{number}-{row}"} for row in range(2_000))
                made.append(weakref.ref(batch))
                assert sum(ref() is not None for ref in made) <= 2
                yield batch
                del batch

    class Batch(list):
        """A list that can be watched."""

    size = sum(map(len, open_page(SimpleNamespace(client=Org()), CONTACTS, page=1, limit=None)))

    assert len(made) == 100
    assert size > 2_000_000


def test_an_unknown_type_is_answered_with_those_there_are(op, connect):
    connect()

    answer = op.get("export/leads")

    assert answer.status_code == 400
    assert answer.json()["supported_types"] == ["contacts", "deals", "notes"]


def test_without_a_key_the_answer_says_where_to_log_in(op, connect, documents, airflow_url):
    connect()
    documents.delete_many({})

    answer = op.get("export/contacts")

    assert answer.status_code == 404
    login = answer.json()["login_url"]
    assert login == f"{airflow_url}/v1/integrations/salesforce/auth/login?conn_id=salesforce_export_default"
    assert op.get(login).status_code == 302


def test_salesforces_own_errors_are_passed_on(op, connect):
    connect(contacts=3, hidden_fields=("Contact.Email",))

    answer = op.get("export/contacts?limit=2")

    assert answer.status_code == 400
    assert answer.json()["error_code"] == "INVALID_FIELD"
    assert "No such column 'Email'" in answer.json()["message"]


def test_an_expired_token_is_renewed(op, connect):
    org = connect(contacts=3)
    org.org.expire_tokens()

    assert op.get("export/contacts").status_code == 200
    assert org.org.token_calls == 1


def test_a_token_that_expires_in_the_middle_of_a_stream_is_renewed(op, connect):
    org = connect(contacts=3_000, batch_size=500)
    org.org.expire_tokens_after(4)

    assert len(op.get("export/contacts").json()["data"]) == 3_000
    assert org.org.token_calls == 1


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
def test_an_error_in_the_middle_never_looks_like_the_end(encoding, op, connect):
    org = connect(contacts=20_000)
    org.org.fail_next(after=4, status=400, body=[{"errorCode": "INVALID_QUERY_LOCATOR", "message": "gone"}])
    chunks = []

    with op.get("export/contacts", headers={"Accept-Encoding": encoding}, stream=True) as answer:
        assert answer.status_code == 200
        with pytest.raises(requests.exceptions.ChunkedEncodingError, match="Response ended prematurely"):
            chunks.extend(answer.iter_content(1000))

    body = b"".join(chunks)
    assert b'"Id"' in body
    with pytest.raises(json.JSONDecodeError):
        json.loads(body)


def test_a_client_that_leaves_in_the_middle_ends_the_calls_to_salesforce(op, connect, monkeypatch):
    org = connect(contacts=40_000)
    gone, closed = threading.Event(), []

    def wait_until_the_client_is_gone(method, path, query):
        if "-8000" in path:
            assert gone.wait(PATIENCE)

    def close(hook, really_close=SalesforceExportHook.close):
        with pytest.raises(RuntimeError, match="no running event loop"):
            asyncio.get_running_loop()
        really_close(hook)
        closed.append(hook)

    org.org.before_request.append(wait_until_the_client_is_gone)
    monkeypatch.setattr(SalesforceExportHook, "close", close)
    with op.get("export/contacts", headers={"Accept-Encoding": "identity"}, stream=True) as answer:
        assert next(answer.iter_content(1000))
    gone.set()

    deadline = time.monotonic() + PATIENCE
    while not closed:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    # How many of the 19 are left out depends on how much the buffers of the sockets hold.
    assert len([call for call in org.org.calls if "-" in call.path.rpartition("/")[2]]) < 19


def test_calls_that_run_short_are_429(op, connect):
    connect(contacts=3, api_quota=2)

    first, second, third = (op.get("export/contacts") for _ in range(3))

    assert [first.status_code, second.status_code, third.status_code] == [429, 429, 429]
    assert "api_quota_limit=0.8" in first.json()["message"]
    assert third.json()["error_code"] == "REQUEST_LIMIT_EXCEEDED"
    assert int(first.headers["Retry-After"]) == int(third.headers["Retry-After"]) == 3600


def test_salesforce_away_is_503(op, connect):
    org = connect(contacts=3)
    org.org.fail_next(times=20, status=503)

    answer = op.get("export/contacts")

    assert answer.status_code == 503
    assert answer.headers["Retry-After"]


def test_mongodb_away_is_503_and_a_row_that_says_so(op, connect, monkeypatch):
    connect(contacts=3)
    monkeypatch.setenv("AIRFLOW_CONN_MONGO_DEFAULT", "mongo://127.0.0.1:1/?serverSelectionTimeoutMS=100")

    answer = op.get("export/contacts")
    (row,) = op.get("connections").json()["connections"]

    assert answer.status_code == 503
    assert "does not answer" in answer.json()["message"]
    assert row["state"] == "error"
    assert "does not answer" in row["error"]
    assert row["account_id"]


def test_a_storm_of_requests_renews_the_token_once_and_leaves_the_server_awake(
    browser, connect, connections, token_gate
):
    org = connect(contacts=10, rotate_refresh_tokens=True)
    connections(org, auth_timeout=PATIENCE)  # longer than the machine needs to send all requests
    browsers = [browser("op") for _ in range(20)]
    org.org.expire_tokens()
    with ThreadPoolExecutor(200) as pool:
        with token_gate(org) as gate:
            answers = [pool.submit(browsers[i % 20].get, "export/contacts?limit=5") for i in range(200)]
            gate.wait_until(lambda: sum(call.status == 401 for call in org.org.calls) >= 20)
            health = browsers[0].get(f"{browsers[0].airflow}/api/v2/version")
        pages = [answer.result() for answer in answers]

    assert health.status_code == 200
    assert [page.status_code for page in pages] == [200] * 200
    assert {len(page.json()["data"]) for page in pages} == {5}
    assert org.org.token_calls == 1


def test_a_row_tells_who_is_connected_to_what(browser, op, connect, documents, airflow_url):
    org = connect()
    documents.delete_many({})
    (before,) = op.get("connections").json()["connections"]
    op.log_in()
    calls = len(org.org.calls)

    answer = op.get("connections").json()

    assert len(org.org.calls) == calls
    assert answer["callback_url"] == f"{airflow_url}/v1/integrations/salesforce/auth/callback"
    (row,) = answer["connections"]
    times = [row.pop(name) for name in ("issued_at", "updated_at")]
    assert all(time.endswith("+00:00") for time in times)
    assert (before["state"], before["issued_at"]) == ("never", None)
    assert row == {
        "conn_id": "salesforce_export_default",
        "environment": "local",
        "login_url": org.url,
        "grant_type": "refresh_token",
        "account_id": org.settings.client_id,
        "owner": org.url.partition("://")[2],
        "state": "connected",
        "error": None,
        "instance_url": org.url,
        "connected_by": "op",
        "object_types": ["contacts", "deals", "notes"],
        "callback_url": f"{airflow_url}/v1/integrations/salesforce/auth/callback",
        "may": {"login": True, "disconnect": True, "test": True, "export": True},
    }


def test_a_wrong_connection_is_a_row_that_says_what_is_wrong(op, connect, connections):
    org = connect()
    connections(org, {"login": ""})

    (row,) = op.get("connections").json()["connections"]

    assert row["state"] == "error"
    assert "consumer key (login) is missing" in row["error"]
    assert op.get("export/contacts").status_code == 500


def test_testing_a_connection(op, connect):
    org = connect(api_quota=1000)
    path = "connections/salesforce_export_default/test"

    org.org.expire_tokens()
    works = op.post(path).json()
    org.org.revoke_grants()
    broken = op.post(path).json()

    assert works["works"] is True
    assert works["user"] == org.settings.username
    assert works["api_usage"]["limit"] == 1000
    assert works["api_usage"]["used"] >= 1
    assert broken["works"] is False
    assert "log in to Salesforce again" in broken["message"]
