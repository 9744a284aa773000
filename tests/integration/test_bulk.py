"""Bulk queries against the sandbox org over a socket, with the token in a real MongoDB."""

import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, islice

import pytest

from airflow_provider_salesforce_export import exceptions
from airflow_provider_salesforce_export.salesforce.bulk import BulkQueries
from tests.integration.conftest import ids_in

FIELDS = ("Id", "LastName", "Description", "Account.Name", "Contact.Owner.Alias")
SOQL = f"SELECT {', '.join(FIELDS)} FROM Contact"
AWKWARD = [
    'say "hello"',
    "two\nlines",
    "two\r\nlines",
    "one\rreturn",
    "a, comma",
    '","\n","',
    '"',
    "000123",
    " spaces ",
    "null",
    "100% %s",
    "Zoë 日本語 🎉 e\u0301 \u2028 \u0085 \x0b \ufeff",
    "",
    "x" * 131_072,
    '"' * 131_072,
]


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    monkeypatch.setattr(BulkQueries._read.retry, "sleep", lambda seconds: None)


@pytest.fixture
def org(start_org):
    return start_org(contacts=900, bulk_chunk_size=100)


@pytest.fixture
def bulk(org, client_of):
    return client_of(org).bulk


def finished(bulk, soql=SOQL, **options):
    """Submit a query and wait for its job."""
    job = wait(bulk, bulk.submit(soql, **options))
    job.require_success(soql)
    return job


def wait(bulk, job_id):
    deadline = time.monotonic() + 60
    while not (job := bulk.job(job_id)).is_over:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return job


def ids(batches):
    return [record_id for columns in batches for record_id in columns[0]]


def rows_of(batches):
    return [list(row) for columns in batches for row in zip(*columns, strict=True)]


def characters_of(batches):
    """Return the length of all descriptions."""
    return sum(map(len, chain.from_iterable(columns[2] for columns in batches)))


def read_all(bulk, pages, work=ids):
    return [record_id for page in pages for record_id in bulk.read(page, FIELDS, work)]


def calls(server, part, status=200):
    """Count the calls of the org that had a part in their path, and a status."""
    return sum(part in call.path and call.status == status for call in server.org.calls)


def test_every_record_is_read_once_by_several_threads(org, bulk):
    job = finished(bulk)
    pages = bulk.result_pages(job.id)
    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(lambda page: bulk.read(page, FIELDS, ids), pages))

    assert [len(part) for part in parts] == [100] * 9
    assert sorted(chain(*parts)) == sorted(ids_in(org))
    assert job.records == 900


def test_deleted_records_are_read_where_asked_for(org, bulk):
    job = finished(bulk, include_deleted=True)
    found = read_all(bulk, bulk.result_pages(job.id))

    assert sorted(found) == sorted(ids_in(org, deleted=True))
    assert job.records == len(found) == 909


def test_before_version_58_results_are_walked(org, client_of):
    bulk = client_of(org, api_version="57.0").bulk
    pages = bulk.result_pages(finished(bulk).id)

    assert len(pages) == 9
    assert sorted(read_all(bulk, pages)) == sorted(ids_in(org))


def test_awkward_values_are_those_of_rest(org, client_of):
    client = client_of(org)
    written = {org.org.insert("Contact", LastName="Awkward", Description=value): value for value in AWKWARD}
    soql = f"{SOQL} WHERE LastName = 'Awkward'"
    (page,) = client.bulk.result_pages(finished(client.bulk, soql).id)
    rows = {row[0]: row[1:] for row in client.bulk.read(page, FIELDS, rows_of)}

    assert {record_id: row[1] for record_id, row in rows.items()} == written
    for record in (record for batch in client.query(soql) for record in batch):
        expected = [record["LastName"], record["Description"], "", record["Owner"]["Alias"]]
        assert rows[record["Id"]] == expected


def test_the_token_is_renewed_between_the_calls(org, client_of):
    client = client_of(org)
    org.settings.bulk_seconds = 0.5
    job_id = client.bulk.submit(SOQL)
    org.org.expire_tokens()
    deadline = time.monotonic() + 60
    while not client.bulk.job(job_id).is_over:
        assert time.monotonic() < deadline
        org.org.expire_tokens()
    pages = client.bulk.result_pages(job_id)
    found = []
    for page in pages:
        org.org.expire_tokens()
        found += client.bulk.read(page, FIELDS, ids)
    org.org.expire_tokens()
    client.bulk.delete(job_id)

    assert sorted(found) == sorted(ids_in(org))
    assert calls(org, "/results", status=401) == len(pages)


def test_a_token_that_ends_while_results_come_in_does_no_harm(org, bulk):
    job = finished(bulk)
    first, second, *_ = bulk.result_pages(job.id)

    def expire_after_some_rows(batches):
        found = ids(islice(batches, 1))
        org.org.expire_tokens()
        return found + ids(batches)

    assert len(bulk.read(first, FIELDS, expire_after_some_rows)) == 100
    assert len(bulk.read(second, FIELDS, ids)) == 100
    assert calls(org, "/results", status=401) == 1


