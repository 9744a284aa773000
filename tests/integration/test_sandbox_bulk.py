"""Bulk API 2.0 query jobs of the sandbox org over a real socket, met by simple-salesforce and by plain requests."""

from __future__ import annotations

import csv
import io
import threading
import time
from datetime import datetime, timezone

import pytest
import requests
from requests.adapters import HTTPAdapter
from simple_salesforce import Salesforce

from airflow_provider_salesforce_export.sandbox import SandboxServer, SandboxSettings, bulk_api
from airflow_provider_salesforce_export.sandbox.bulk_job import BulkJob

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=timezone.utc)
JOBS = "/services/data/v62.0/jobs/query"
SOQL = "SELECT Id, Name FROM Contact"


class PlainAdapter(HTTPAdapter):
    """Sends over http what simple-salesforce, which knows only https, addresses to the loopback."""

    def send(self, request, *args, **kwargs):
        request.url = request.url.replace("https://", "http://", 1)
        return super().send(request, *args, **kwargs)


@pytest.fixture(scope="module")
def org():
    with SandboxServer(SandboxSettings(contacts=450, deals=0, notes=0, now=NOW, bulk_chunk_size=40)) as server:
        yield server


@pytest.fixture
def call(org):
    """Call the data API; the settings of the org are as before when the test ends."""
    token = org.org.issue_token()["access_token"]
    before = dict(vars(org.settings))
    with requests.Session() as session:

        def call(method, path, **kwargs):
            headers = {"Authorization": f"Bearer {token}", **kwargs.pop("headers", {})}
            return session.request(method, org.url + path, headers=headers, timeout=30, **kwargs)

        yield call
    vars(org.settings).update(before)
    org.org.faults.clear()


@pytest.fixture
def submit(call):
    def submit(soql=SOQL, operation="query", path=JOBS, **options):
        reply = call("POST", path, json={"operation": operation, "query": soql, **options})
        assert reply.status_code == 200, reply.text
        return reply.json()

    return submit


@pytest.fixture
def finish(call, submit):
    """Submit a job and wait for its end; return what is said of it then."""

    def finish(*args, **options):
        job_id = submit(*args, **options)["id"]
        deadline = time.monotonic() + 60
        while (job := call("GET", f"{JOBS}/{job_id}").json())["state"] not in {"JobComplete", "Failed", "Aborted"}:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return job

    return finish


def rows(reply):
    return list(csv.reader(io.StringIO(reply.content.decode(), newline="")))[1:]


def ids(org):
    with org.org.store.reading() as connection:
        return {row[0] for row in connection.execute("SELECT Id FROM Contact WHERE IsDeleted = 0")}


def test_simple_salesforce_reads_everything_once(org):
    with requests.Session() as session:
        session.mount("https://127.0.0.1", PlainAdapter())
        token = org.org.issue_token()["access_token"]
        client = Salesforce(instance_url=org.url, session_id=token, session=session)
        results = list(client.bulk2.Contact.query(SOQL, max_records=100))

    found = [row["Id"] for result in results for row in csv.DictReader(io.StringIO(result, newline=""))]
    assert len(found) == 450
    assert set(found) == ids(org)


def test_a_job_is_described_as_salesforce_does(org, submit, finish):
    created = submit()
    job = finish("SELECT Id FROM Contact", "queryAll", columnDelimiter="TAB", lineEnding="CRLF", contentType="CSV")

    assert created == {
        "id": created["id"],
        "operation": "query",
        "object": "Contact",
        "createdById": org.org.user_id,
        "createdDate": created["createdDate"],
        "systemModstamp": created["systemModstamp"],
        "state": "UploadComplete",
        "concurrencyMode": "Parallel",
        "contentType": "CSV",
        "apiVersion": 62.0,
        "lineEnding": "LF",
        "columnDelimiter": "COMMA",
    }
    assert created["id"].startswith("750")
    assert (job["operation"], job["lineEnding"], job["columnDelimiter"]) == ("queryAll", "CRLF", "TAB")
    assert (job["jobType"], job["numberRecordsProcessed"], job["retries"]) == ("V2Query", 454, 0)
    assert "errorMessage" not in job


def test_results_are_walked_by_locator(org, call, finish):
    base = f"{JOBS}/{finish()['id']}/results"
    found, locator, sizes = [], None, []
    while locator != "null":
        reply = call("GET", base, params={"maxRecords": 30} | ({"locator": locator} if locator else {}))
        assert reply.headers["Content-Type"] == "text/csv"
        assert reply.text.startswith('"Id","Name"\n')
        assert int(reply.headers["Sforce-NumberOfRecords"]) == len(rows(reply))
        sizes.append(len(rows(reply)))
        found += rows(reply)
        locator = reply.headers["Sforce-Locator"]

    assert sizes == [30] * 15
    assert {row[0] for row in found} == ids(org)
    assert call("GET", base, params={"maxRecords": 1000}).headers["Sforce-NumberOfRecords"] == "40"


