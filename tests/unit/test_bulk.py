import csv
import gzip
import io
from unittest.mock import patch

import pytest
import requests
import responses
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_salesforce_export import exceptions
from airflow_provider_salesforce_export.operators.retries import HOPELESS
from airflow_provider_salesforce_export.salesforce import bulk_csv
from airflow_provider_salesforce_export.salesforce.bulk import BulkQueries
from airflow_provider_salesforce_export.salesforce.bulk_csv import csv_columns
from airflow_provider_salesforce_export.salesforce.bulk_job import ResultPage
from airflow_provider_salesforce_export.salesforce.client import SalesforceClient
from airflow_provider_salesforce_export.salesforce.rest_api import RestApi
from airflow_provider_salesforce_export.salesforce.session import Renewal

ORG = "https://acme.my.salesforce.com"
DATA = "/services/data/v62.0"
JOBS = f"{ORG}{DATA}/jobs/query"
JOB = f"{JOBS}/750X"
SOQL = "SELECT Id, Name FROM Contact"
FIELDS = ("Id", "Name")
PAGE = ResultPage("750X", 0, f"{DATA}/jobs/query/750X/results?locator=A")
EXPIRED = [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]
GONE = [{"message": "The requested resource does not exist", "errorCode": "NOT_FOUND"}]
BAD_LOCATOR = [{"message": "Invalid locator: A", "errorCode": "API_ERROR"}]
LIMIT = "Max bulk v2 query jobs (10000) per 24 hrs has been reached (10021)"


class Tokens:
    """A token source that counts its renewals."""

    def __init__(self):
        self.token = {"access_token": "token-0", "instance_url": ORG}
        self.renewals = 0

    def current(self):
        return self.token

    def renew(self, rejected):
        self.renewals += 1
        self.token = {"access_token": f"token-{self.renewals}", "instance_url": ORG}
        return Renewal(self.token, is_new=True)


@pytest.fixture
def tokens():
    return Tokens()


@pytest.fixture
def connect(tokens, monkeypatch):
    for repeated in (RestApi.get, BulkQueries._read):
        monkeypatch.setattr(repeated.retry, "sleep", lambda seconds: None)
    return lambda **options: SalesforceClient(tokens, **options).bulk


@pytest.fixture
def bulk(connect):
    return connect()


def rows_of(batches):
    """Return the rows that a download gives column by column."""
    return [list(row) for columns in batches for row in zip(*columns, strict=True)]


def refusal(code, message):
    return [{"errorCode": code, "message": message}]


def add_job(http, state="JobComplete", records=2, **more):
    http.get(JOB, json={"id": "750X", "state": state, "numberRecordsProcessed": records, **more})


def add_result(http, rows=(("1", "Ada"), ("2", "Zoë")), announced=None, header=FIELDS, locator="A", **options):
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows([header, *rows])
    headers = {"Sforce-NumberOfRecords": str(len(rows) if announced is None else announced), "Content-Type": "text/csv"}
    options = {"body": text.getvalue().encode(), "headers": headers} | options
    http.get(f"{JOB}/results?locator={locator}", **options)


def test_a_query_is_submitted_as_csv_with_commas(bulk, http):
    expected = {"query": SOQL, "contentType": "CSV", "columnDelimiter": "COMMA", "lineEnding": "LF"}
    for operation in ("query", "queryAll"):
        matches = responses.matchers.json_params_matcher({"operation": operation, **expected})
        http.post(JOBS, json={"id": "750X", "state": "UploadComplete"}, match=[matches])

    assert bulk.submit(SOQL) == bulk.submit(SOQL, include_deleted=True) == "750X"


def test_a_submission_is_never_repeated(bulk, http):
    http.post(JOBS, status=503)

    with pytest.raises(exceptions.SalesforceUnavailableError):
        bulk.submit(SOQL)
    assert len(http.calls) == 1


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("API_ERROR", "Selecting compound data not supported in Bulk Query"),
        ("INVALIDENTITY", "Entity 'Tag' is not supported by the Bulk API."),
        ("MALFORMED_QUERY", "unexpected token: 'FORM'"),
    ],
)
def test_a_refused_query_is_shown_with_what_salesforce_says(bulk, http, code, message):
    http.post(JOBS, status=400, json=refusal(code, message))

    with pytest.raises(exceptions.QueryError) as caught:
        bulk.submit(SOQL)
    assert message in str(caught.value)
    assert SOQL in str(caught.value)
    assert "Correct the object type" in str(caught.value)
    assert "use REST" in str(caught.value)
    assert (caught.value.error_code, caught.value.status_code) == (code, 400)


