import gzip
import json
import re
from datetime import datetime, timezone

import pytest
import requests
import responses

from airflow_provider_salesforce_export import __version__, exceptions
from airflow_provider_salesforce_export.operators.retries import HOPELESS
from airflow_provider_salesforce_export.salesforce.client import SalesforceClient
from airflow_provider_salesforce_export.salesforce.records import record_type
from airflow_provider_salesforce_export.salesforce.rest_api import RestApi
from airflow_provider_salesforce_export.salesforce.session import Renewal

ORG = "https://acme.my.salesforce.com"
QUERY = f"{ORG}/services/data/v62.0/query"
EXPIRED = [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]


class Tokens:
    """A token source that counts its renewals."""

    def __init__(self, instance_url=ORG):
        self.token = {"access_token": "token-0", "instance_url": ORG}
        self.renewed_on = instance_url
        self.renewed_as = {}
        self.renewals = 0
        self.stale = 0

    def current(self):
        return self.token

    def renew(self, rejected):
        assert rejected is self.token
        self.renewals += 1
        self.token = {"access_token": f"token-{self.renewals}", "instance_url": self.renewed_on} | self.renewed_as
        return Renewal(self.token, is_new=self.renewals > self.stale)


@pytest.fixture
def tokens():
    return Tokens()


@pytest.fixture
def client(tokens, monkeypatch):
    monkeypatch.setattr(RestApi.get.retry, "sleep", lambda seconds: None)
    return SalesforceClient(tokens)


def records(*ids):
    return [{"attributes": {"type": "Contact"}, "Id": record_id} for record_id in ids]


def test_a_count(client, http):
    http.get(QUERY, json={"totalSize": 12345, "done": True, "records": []})

    assert client.count("SELECT COUNT() FROM Contact") == 12345


def test_the_query_travels_whole(client, http):
    soql = "SELECT Id FROM Contact WHERE Name = 'Müller & Söhne +#' AND CreatedDate > 2026-01-01T00:00:00Z"
    http.get(
        QUERY,
        json={"totalSize": 0, "done": True, "records": []},
        match=[responses.matchers.query_param_matcher({"q": soql})],
    )

    assert list(client.query(soql)) == [[]]


def test_deleted_records_are_read_from_query_all(client, http):
    http.get(f"{ORG}/services/data/v62.0/queryAll", json={"totalSize": 1, "done": True, "records": records("1")})

    assert list(client.query("SELECT Id FROM Contact", include_deleted=True)) == [records("1")]


def test_a_query_follows_its_batches(client, http):
    http.get(QUERY, json={"totalSize": 3, "done": False, "records": records("1", "2"), "nextRecordsUrl": "/more-2"})
    http.get(f"{ORG}/more-2", json={"totalSize": 3, "done": True, "records": records("3")})

    assert list(client.query("SELECT Id FROM Contact")) == [records("1", "2"), records("3")]
    assert client.usage.calls == 2


def test_fewer_records_than_announced_are_an_error(client, http):
    http.get(QUERY, json={"totalSize": 3, "done": True, "records": records("1", "2")})

    with pytest.raises(exceptions.IncompleteResponseError, match=r"holds 2 .* announced 3 .*for good.*A retry"):
        list(client.query("SELECT Id FROM Contact"))


def test_a_field_that_is_not_written_as_salesforce_writes_it_fails_at_once(client, http):
    http.get(QUERY, json={"totalSize": 1, "done": True, "records": [{"Id": "1", "Email": "a@b.c"}]})

    with pytest.raises(exceptions.QueryError, match=r"required field `email`.*as Salesforce names them"):
        list(client.query("SELECT Id, email FROM Contact", record_type=record_type("Contact", ("Id", "email"))))

    assert len(http.calls) == 1