def test_result_pages_name_every_record_once_five_at_a_time(org, call, finish):
    path = f"{JOBS}/{finish()['id']}/resultPages"
    counts, found = [], []
    while path:
        listed = call("GET", path).json()
        counts.append(len(listed["resultPages"]))
        for page in listed["resultPages"]:
            found += rows(call("GET", page["resultUrl"]))
        path = listed["nextRecordsUrl"]
        assert listed["done"] is (path is None)

    assert counts == [5, 5, 2]
    assert {row[0] for row in found} == ids(org)
    assert len(found) == 450


def test_a_job_that_finds_nothing_has_one_result(call, finish):
    job = finish("SELECT Id FROM Contact WHERE LastName = 'nobody at all'")
    listed = call("GET", f"{JOBS}/{job['id']}/resultPages").json()
    reply = call("GET", listed["resultPages"][0]["resultUrl"])

    assert job["numberRecordsProcessed"] == 0
    assert (len(listed["resultPages"]), listed["done"]) == (1, True)
    assert reply.text == '"Id"\n'
    assert (reply.headers["Sforce-NumberOfRecords"], reply.headers["Sforce-Locator"]) == ("0", "null")


def test_results_hold_what_there_was_when_the_job_began(org, call, submit):
    kept = org.org.insert("Contact", LastName="Before")
    org.settings.bulk_seconds = 600
    job_id = submit("SELECT Id, LastName FROM Contact WHERE LastName IN ('Before', 'After')")["id"]
    org.org.update("Contact", kept, LastName="After")
    late = org.org.insert("Contact", LastName="After")
    deadline = time.monotonic() + 60
    states = []
    while (state := call("GET", f"{JOBS}/{job_id}").json()["state"]) != "JobComplete":
        states.append(state)
        org.org.bulk_jobs.get(job_id).seconds = 0
        assert time.monotonic() < deadline
    reply = call("GET", f"{JOBS}/{job_id}/results")
    for record_id in (kept, late):
        org.org.hard_delete("Contact", record_id)

    assert set(states) == {"InProgress"}
    assert rows(reply) == [[kept, "Before"]]


def test_there_is_nothing_before_a_job_is_complete(org, call, submit):
    org.settings.bulk_seconds = 60
    path = f"{JOBS}/{submit()['id']}"
    unready = [call("GET", f"{path}/{what}") for what in ("results", "resultPages")]

    assert [(reply.status_code, reply.content) for reply in unready] == [(204, b"")] * 2


def test_abort_and_delete_know_the_state(org, call, submit, finish):
    org.settings.bulk_seconds = 60
    path = f"{JOBS}/{submit()['id']}"
    early = call("DELETE", path)
    aborted = call("PATCH", path, json={"state": "Aborted"})
    again = call("PATCH", path, json={"state": "Aborted"})
    org.settings.bulk_seconds = 0
    done = call("PATCH", f"{JOBS}/{finish()['id']}", json={"state": "Aborted"})
    deleted = call("DELETE", path)

    assert (early.status_code, early.json()[0]["errorCode"]) == (400, "API_ERROR")
    assert (aborted.status_code, aborted.json()["state"]) == (200, "Aborted")
    assert (again.status_code, again.json()[0]["errorCode"]) == (400, "INVALIDJOBSTATE")
    assert done.json()[0]["message"] == "Aborting already Completed Job not allowed"
    assert (deleted.status_code, deleted.content) == (204, b"")
    for gone in (path, f"{path}/results", f"{path}/resultPages", f"{JOBS}/750000000000000"):
        assert (call("GET", gone).status_code, call("GET", gone).json()[0]["errorCode"]) == (404, "NOT_FOUND")


def test_a_job_fails_as_told(org, finish):
    org.org.bulk_jobs.fail_next("Retried more than fifteen times")
    job = finish()

    assert (job["state"], job["errorMessage"], job["numberRecordsProcessed"]) == (
        "Failed",
        "Retried more than fifteen times",
        0,
    )
    assert finish()["state"] == "JobComplete"