@pytest.mark.parametrize("code", ["LIMIT_EXCEEDED", "API_ERROR"])
def test_a_spent_quota_of_jobs_is_waited_for(bulk, http, code):
    http.post(JOBS, status=400, json=refusal(code, LIMIT))

    with pytest.raises(exceptions.QuotaReachedError, match="within 24 hours"):
        bulk.submit(SOQL)


def test_an_old_api_version_is_refused_before_any_call(connect, http):
    with pytest.raises(exceptions.ConfigurationError, match=r"50\.0 or later, and the connection has 49\.0: raise"):
        connect(api_version="49.0").submit(SOQL)


@pytest.mark.parametrize(
    ("state", "is_over"),
    [("UploadComplete", False), ("InProgress", False), ("JobComplete", True), ("Failed", True), ("Aborted", True)],
)
def test_every_state_is_over_or_not(bulk, http, state, is_over):
    add_job(http, state, records=7)
    job = bulk.job("750X")

    assert (job.state, job.records, job.is_over, job.error_message) == (state, 7, is_over, None)


def test_a_complete_job_that_does_not_say_how_many_records_it_found_is_not_taken_for_empty(bulk, http):
    http.get(JOB, json={"id": "750X", "state": "JobComplete"})

    with pytest.raises(exceptions.IncompleteResponseError, match="has no numberRecordsProcessed"):
        bulk.job("750X")


def test_a_state_that_is_not_known_is_not_waited_for(bulk, http):
    add_job(http, "Sleeping")

    # No SalesforceUnavailableError: a trigger would go on waiting.
    with pytest.raises(exceptions.BulkJobError, match="a state that this version does not know: Sleeping"):
        bulk.job("750X")


def test_a_failed_job_shows_salesforces_message_and_the_query(bulk, http):
    add_job(http, "Failed", errorMessage="Retried more than fifteen times")

    with pytest.raises(exceptions.BulkJobError, match="Retried more than fifteen times") as caught:
        bulk.job("750X").require_success(SOQL)
    assert SOQL in str(caught.value)
    assert not isinstance(caught.value, HOPELESS)


def test_an_aborted_job_says_so_and_a_complete_one_nothing(bulk, http):
    add_job(http, "Aborted")
    add_job(http, "JobComplete")

    with pytest.raises(exceptions.BulkJobError, match=r"aborted.*Run the task again"):
        bulk.job("750X").require_success(SOQL)
    bulk.job("750X").require_success(SOQL)


@pytest.mark.parametrize(("ask", "path"), [(BulkQueries.job, JOB), (BulkQueries.result_pages, f"{JOB}/resultPages")])
def test_a_job_that_is_gone_says_why_and_what_to_do(bulk, http, ask, path):
    http.get(path, status=404, json=GONE)
    http.get(f"{ORG}/services/data/", json=[{"version": "62.0"}])

    with pytest.raises(
        exceptions.BulkJobError, match=r"no Bulk query job 750X.*older than 7 days.*Run the whole export"
    ):
        ask(bulk, "750X")


@pytest.mark.parametrize(
    ("pages", "entry", "start"),
    [
        ("resultPages", "resultUrl", f"{DATA}/"),
        ("resultPages", "resultLink", f"{ORG}{DATA}/"),
        ("resultChunks", "resultLink", "/"),
        ("resultChunks", "resultLink", ""),
    ],
)
def test_result_pages_are_listed_in_every_form_that_salesforce_has(bulk, http, pages, entry, start):
    for following, locators in ((f"{start}jobs/query/750X/resultPages?locator=M", "AB"), (None, "C")):
        links = [{entry: f"{start}jobs/query/750X/results?locator={locator}"} for locator in locators]
        query = "" if following else "?locator=M"
        listed = {pages: links, "nextRecordsUrl": following, "done": following is None}
        http.get(f"{JOB}/resultPages{query}", json=listed, match_querystring=None)

    assert bulk.result_pages("750X") == [
        ResultPage("750X", number, f"{DATA}/jobs/query/750X/results?locator={locator}")
        for number, locator in enumerate("ABC")
    ]