def test_a_reply_that_is_not_that_of_a_query_is_asked_for_again(client, http):
    http.get(QUERY, json={"maintenance": True})
    http.get(QUERY, json={"totalSize": 7, "done": True, "records": []})

    assert client.count("SELECT COUNT() FROM Contact") == 7


def test_batches_without_an_end_are_an_error(client, http):
    batch = {"totalSize": 3, "done": False, "records": records("1", "2"), "nextRecordsUrl": "/more"}
    http.get(QUERY, json=batch)
    http.get(f"{ORG}/more", json=batch)

    with pytest.raises(exceptions.IncompleteResponseError, match="holds 4 records where it announced 3"):
        list(client.query("SELECT Id FROM Contact"))


@pytest.mark.parametrize("elsewhere", ["https://evil.example/", "@evil.example/", ".evil.example/"])
def test_the_token_goes_nowhere_else_for_a_batch(client, http, elsewhere):
    http.get(QUERY, json={"totalSize": 3, "done": False, "records": records("1"), "nextRecordsUrl": elsewhere})

    with pytest.raises(exceptions.IncompleteResponseError, match="names no path of this org"):
        list(client.query("SELECT Id FROM Contact"))

    assert len(http.calls) == 1


def test_a_401_renews_the_token_and_repeats_the_request(client, tokens, http):
    http.get(QUERY, status=401, json=EXPIRED)
    http.get(QUERY, json={"totalSize": 1, "done": True, "records": []})

    assert client.count("SELECT COUNT() FROM Contact") == 1
    assert tokens.renewals == 1
    assert [call.request.headers["Authorization"] for call in http.calls] == ["Bearer token-0", "Bearer token-1"]
    assert client.usage.calls == 2


def test_a_renewed_token_may_name_another_instance(monkeypatch, http):
    tokens = Tokens(instance_url="https://moved.my.salesforce.com")
    http.get(QUERY, status=401, json=EXPIRED)
    http.get(
        "https://moved.my.salesforce.com/services/data/v62.0/query", json={"totalSize": 1, "done": True, "records": []}
    )

    assert SalesforceClient(tokens).count("SELECT COUNT() FROM Contact") == 1


IDENTITY = "00Dxx0000001gPF/005xx000001Sv6A"


@pytest.mark.parametrize(
    ("renewed_as", "is_taken"),
    [
        ("https://login.salesforce.com/id/00Dxx0000001gPFEAY/005xx000001Sv6AAAS", True),
        ("https://acme.my.salesforce.com/id/00Dxx0000001gPF/005xx000001Sv6A", True),
        (None, True),
        ("https://login.salesforce.com/id/00Dxx0000001gPFEAY/005xx000001Sv6BAAT", False),
        ("https://login.salesforce.com/id/00Dxx0000001gPfEAY/005xx000001Sv6AAAS", False),
    ],
)
def test_a_token_of_somebody_else_is_not_used_where_that_is_asked_for(client, tokens, http, renewed_as, is_taken):
    """Ids of 15 and of 18 characters are the same; a token of another program does not say whose it is."""
    tokens.token["id"] = "https://login.salesforce.com/id/00Dxx0000001gPFEAY/005xx000001Sv6AAAS"
    tokens.renewed_as = {"id": renewed_as} if renewed_as else {}
    http.get(QUERY, status=401, json=EXPIRED)
    if is_taken:
        http.get(QUERY, json={"totalSize": 1, "done": True, "records": []})
    assert client.identity == IDENTITY

    client.require_identity(client.identity)

    if is_taken:
        assert client.count("SELECT COUNT() FROM Contact") == 1
    else:
        for _ in range(2):
            with pytest.raises(exceptions.LoginChangedError, match="user 005xx000001Sv6A of org 00Dxx0000001gPF, and"):
                client.count("SELECT COUNT() FROM Contact")
        assert len(http.calls) == 1