def test_locators_expire_and_belong_to_a_job(org, call, finish):
    first, second = (f"{JOBS}/{finish()['id']}" for _ in range(2))
    locator = call("GET", f"{first}/results").headers["Sforce-Locator"]
    assert call("GET", f"{first}/results", params={"locator": locator}).status_code == 200
    assert call("GET", f"{second}/results", params={"locator": locator}).status_code == 400
    assert call("GET", f"{first}/results", params={"locator": "nonsense"}).status_code == 400
    org.org.bulk_jobs.expire_locators()
    reply = call("GET", f"{first}/results", params={"locator": locator})

    assert (reply.status_code, reply.json()[0]["message"]) == (400, f"Invalid locator: {locator}")
    assert call("GET", f"{first}/results").headers["Sforce-Locator"] not in {locator, "null"}


def test_versions(call, finish):
    job_id = finish()["id"]
    assert call("GET", "/services/data/v46.0/jobs/query").status_code == 404
    assert call("GET", f"/services/data/v57.0/jobs/query/{job_id}/resultPages").status_code == 404
    assert call("GET", f"/services/data/v61.0/jobs/query/{job_id}/results").status_code == 409
    assert call("GET", f"/services/data/v61.0/jobs/query/{job_id}").status_code == 200


def test_the_list_finds_jobs(call, submit, monkeypatch):
    monkeypatch.setattr(bulk_api, "JOBS_IN_LIST", 2)
    submitted = [submit()["id"] for _ in range(3)]
    path, found = f"{JOBS}?jobType=V2Query&isPkChunkingEnabled=false", []
    while path:
        listed = call("GET", path).json()
        assert len(listed["records"]) <= 2
        found += listed["records"]
        path = listed["nextRecordsUrl"]
        assert listed["done"] is (path is None)

    assert set(submitted) <= {job["id"] for job in found}
    assert {job["jobType"] for job in found} == {"V2Query"}
    assert call("GET", f"{JOBS}?jobType=Classic").json()["records"] == []
    assert call("GET", f"{JOBS}?isPkChunkingEnabled=true").json()["records"] == []


@pytest.mark.parametrize(
    "posted",
    [
        b"{",
        b"[]",
        b'{"operation": "insert", "query": "SELECT Id FROM Contact"}',
        b'{"operation": "query", "query": "SELECT Id FROM Contact", "contentType": "JSON"}',
        b'{"operation": "query", "query": "SELECT Id FROM Contact", "lineEnding": "CR"}',
    ],
)
def test_a_job_of_another_form_is_refused(call, posted):
    reply = call("POST", JOBS, data=posted)
    assert (reply.status_code, reply.json()[0]["errorCode"]) == (400, "JSON_PARSER_ERROR")


def test_calls_count_and_results_are_compressed(org, call, finish):
    base = f"{JOBS}/{finish()['id']}/results"
    plain = call("GET", base, headers={"Accept-Encoding": "identity"})
    used = org.org.api_calls
    zipped = call("GET", base)

    assert "Content-Encoding" not in plain.headers
    assert zipped.headers["Content-Encoding"] == "gzip"
    assert zipped.content == plain.content
    assert zipped.headers["Sforce-Limit-Info"] == f"api-usage={used + 1}/100000"
    remaining = call("GET", "/services/data/v62.0/limits").json()["DailyBulkV2QueryJobs"]["Remaining"]
    assert remaining == 10_000 - org.org.bulk_jobs.submitted


def test_a_download_is_cut_in_the_middle(org, call, finish):
    base = f"{JOBS}/{finish()['id']}/results"
    org.org.fail_next(path_pattern="/results", truncate=500)

    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        call("GET", base)
    assert call("GET", base).status_code == 200


def test_a_download_goes_on_while_its_job_is_deleted_and_others_read_it(org, call, finish):
    job = org.org.bulk_jobs.get(finish()["id"])
    expected = b"".join(job.csv(0, 450))
    found = []
    readers = [threading.Thread(target=lambda: found.append(b"".join(job.csv(0, 450)))) for _ in range(4)]
    begun = job.csv(0, 450)
    head = next(begun)
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    org.org.bulk_jobs.delete(job)

    assert head + next(begun) == expected
    assert found == [expected] * 4


def test_an_org_stops_while_a_job_runs(monkeypatch):
    def without_end(job, start, end):
        while not job.aborted:
            yield b"one more line\n"
            time.sleep(0.01)

    monkeypatch.setattr(BulkJob, "csv", without_end)
    with SandboxServer(SandboxSettings(contacts=10, deals=0, notes=0, now=NOW)) as server:
        token = server.org.issue_token()["access_token"]
        posted = requests.post(
            f"{server.url}{JOBS}",
            json={"operation": "query", "query": SOQL},
            headers={"Authorization": f"Bearer {token}"},
            timeout=30,
        )
        job = server.org.bulk_jobs.get(posted.json()["id"])
        running = job.state

    assert running == "InProgress"
    assert f"bulk-{job.id}" not in {thread.name for thread in threading.enumerate()}