def test_a_job_that_found_nothing_may_have_no_result_pages(bulk, http):
    http.get(f"{JOB}/resultPages", json={"resultPages": [], "nextRecordsUrl": None, "done": True})

    assert bulk.result_pages("750X") == []


def test_a_job_is_aborted_and_deleted_whatever_is_used_of_the_quota(connect, http):
    http.get(JOB, json={"id": "750X", "state": "InProgress"}, headers={"Sforce-Limit-Info": "api-usage=900/1000"})
    http.patch(JOB, json={"id": "750X", "state": "Aborted"})
    http.delete(JOB, status=204)
    bulk = connect(api_quota_limit=0.8)
    bulk.job("750X")
    with pytest.raises(exceptions.QuotaReachedError):
        bulk.job("750X")

    bulk.abort("750X")
    bulk.delete("750X")

    assert [call.request.method for call in http.calls] == ["GET", "PATCH", "DELETE"]


def test_before_version_58_results_are_found_by_their_locators(connect, http):
    job = f"{ORG}/services/data/v57.0/jobs/query/750X"
    for locator, following in (("", "B"), ("&locator=B", "null")):
        headers = {"Sforce-NumberOfRecords": "1", "Sforce-Locator": following}
        http.get(f"{job}/results?maxRecords=100000{locator}", body=b'"Id"\n"1"\n', headers=headers)

    assert [page.path for page in connect(api_version="57.0").result_pages("750X")] == [
        "/services/data/v57.0/jobs/query/750X/results?maxRecords=100000",
        "/services/data/v57.0/jobs/query/750X/results?maxRecords=100000&locator=B",
    ]


def test_rows_are_read(bulk, http):
    add_result(http)

    assert bulk.read(PAGE, FIELDS, rows_of) == [["1", "Ada"], ["2", "Zoë"]]


def test_a_result_may_be_compressed(bulk, http):
    body = b'"Id","Name"\n"1","Ada"\n'
    headers = {"Sforce-NumberOfRecords": "1", "Content-Encoding": "gzip"}
    add_result(http, body=gzip.compress(body), headers=headers)

    assert bulk.read(PAGE, FIELDS, rows_of) == [["1", "Ada"]]


def test_a_job_that_found_nothing_has_no_rows(bulk, http):
    add_result(http, rows=())
    add_result(http, body=b"Records not found for this query", headers={"Sforce-NumberOfRecords": "0"})

    assert bulk.read(PAGE, FIELDS, rows_of) == bulk.read(PAGE, FIELDS, rows_of) == []


def test_columns_may_lack_the_object_in_front_and_differ_in_case(bulk, http):
    asked = ("id", "account.name", "Contact.Owner.Alias")
    for header in (("Id", "Account.Name", "Owner.Alias"), ("Id", "Account.Name", "Contact.Owner.Alias")):
        add_result(http, rows=[("1", "Acme", "me")], header=header)
        assert bulk.read(PAGE, asked, rows_of) == [["1", "Acme", "me"]]


AWKWARD = '",\n\\aé🎉\u2028'
ODD = [
    ('1,Ada "the" first\n2,5" disk\n"3",x\n', [["1", 'Ada "the" first'], ["2", '5" disk'], ["3", "x"]]),
    ('"1","two\r\nlines"\n"2","one\rreturn"\n', [["1", "two\r\nlines"], ["2", "one\rreturn"]]),
    ("1,one\rreturn\n2,\r\n", [["1", "one\rreturn"], ["2", ""]]),
    ('"1","Ada"\r\n"2","two\r\nlines"\r\n', [["1", "Ada"], ["2", "two\r\nlines"]]),
    ('"1","say ""a"""\n"2",""""\n"3",""""""\n', [["1", 'say "a"'], ["2", '"'], ["3", '""']]),
    ('"1",""",""\n"","""\n"2",""\n', [["1", '","\n","'], ["2", ""]]),
    ('"1","\n"\n"2","last"', [["1", "\n"], ["2", "last"]]),
    ('"1",Ada\n2,"Zoë"', [["1", "Ada"], ["2", "Zoë"]]),
    ('"1","\x00 \u2028"\n', [["1", "\x00 \u2028"]]),
]