def test_a_401_on_a_fresh_token_is_no_loop(client, tokens, http):
    http.get(QUERY, status=401, json=EXPIRED)
    http.get(QUERY, status=401, json=EXPIRED)

    with pytest.raises(exceptions.SessionRejectedError, match=r"locked to another IP address.*frozen.*API access"):
        client.count("SELECT COUNT() FROM Contact")
    assert tokens.renewals == 1


def test_a_stored_token_that_has_expired_too_is_renewed_in_its_turn(client, tokens, http):
    tokens.stale = 1
    http.get(QUERY, status=401, json=EXPIRED)
    http.get(QUERY, status=401, json=EXPIRED)
    http.get(QUERY, json={"totalSize": 1, "done": True, "records": []})

    assert client.count("SELECT COUNT() FROM Contact") == 1
    assert [call.request.headers["Authorization"] for call in http.calls] == [f"Bearer token-{n}" for n in range(3)]
    assert client.usage.calls == 3


def test_proxies_of_the_connection_come_before_those_of_the_environment(tokens, http, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://environment:3128")
    http.get(QUERY, json={"totalSize": 1, "done": True, "records": []})

    SalesforceClient(tokens, proxies={"https": "http://connection:3128"}).count("SELECT COUNT() FROM Contact")

    assert http.calls[0].request.req_kwargs["proxies"]["https"] == "http://connection:3128"


def test_the_environment_is_read_once_for_each_host(tokens, http, monkeypatch):
    asked, get_environ_proxies = [], requests.sessions.get_environ_proxies
    monkeypatch.setattr(
        requests.sessions, "get_environ_proxies", lambda url, **no: asked.append(url) or get_environ_proxies(url, **no)
    )
    monkeypatch.setenv("HTTPS_PROXY", "http://environment:3128")
    http.get(QUERY, json={"totalSize": 1, "done": True, "records": []})
    client = SalesforceClient(tokens)

    for _ in range(3):
        client.count("SELECT COUNT() FROM Contact")

    assert len(asked) == 1
    assert {call.request.req_kwargs["proxies"]["https"] for call in http.calls} == {"http://environment:3128"}


def test_a_dead_proxy_is_not_taken_for_a_wrong_domain(client, http):
    http.get(QUERY, body=requests.exceptions.ProxyError("Failed to resolve 'proxy'"))

    with pytest.raises(exceptions.SalesforceUnavailableError, match=r"proxy to acme\.my\.salesforce\.com") as caught:
        client.count("SELECT COUNT() FROM Contact")
    assert not isinstance(caught.value, exceptions.DomainNotFoundError)


@pytest.mark.parametrize(
    ("status", "error_code", "kind", "advice"),
    [
        (400, "MALFORMED_QUERY", exceptions.QueryError, "Correct the fields"),
        (400, "INVALID_FIELD", exceptions.QueryError, "field-level security"),
        (400, "INVALID_TYPE", exceptions.QueryError, "sObject does not exist"),
        (400, "NUMBER_OUTSIDE_VALID_RANGE", exceptions.QueryError, "pagination='auto'"),
        (403, "API_DISABLED_FOR_ORG", exceptions.AuthenticationError, "Salesforce admin"),
        (400, "QUERY_TIMEOUT", exceptions.SalesforceError, "smaller page_size"),
        (400, "SOMETHING_NEW", exceptions.SalesforceError, "SOMETHING_NEW"),
    ],
)
def test_each_error_of_salesforce_says_who_mends_it(client, http, status, error_code, kind, advice):
    http.get(QUERY, status=status, json=[{"message": "No such column 'X'", "errorCode": error_code}])

    with pytest.raises(kind, match=advice) as caught:
        client.count("SELECT COUNT() FROM Contact")
    assert "No such column 'X'" in str(caught.value)
    assert (caught.value.error_code, caught.value.status_code) == (error_code, status)


@pytest.mark.parametrize("said", ["unexpected token: 'FORM'", "Bind variables only allowed in Apex code."])
def test_advice_is_a_sentence_of_its_own_after_what_salesforce_says(client, http, said):
    http.get(QUERY, status=400, json=[{"message": said, "errorCode": "MALFORMED_QUERY"}])

    with pytest.raises(exceptions.QueryError, match=re.escape(f"{said.rstrip('.')}. Correct the fields")):
        client.count("SELECT COUNT() FORM Contact")


def test_the_quota_of_the_day_and_too_many_requests_at_once_are_told_apart(client, http):
    def refuse(message):
        http.get(QUERY, status=403, json=[{"message": message, "errorCode": "REQUEST_LIMIT_EXCEEDED"}])

    refuse("TotalRequests Limit exceeded.")
    with pytest.raises(exceptions.QuotaReachedError, match="quota frees up within 24 hours"):
        client.count("SELECT COUNT() FROM Contact")
    assert len(http.calls) == 1

    http.reset()
    refuse("ConcurrentRequests (Concurrent API Requests) Limit exceeded.")
    with pytest.raises(exceptions.ConcurrentRequestsError, match="lower concurrency"):
        client.count("SELECT COUNT() FROM Contact")
    assert len(http.calls) == 5


def test_too_many_requests_at_once_may_pass(client, http):
    refused = [{"message": "ConcurrentRequests Limit exceeded.", "errorCode": "REQUEST_LIMIT_EXCEEDED"}]
    http.get(QUERY, status=403, json=refused)
    http.get(QUERY, json={"totalSize": 7, "done": True, "records": []})

    assert client.count("SELECT COUNT() FROM Contact") == 7


def test_above_its_share_of_the_quota_a_client_makes_no_call(tokens, http):
    client = SalesforceClient(tokens, api_quota_limit=0.8)
    reply = {"totalSize": 7, "done": True, "records": []}
    http.get(QUERY, json=reply, headers={"Sforce-Limit-Info": "api-usage=799/1000"})
    http.get(QUERY, json=reply, headers={"Sforce-Limit-Info": "api-usage=800/1000"})
    client.count("SELECT COUNT() FROM Contact")
    client.count("SELECT COUNT() FROM Contact")

    with pytest.raises(exceptions.QuotaReachedError, match=r"800 of the org's 1000.*api_quota_limit=0\.8 allows 800"):
        client.count("SELECT COUNT() FROM Contact")
    assert len(http.calls) == 2


def test_calls_that_exceed_the_share_even_of_an_unused_quota_are_no_matter_of_waiting(tokens, http):
    client = SalesforceClient(tokens, api_quota_limit=0.5)
    http.get(
        QUERY,
        json={"totalSize": 7, "done": True, "records": []},
        headers={"Sforce-Limit-Info": "api-usage=10/1000"},
    )
    client.count("SELECT COUNT() FROM Contact")

    client.require_quota(490)
    with pytest.raises(exceptions.QuotaReachedError, match="491 more are needed"):
        client.require_quota(491)
    with pytest.raises(exceptions.ConfigurationError, match=r"501 API calls.*raise page_size or api_quota_limit"):
        client.require_quota(501)


def test_an_unknown_sobject_has_no_description(client, http):
    http.get(
        f"{ORG}/services/data/v62.0/sobjects/Nothing__c/describe",
        status=404,
        json=[{"message": "The requested resource does not exist", "errorCode": "NOT_FOUND"}],
    )
    http.get(f"{ORG}/services/data/", json=[{"version": "62.0"}])

    with pytest.raises(exceptions.QueryError, match="sObject Nothing__c does not exist"):
        client.describe("Nothing__c")


def test_a_query_that_was_too_slow_once_may_be_tried_again(client, http):
    http.get(QUERY, status=400, json=[{"message": "too long", "errorCode": "QUERY_TIMEOUT"}])

    with pytest.raises(exceptions.SalesforceError) as caught:
        client.count("SELECT COUNT() FROM Contact")
    assert not isinstance(caught.value, HOPELESS)


def test_a_retired_version_says_which_there_are(client, http):
    http.get(QUERY, status=410, json=[{"message": "retired", "errorCode": "UNSUPPORTED_API_VERSION"}])
    http.get(f"{ORG}/services/data/", json=[{"version": "65.0"}, {"version": "66.0"}])

    with pytest.raises(exceptions.ApiVersionError, match=r"no API version 62\.0; it has 65\.0 to 66\.0"):
        client.count("SELECT COUNT() FROM Contact")


def test_something_else_not_found_is_not_blamed_on_the_version(client, http):
    http.get(QUERY, status=404, json=[{"message": "gone", "errorCode": "NOT_FOUND"}])
    http.get(f"{ORG}/services/data/", json=[{"version": "62.0"}])

    with pytest.raises(exceptions.SalesforceError, match="gone") as caught:
        client.count("SELECT COUNT() FROM Contact")
    assert not isinstance(caught.value, exceptions.ApiVersionError)


@pytest.mark.parametrize("body", ["[]", '{"totalSize": 3}'])
def test_a_reply_of_another_form_is_never_used(client, http, body):
    http.get(QUERY, body=body)

    with pytest.raises(exceptions.IncompleteResponseError):
        list(client.query("SELECT Id FROM Contact"))


@pytest.mark.parametrize("body", ["<html>maintenance</html>", '{"totalSize": 3, "do'])
def test_a_reply_that_is_not_json_is_asked_for_again_and_never_used(client, http, body):
    for _ in range(3):
        http.get(QUERY, body=body)

    with pytest.raises(exceptions.IncompleteResponseError):
        list(client.query("SELECT Id FROM Contact"))


def test_a_body_cut_short_once_does_no_harm(client, http):
    http.get(QUERY, body=requests.exceptions.ChunkedEncodingError("IncompleteRead"))
    http.get(QUERY, json={"totalSize": 1, "done": True, "records": records("1")})

    assert list(client.query("SELECT Id FROM Contact")) == [records("1")]


def test_silence_is_an_error_that_names_the_host_and_not_the_query(client, http):
    http.get(QUERY, body=requests.exceptions.ReadTimeout())

    with pytest.raises(exceptions.SalesforceUnavailableError, match=re.escape("acme.my.salesforce.com")) as caught:
        client.count("SELECT COUNT() FROM Contact WHERE Email = 'secret'")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("header", "said_at"),
    [
        ("Fri, 20 Nov 2026 08:09:10 GMT", datetime(2026, 11, 20, 8, 9, 10, tzinfo=timezone.utc)),
        ("soon", None),
        ("", None),
    ],
)
def test_the_clock_of_the_org_is_that_of_its_replies(client, http, header, said_at):
    assert client.said_at is None
    http.get(QUERY, json={"totalSize": 1, "done": True, "records": []}, headers={"Date": header})
    client.count("SELECT COUNT() FROM Contact")

    assert client.said_at == said_at


def test_usage_of_the_org_is_read_from_every_reply(client, http):
    for used in (18, 19):
        http.get(
            QUERY,
            json={"totalSize": 1, "done": True, "records": []},
            headers={"Sforce-Limit-Info": f"api-usage={used}/5000"},
        )
        client.count("SELECT COUNT() FROM Contact")

        assert (client.usage.used, client.usage.limit) == (used, 5000)


def test_replies_may_be_compressed_and_the_client_says_who_it_is(client, http):
    http.get(
        QUERY,
        body=gzip.compress(json.dumps({"totalSize": 7, "done": True, "records": []}).encode()),
        headers={"Content-Encoding": "gzip"},
    )

    assert client.count("SELECT COUNT() FROM Contact") == 7
    headers = http.calls[0].request.headers
    assert headers["User-Agent"].startswith(f"airflow-provider-salesforce-export/{__version__} ")
    assert "gzip" in headers["Accept-Encoding"]