@pytest.mark.parametrize("size", [0, 10, 2_000])
def test_where_a_download_is_cut_only_that_part_is_read_again(org, bulk, size):
    job = finished(bulk)
    pages = bulk.result_pages(job.id)
    org.org.fail_next(path_pattern="/results", truncate=size, after=2)
    begun = []

    def work(batches):
        begun.append(1)
        return ids(batches)

    found = read_all(bulk, pages, work)
    assert sorted(found) == sorted(ids_in(org))
    assert calls(org, "/results") == len(pages) + 1
    assert len(begun) == len(pages) + 1


def test_a_download_that_is_always_cut_is_an_error(org, bulk):
    (page, *_) = bulk.result_pages(finished(bulk).id)
    org.org.fail_next(path_pattern="/results", truncate=2_000, times=100)

    with pytest.raises(exceptions.IncompleteResponseError, match="cut short"):
        bulk.read(page, FIELDS, ids)
    assert calls(org, "/results") == 5


def test_passing_failures_are_repeated_before_the_first_row(org, bulk):
    (page, *_) = bulk.result_pages(finished(bulk).id)
    org.org.fail_next(path_pattern="/results", status=503, headers={"Retry-After": "0"}, times=2)

    assert len(bulk.read(page, FIELDS, ids)) == 100


def test_an_expired_locator_restarts_its_part_alone(org, bulk):
    job = finished(bulk)
    pages = bulk.result_pages(job.id)
    found = read_all(bulk, pages[:4])
    org.org.bulk_jobs.expire_locators()
    found += read_all(bulk, pages[4:5])
    found += read_all(bulk, bulk.result_pages(job.id)[5:])

    assert sorted(found) == sorted(ids_in(org))
    assert calls(org, "/results", status=400) == 1


def test_results_hold_what_there_was_when_the_job_began(org, bulk):
    before = ids_in(org)
    org.settings.bulk_seconds = 0.2
    job_id = bulk.submit(SOQL)
    org.org.hard_delete("Contact", before[0])
    org.org.insert("Contact", LastName="Late")
    wait(bulk, job_id)
    found = read_all(bulk, bulk.result_pages(job_id))

    assert sorted(found) == sorted(before)


def test_a_failed_job_is_an_error_with_its_message_and_query(org, bulk):
    org.org.bulk_jobs.fail_next("InternalServerError : Retried more than fifteen times")

    with pytest.raises(exceptions.BulkJobError, match="Retried more than fifteen times") as caught:
        finished(bulk)
    assert SOQL in str(caught.value)


def test_an_aborted_job_is_over(org, bulk):
    org.settings.bulk_seconds = 600
    job_id = bulk.submit(SOQL)
    bulk.abort(job_id)
    bulk.abort(job_id)
    job = bulk.job(job_id)

    assert job.is_over
    with pytest.raises(exceptions.BulkJobError, match="aborted"):
        job.require_success(SOQL)


def test_a_deleted_job_is_gone(org, bulk):
    org.settings.bulk_seconds = 600
    running = bulk.submit(SOQL)
    org.settings.bulk_seconds = 0
    job = finished(bulk)
    (page, *_) = bulk.result_pages(job.id)
    bulk.delete(job.id)
    bulk.delete(job.id)
    bulk.abort(job.id)

    with pytest.raises(exceptions.SalesforceError, match="not terminated"):
        bulk.delete(running)
    for ask in (lambda: bulk.job(job.id), lambda: bulk.read(page, FIELDS, ids)):
        with pytest.raises(exceptions.BulkJobError, match="no Bulk query job"):
            ask()


@pytest.mark.parametrize(
    ("soql", "message"),
    [
        ("SELECT Id, MailingAddress FROM Contact", "Selecting compound data not supported"),
        ("SELECT Body FROM Attachment", "Binary field not supported"),
        ("SELECT Foo FROM Contact", "No such column 'Foo'"),
        ("SELECT COUNT() FROM Contact", "not supported in Bulk Query"),
    ],
)
def test_what_bulk_cannot_read_is_an_error_with_the_query(bulk, soql, message):
    with pytest.raises(exceptions.QueryError, match=message) as caught:
        bulk.submit(soql)
    assert soql in str(caught.value)


def test_calls_count_against_the_quota(org, client_of):
    client = client_of(org)
    (page, *_) = client.bulk.result_pages(finished(client.bulk).id)
    client.bulk.read(page, FIELDS, ids)

    assert client.usage.used == org.org.api_calls == client.usage.calls


def test_memory_stays_flat_however_large_a_result_is(start_org, client_of):
    server = start_org()
    for number in range(1_500):
        server.org.insert("Contact", LastName="Large", Description=f"{number} äöü " * 2_000)
    bulk = client_of(server).bulk
    (page,) = bulk.result_pages(finished(bulk).id)
    characters = bulk.read(page, FIELDS, characters_of)
    tracemalloc.start()
    try:
        again = bulk.read(page, FIELDS, characters_of)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert again == characters > 24_000_000
    assert peak < 16_000_000  # of the whole process, with the server and whatever other tests have left running