@pytest.mark.parametrize(("text", "rows"), ODD)
@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
def test_values_are_read_however_they_are_quoted_and_cut_into_pieces(monkeypatch, text, rows, size):
    monkeypatch.setattr(bulk_csv, "_CHARACTERS_AT_ONCE", size)
    for before in ("", '"0","regular"\n'):
        content = f'"Id","Name"\n{before}{text}'.encode()
        pieces = (content[start : start + size] for start in range(0, len(content), size))
        expected = [["0", "regular"]] * bool(before) + rows

        assert rows_of(csv_columns(pieces, len(expected), FIELDS)) == expected


@pytest.mark.parametrize(("quoting", "alphabet"), [(csv.QUOTE_ALL, f"{AWKWARD}\r"), (csv.QUOTE_MINIMAL, AWKWARD)])
@given(data=st.data(), size=st.integers(1, 20))
def test_what_was_written_is_read(quoting, alphabet, data, size):
    rows = data.draw(st.lists(st.lists(st.text(alphabet), min_size=2, max_size=2), min_size=1))
    text = io.StringIO(newline="")
    csv.writer(text, quoting=quoting, lineterminator="\n").writerows([FIELDS, *rows])
    content = text.getvalue().encode()
    pieces = (content[start : start + size] for start in range(0, len(content), size))

    with patch.object(bulk_csv, "_CHARACTERS_AT_ONCE", size), patch.object(bulk_csv, "_MOST_CHARACTERS", 2 * size):
        assert rows_of(csv_columns(pieces, len(rows), FIELDS)) == rows


BROKEN = [
    ({"header": ("Id", "Phone")}, r"columns Id, Phone where Id, Name were asked for"),
    ({"header": ("Name", "Id")}, r"columns Name, Id where"),
    ({"header": ("Id",)}, r"columns Id where"),
    ({"header": ("Id", "")}, r"columns Id,  where"),
    ({"announced": 3}, "holds 2 records where it announced 3"),
    ({"announced": 1}, "holds 2 records where it announced 1"),
    ({"rows": [("1", "Ada"), ("2",)]}, "a row of 1 values where 2 were asked for"),
    ({"body": b'"Id","Name"\n"1","Ada"\n"2","Zo', "announced": 2}, "not whole CSV"),
    ({"body": b'"Id","Name"\n"1","Ada"\n"2","Zo\xc3'}, "not whole CSV"),
    ({"body": b"<html>maintenance</html>"}, "has the columns <html>"),
    ({"headers": {}}, "only once it is complete"),
    ({"headers": {"Sforce-NumberOfRecords": "many"}}, "only once it is complete"),
    ({"status": 204, "body": b"", "headers": {}}, "only once it is complete"),
]


@pytest.mark.parametrize(("options", "message"), BROKEN)
def test_a_result_that_is_not_whole_is_read_again_and_never_used(bulk, http, options, message):
    add_result(http, **options)
    add_result(http)
    for _ in range(5):
        add_result(http, **options)

    assert bulk.read(PAGE, FIELDS, rows_of) == [["1", "Ada"], ["2", "Zoë"]]
    with pytest.raises(exceptions.IncompleteResponseError, match=message):
        bulk.read(PAGE, FIELDS, rows_of)
    assert len(http.calls) == 7


def test_a_connection_that_breaks_before_the_first_byte_does_no_harm(bulk, http):
    add_result(http, body=requests.exceptions.ChunkedEncodingError("IncompleteRead"))
    add_result(http)

    assert len(bulk.read(PAGE, FIELDS, rows_of)) == 2


def test_a_401_on_a_result_renews_the_token(bulk, tokens, http):
    add_result(http, status=401, body=None, json=EXPIRED)
    add_result(http)

    assert len(bulk.read(PAGE, FIELDS, rows_of)) == 2
    assert tokens.renewals == 1
    assert [call.request.headers["Authorization"] for call in http.calls] == ["Bearer token-0", "Bearer token-1"]


def test_an_expired_locator_is_looked_up_again(bulk, http):
    page = ResultPage("750X", 1, f"{DATA}/jobs/query/750X/results?locator=OLD")
    add_result(http, status=400, json=BAD_LOCATOR, body=None, locator="OLD")
    add_job(http)
    links = [{"resultUrl": f"{DATA}/jobs/query/750X/results?locator={locator}"} for locator in ("NEW0", "NEW1")]
    http.get(f"{JOB}/resultPages", json={"resultPages": links, "nextRecordsUrl": None, "done": True})
    add_result(http, locator="NEW1")

    assert len(bulk.read(page, FIELDS, rows_of)) == 2
    assert [call.request.url.rpartition("/")[2] for call in http.calls] == [
        "results?locator=OLD",
        "750X",
        "resultPages",
        "results?locator=NEW1",
    ]


def test_a_locator_that_is_refused_though_it_is_the_current_one_is_an_error(bulk, http):
    add_result(http, status=400, json=BAD_LOCATOR, body=None)
    add_job(http)
    http.get(f"{JOB}/resultPages", json={"resultPages": [{"resultUrl": PAGE.path}], "done": True})

    with pytest.raises(exceptions.SalesforceError, match="Invalid locator: A"):
        bulk.read(PAGE, FIELDS, rows_of)
    assert len(http.calls) == 3


def test_results_of_a_job_that_is_gone_say_so(bulk, http):
    add_result(http, status=404, json=GONE, body=None)
    http.get(JOB, status=404, json=GONE)
    http.get(f"{ORG}/services/data/", json=[{"version": "62.0"}])

    with pytest.raises(exceptions.BulkJobError, match="no Bulk query job 750X"):
        bulk.read(PAGE, FIELDS, rows_of)


def test_a_refusal_that_no_other_locator_mends_is_not_asked_about(bulk, http):
    add_result(http, status=403, json=refusal("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."), body=None)

    with pytest.raises(exceptions.QuotaReachedError):
        bulk.read(PAGE, FIELDS, rows_of)
    assert len(http.calls) == 1


def test_an_error_of_the_work_is_not_repeated(bulk, http):
    add_result(http)

    def work(batches):
        raise exceptions.DestinationError("The disk is full.")

    with pytest.raises(exceptions.DestinationError):
        bulk.read(PAGE, FIELDS, work)
    assert len(http.calls) == 1


@pytest.mark.parametrize(
    ("status", "reply"),
    [
        (200, {"id": "750X", "state": "Aborted"}),
        (400, refusal("INVALIDJOBSTATE", "Aborting already Completed Job not allowed")),
        (404, GONE),
    ],
)
def test_abort_leaves_a_job_that_is_over_or_gone_alone(bulk, http, status, reply):
    http.patch(JOB, status=status, json=reply, match=[responses.matchers.json_params_matcher({"state": "Aborted"})])
    if status == 404:
        http.get(f"{ORG}/services/data/", json=[{"version": "62.0"}])

    bulk.abort("750X")


@pytest.mark.parametrize(("status", "reply"), [(204, None), (404, GONE)])
def test_delete_is_content_when_the_job_is_gone(bulk, http, status, reply):
    http.delete(JOB, status=status, json=reply, body=None if reply else b"")
    if status == 404:
        http.get(f"{ORG}/services/data/", json=[{"version": "62.0"}])

    bulk.delete("750X")


@pytest.mark.parametrize(("method", "ask"), [("PATCH", BulkQueries.abort), ("DELETE", BulkQueries.delete)])
def test_other_refusals_of_abort_and_delete_are_errors(bulk, http, method, ask):
    http.add(method, JOB, status=400, json=refusal("API_ERROR", "the job is not terminated"))

    with pytest.raises(exceptions.SalesforceError, match="not terminated"):
        ask(bulk, "750X")
