"""Exports by Bulk API 2.0, without Airflow: against the same exports by REST, and with what goes wrong."""

import json
import logging
import re
import time
import tracemalloc
from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from functools import partial
from itertools import product
from types import SimpleNamespace

import pytest

from airflow_provider_salesforce_export.exceptions import (
    ConfigurationError,
    InconsistentPagesError,
    QueryError,
    SalesforceError,
)
from airflow_provider_salesforce_export.export import api_choice, bulk_chunk, destination, progress, segments
from airflow_provider_salesforce_export.export import plan as plans
from airflow_provider_salesforce_export.export.bulk_job import start_job, with_chunks
from airflow_provider_salesforce_export.export.bulk_rows import _CONVERTERS
from airflow_provider_salesforce_export.export.formats.page_format import PageFormat
from airflow_provider_salesforce_export.export.planning import make_plan
from airflow_provider_salesforce_export.export.publish import publish
from airflow_provider_salesforce_export.export.segments import export_segments
from airflow_provider_salesforce_export.object_types import CONTACTS, DEALS, NOTES, ObjectType
from airflow_provider_salesforce_export.salesforce.bulk import BulkQueries
from airflow_provider_salesforce_export.salesforce.meter import Unmetered
from airflow_provider_salesforce_export.sandbox.objects import OBJECTS
from tests.integration.conftest import Export, ids_in, request_for, run_export

AWKWARD = [
    'say "hello"',
    "two\nlines",
    "two\r\nlines",
    "one\rreturn",
    '","\n","',
    "000123",
    "1.0E7",
    "true",
    "null",
    " spaces ",
    "2026-11-20T12:00:00.000Z",
    "Zoë 日本語 🎉 e\u0301 \u2028 \u0085 \x0b \ufeff </script>",
    "\\ \\n \t",
    "x" * 30_000,
    None,
]
NUMBERS = [0, -1, 1, 0.001, -0.0005, 0.000123, 12.345, 1e7, 9_999_999.99, 12_345_678.9, -98_765_432.1, 1e15, None]
LONG_TEXTS = ObjectType("long", "Contact", ("Description",))
TIMES = ["00:00:00.000Z", "09:30:00.000Z", "23:59:59.999Z", None]
REGIONS = ["Europe", "Africa;Asia;Europe", 'odd "one";Zoë 🎉;a,b', ";", None]
VISITS = [0, -7, 9_007_199_254_740_993, None]
PLACES = [(52.520008, 13.404954), (-33.8688, -0.0001), (0, 0), (None, None)]
COMPOUND = [("Contact", "MailingAddress", "address"), ("Account", "Place__c", "location")]
RELATED_FIELDS = (
    "LastName",
    "Account.Opens__c",
    "Account.Regions__c",
    "Account.Segment__c",
    "Account.TaxNumber__c",
    "Account.Visits__c",
    "Account.Place__Latitude__s",
    "Account.Place__Longitude__s",
    "Account.Website",
    "Account.AnnualRevenue",
    "Birthdate",
    "Account.Owner.IsActive",
    "Account.Owner.CreatedDate",
    "Account.Owner.Id",
    "Account.NumberOfEmployees",
    "Contact.Owner.CreatedDate",
)


@pytest.fixture
def org(start_org):
    return start_org(contacts=900, deals=300, notes=200, bulk_chunk_size=100)


@pytest.fixture
def client(org, client_of):
    return client_of(org)


def with_long_texts(start_org, rows):
    """Start an org with contacts of about 20,000 characters each."""
    org = start_org()
    for number in range(rows):
        org.org.insert("Contact", LastName="Long", Description=f"{number} äöü " * 2_000)
    return org


def wait(client, plan):
    """Return the job of a plan when it is over."""
    deadline = time.monotonic() + 60
    while not (job := client.bulk.job(plan.job.id)).is_over:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return job


def plan_of(client, folder, request=None, *, timeout=timedelta(hours=1), **words):
    """Plan an export by Bulk, and wait for its job."""
    request = replace(request or request_for(), **({"api": "bulk"} | words))
    folder.mkdir(exist_ok=True)
    plan = make_plan(client, request, readers=4, run_id="run")
    if plan.api == "bulk":
        by_rest = partial(make_plan, client, replace(request, api="rest"), readers=4, run_id="run")
        plan = start_job(client, plan, folder, bulk_timeout=timeout, by_rest=by_rest)
    return with_chunks(client, plan, wait(client, plan)) if plan.job else plan


def export(client, folder, request=None, **words):
    plan = plan_of(client, folder, request, **words)
    pages = export_segments(client, plan, folder, threads=2, attempt=1)
    publish(client, folder, plan, pages, api_calls=0)
    return Export(folder)


def jobs(org):
    """Return the jobs that are at the org, by Id."""
    return {job.id: job.state for job in org.org.bulk_jobs.all()}


def calls(org, part, status=200):
    return sum(part in call.path and call.status == status for call in org.org.calls)


def lines(folder, export):
    """Return the records of an export as they are written, in the order of their Ids."""
    records = []
    for page in export.manifest["pages"]:
        text = (folder / page["file"]).read_text()
        start, end = text.index("[") + 1, text.rindex('],"pagination"')
        decoder = json.JSONDecoder()
        while start < end:
            record, stop = decoder.raw_decode(text, start)
            records.append((record["Id"], text[start:stop]))
            start = stop + 1
    return sorted(records)


def insert_awkward(org):
    owner = ids_in(org, "User")[0]
    for value in AWKWARD:
        texts = dict.fromkeys(("Description", "Website", "Segment__c", "TaxNumber__c"), value)
        account = org.org.insert("Account", Name=value or "None", OwnerId=owner, **texts)
        org.org.insert("Contact", LastName=value or "None", Description=value, MailingStreet=value, AccountId=account)
        org.org.insert("Note", Title=value or "None", Body=value, ParentId=account)
    for number in NUMBERS:
        whole = None if number is None else int(number)
        account = org.org.insert("Account", Name="Number", AnnualRevenue=number, NumberOfEmployees=whole)
        org.org.insert("Contact", LastName="Number", Satisfaction__c=number, AccountId=account, Birthdate="2000-02-29")
        org.org.insert(
            "Opportunity", Name="Number", Amount=number, Probability=number, StageName="New", CloseDate="2026-01-01"
        )
    for time_of_day in TIMES:
        for regions in REGIONS:
            account = org.org.insert("Account", Name="Where", Opens__c=time_of_day, Regions__c=regions)
            org.org.insert("Contact", LastName="Where", AccountId=account)
    for visits, (latitude, longitude) in product(VISITS, PLACES):
        place = {"Place__Latitude__s": latitude, "Place__Longitude__s": longitude}
        account = org.org.insert("Account", Name="Visited", Visits__c=visits, **place)
        org.org.insert("Contact", LastName="Visited", AccountId=account)
    org.org.insert("Contact", LastName="Nobody's")


EVERY_OBJECT_TYPE = pytest.mark.parametrize(
    "object_type",
    [
        CONTACTS,
        DEALS,
        NOTES,
        ObjectType("related", "Contact", RELATED_FIELDS),
        *(ObjectType(sobject.name, sobject.name, "all") for sobject in OBJECTS if sobject.name != "Attachment"),
    ],
    ids=lambda object_type: object_type.name,
)


def test_every_type_that_bulk_reads_is_compared():
    compared = {field.type for sobject in OBJECTS for field in sobject.fields if sobject.name != "Attachment"}

    assert set(_CONVERTERS) - compared == {"datacategorygroupreference"}  # of knowledge articles, which the org lacks


@EVERY_OBJECT_TYPE
def test_an_export_by_bulk_is_that_by_rest_byte_for_byte(org, client, tmp_path, object_type):
    insert_awkward(org)
    request = request_for(object_type)
    (tmp_path / "rest").mkdir()
    by_bulk, by_rest = export(client, tmp_path / "bulk", request), run_export(client, request, tmp_path / "rest")

    assert lines(tmp_path / "bulk", by_bulk) == lines(tmp_path / "rest", by_rest)
    assert by_bulk.holds_exactly(ids_in(org, object_type.sobject))
    assert by_bulk.manifest["fields"] == by_rest.manifest["fields"]


@EVERY_OBJECT_TYPE
def test_json_lines_by_bulk_are_those_by_rest_byte_for_byte(org, client, tmp_path, object_type):
    insert_awkward(org)
    request = replace(request_for(object_type), output_format="jsonl")
    written = []
    for api in ("bulk", "rest"):
        plan = plan_of(client, tmp_path / api, request, api=api)
        pages = export_segments(client, plan, tmp_path / api, threads=2, attempt=1)
        publish(client, tmp_path / api, plan, pages, api_calls=0)
        content = b"".join((tmp_path / api / page["file"]).read_bytes() for page in pages)
        written.append(sorted(content.split(b"\n")))

    assert written[0] == written[1]
    assert len(written[0]) == len(ids_in(org, object_type.sobject)) + 1


def test_a_chunk_becomes_files_of_a_bounded_number_of_rows_sorted_by_id(org, client, tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    org.settings.bulk_chunk_size = 2_000
    for number in range(1_500):
        org.org.insert("Contact", LastName=f"Number {number}")
    monkeypatch.setattr(plans, "ROWS_PER_CHUNK_FILE", 500)
    found = export(client, tmp_path / "bulk")

    assert [(page["page"], page["part"], page["rows"]) for page in found.manifest["pages"]] == [
        *((1, part, 500) for part in range(4)),
        (2, 0, 400),
    ]
    told = [line.partition(" rows")[0] for line in caplog.messages if re.match(r"Chunk \d", line)]
    assert sorted(told) == [
        *(f"Chunk 1 of 2, file {number}: 500" for number in range(1, 5)),
        "Chunk 2 of 2, file 1: 400",
    ]
    assert all(page["data"] == sorted(page["data"], key=lambda record: record["Id"]) for page in found.pages)
    assert found.pages[1]["pagination"] == {
        "page": 1,
        "per_page": 500,
        "total": 2_400,
        "total_pages": 2,
        "next_page": 2,
        "prev_page": None,
        "offsetValue": None,
    }
    assert found.holds_exactly(ids_in(org))


def test_the_log_tells_of_a_chunk_while_it_is_read_and_takes_back_what_is_read_anew(
    org, client, tmp_path, monkeypatch, caplog
):
    org.settings.bulk_chunk_size = 5_000
    for number in range(3_000):
        org.org.insert("Contact", LastName=f"Number {number}")
    monkeypatch.setattr(plans, "ROWS_PER_CHUNK_FILE", 500)
    monkeypatch.setattr(segments, "INTERVAL", 0.05)
    monkeypatch.setattr(progress, "INTERVAL", 0)
    # However slow the machine is, no time passes, and what was read was read fast.
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: 0))
    caplog.set_level(logging.INFO)

    def until_told(_seconds):
        deadline = time.monotonic() + 60
        while not any(re.match(r"0 of 1 chunk, [1-9]", line) for line in caplog.messages):
            assert time.monotonic() < deadline
            time.sleep(0.01)

    monkeypatch.setattr(BulkQueries._read.retry, "sleep", until_told)
    plan = plan_of(client, tmp_path / "bulk")
    org.org.fail_next(path_pattern="/results", truncate=50_000)

    export_segments(client, plan, tmp_path / "bulk", threads=2, attempt=1)

    told = [re.match(r"(\d) of 1 chunk, ([\d,]+) rows, (\S+) MB/s", line) for line in caplog.messages]
    *_, last = (line for line in told if line)
    assert last.groups()[:2] == ("1", "3,900")
    assert any(line[1] == "0" and line[2] != "0" and line[3] != "0.0" for line in told if line)


def test_each_chunk_is_timed_and_told_as_a_query_is(org, client_of, tmp_path, caplog):
    timed = Counter()

    class Meter(Unmetered):
        def time(self, name, seconds, **tags):
            timed[name] += 1

    caplog.set_level(logging.DEBUG, logger="airflow_provider_salesforce_export")
    client = client_of(org, meter=Meter())
    plan = plan_of(client, tmp_path / "bulk")

    export_segments(client, plan, tmp_path / "bulk", threads=2, attempt=1)

    told = (re.fullmatch(r"Query: [\d.]+ s, (\d+) rows, (\d+) bytes: chunk (\d) of (.+)", m) for m in caplog.messages)
    found = sorted((line[3], line[1], line[4]) for line in told if line and int(line[2]) > 100 * 18)
    assert found == [(str(number), "100", f"the Bulk job {plan.job.id}") for number in range(1, 10)]
    assert timed["chunk.duration"] == 9


def test_the_chunk_of_a_lost_file_is_read_again(org, client, tmp_path):
    plan = plan_of(client, tmp_path / "bulk")
    pages = export_segments(client, plan, tmp_path / "bulk", threads=2, attempt=1)
    (tmp_path / "bulk" / pages[3]["file"]).unlink()
    before = calls(org, "/results")

    manifest = publish(client, tmp_path / "bulk", plan, pages, api_calls=0)

    assert manifest["repairs"] == [{"kind": "lost", "page": 4, "after": None, "until": None, "rows": 100}]
    assert calls(org, "/results") == before + 1
    assert Export(tmp_path / "bulk").holds_exactly(ids_in(org))
    assert jobs(org) == {}


@pytest.mark.parametrize("double", [0, 1])
def test_a_chunk_that_holds_the_rows_of_another_is_not_published(org, client, tmp_path, double):
    plan = plan_of(client, tmp_path / "bulk")
    wrong = replace(plan.segments[4], chunk=plan.segments[double].chunk)
    segments = (*plan.segments[:4], wrong, *plan.segments[5:])
    pages = export_segments(client, replace(plan, segments=segments), tmp_path / "bulk", threads=2, attempt=1)

    with pytest.raises(InconsistentPagesError, match="the same record"):
        publish(client, tmp_path / "bulk", plan, pages, api_calls=0)
    assert not (tmp_path / "bulk" / "manifest.json").exists()


def test_fewer_rows_than_the_job_found_are_not_published(org, client, tmp_path):
    plan = plan_of(client, tmp_path / "bulk")
    pages = export_segments(client, plan, tmp_path / "bulk", threads=2, attempt=1)
    plan = replace(plan, job=replace(plan.job, records=901))

    with pytest.raises(InconsistentPagesError, match=r"hold 900 rows, and the Bulk job \w+ found 901"):
        publish(client, tmp_path / "bulk", plan, pages, api_calls=0)


def counting_takes_too_long(org, after=0):
    body = [{"errorCode": "QUERY_TIMEOUT", "message": "Your query request was running for too long."}]
    org.org.fail_next(100, status=400, body=body, path_pattern="/query.*COUNT", after=after)


def test_where_neither_api_can_read_the_reason_of_bulk_is_told(org, client_of, tmp_path, monkeypatch):
    monkeypatch.setattr(api_choice, "_LONGEST_QUERY", 10)

    with pytest.raises(ConfigurationError, match="Bulk queries need API version 50"):
        plan_of(client_of(org, api_version="49.0"), tmp_path / "bulk", api="auto")


@pytest.mark.parametrize("api", ["auto", "bulk"])
def test_what_takes_too_long_to_be_counted_is_read_by_bulk(org, client, tmp_path, api):
    counting_takes_too_long(org)

    exported = export(client, tmp_path / "bulk", api=api)

    assert exported.holds_exactly(ids_in(org))
    assert (exported.manifest["count"], exported.manifest["count_after"], exported.manifest["drift"]) == (900, None, 0)
    assert calls(org, "v62.0/query", status=400) == 1  # nor is it tried again
    assert {page["pagination"]["total"] for page in exported.pages} == {900}


def test_where_the_rows_cannot_be_counted_the_refusal_of_bulk_is_told(org, client, tmp_path):
    counting_takes_too_long(org)
    body = [{"errorCode": "API_ERROR", "message": "The entity is not supported."}]
    org.org.fail_next(100, status=400, body=body, path_pattern="/jobs/query$")

    with pytest.raises(QueryError, match="The entity is not supported"):
        plan_of(client, tmp_path / "bulk", api="auto")
    assert calls(org, "v62.0/query", status=400) == 1


@pytest.mark.parametrize("words", [{"api": "rest"}, {"api": "auto", "pagination": "range"}])
def test_what_takes_too_long_to_be_counted_is_not_read_by_rest(org, client, tmp_path, words):
    counting_takes_too_long(org)

    with pytest.raises(SalesforceError, match="QUERY_TIMEOUT"):
        plan_of(client, tmp_path / "bulk", **words)


def test_a_complete_job_is_published_where_counting_again_takes_too_long(org, client, tmp_path, caplog):
    counting_takes_too_long(org, after=1)

    exported = export(client, tmp_path / "bulk")

    assert exported.holds_exactly(ids_in(org))
    assert (exported.manifest["count"], exported.manifest["count_after"]) == (900, None)
    assert "The rows were not counted again: Salesforce answered 400 QUERY_TIMEOUT" in caplog.text


def test_chunks_in_any_order_are_no_doubles_and_each_file_is_read_once(org, client, tmp_path, monkeypatch):
    read, content = Counter(), destination._content
    monkeypatch.setattr(destination, "_content", lambda path: read.update([path.name]) or content(path))
    plan = plan_of(client, tmp_path / "bulk")
    pages = export_segments(client, plan, tmp_path / "bulk", threads=2, attempt=1)
    # As if each had rows from all over the object.
    spans = [page | {"first_id": min(ids_in(org)), "last_id": max(ids_in(org))} for page in pages]

    publish(client, tmp_path / "bulk", plan, spans, api_calls=0)

    assert Export(tmp_path / "bulk").holds_exactly(ids_in(org))
    assert {page["file"]: 1 for page in pages}.items() <= read.items()


def test_a_later_try_goes_on_with_the_job_unless_the_query_is_another_or_its_time_is_over(org, client, tmp_path):
    folder = tmp_path / "bulk"
    first, second = plan_of(client, folder), plan_of(client, folder)
    assert second.job.id == first.job.id

    third = plan_of(client, folder, request_for(DEALS))
    assert third.job.id != first.job.id
    fourth = plan_of(client, folder, request_for(DEALS), timeout=timedelta(0))
    assert fourth.job.id != third.job.id

    client.bulk.delete(fourth.job.id)
    assert plan_of(client, folder, request_for(DEALS)).job.id not in (third.job.id, fourth.job.id)
    assert org.org.bulk_jobs.submitted == 4


def test_a_job_of_another_query_is_aborted_and_deleted(org, client, tmp_path):
    org.settings.bulk_seconds = 600
    request = replace(request_for(), api="bulk")
    plans_made = []
    for query in (request.query, request.query.where("LastName != null")):
        plan = make_plan(client, replace(request, query=query), readers=4, run_id="run")
        plans_made.append(start_job(client, plan, tmp_path, bulk_timeout=timedelta(hours=1), by_rest=None))
    first, second = (plan.job.id for plan in plans_made)

    assert first != second
    assert jobs(org) == {second: "InProgress"}


def test_a_job_that_found_nothing_is_published_without_pages(org, client, tmp_path):
    plan = make_plan(client, replace(request_for(), api="bulk"), readers=4, run_id="run")
    for record_id in ids_in(org):
        org.org.delete("Contact", record_id)
    plan = start_job(client, plan, tmp_path, bulk_timeout=timedelta(hours=1), by_rest=None)
    plan = with_chunks(client, plan, wait(client, plan))
    pages = export_segments(client, plan, tmp_path, threads=2, attempt=1)

    manifest = publish(client, tmp_path, plan, pages, api_calls=0)

    assert (manifest["rows"], manifest["pages"], manifest["count_after"]) == (0, [], 0)


def test_a_job_that_says_it_found_nothing_of_what_was_counted_is_not_believed(org, client, tmp_path):
    plan = make_plan(client, replace(request_for(), api="bulk"), readers=4, run_id="run")
    plan = start_job(client, plan, tmp_path, bulk_timeout=timedelta(hours=1), by_rest=None)
    plan = with_chunks(client, plan, replace(wait(client, plan), records=0))
    pages = export_segments(client, plan, tmp_path, threads=2, attempt=1)

    with pytest.raises(InconsistentPagesError, match=r"hold 900 rows, and the Bulk job \w+ found 0"):
        publish(client, tmp_path, plan, pages, api_calls=0)


def test_a_job_of_what_cannot_be_counted_may_find_nothing(org, client, tmp_path):
    counting_takes_too_long(org)
    nobody = replace(request_for(), query=request_for().query.where("LastName = 'nobody'"))

    manifest = export(client, tmp_path, nobody).manifest

    assert (manifest["count"], manifest["rows"], manifest["count_after"]) == (0, 0, None)


def test_memory_stays_flat_while_the_files_of_a_chunk_are_written(start_org, client_of, tmp_path, monkeypatch):
    client = client_of(with_long_texts(start_org, rows=1_500))
    monkeypatch.setattr(bulk_chunk, "_CHARACTERS_PER_FILE", 1_000_000)
    plan = plan_of(client, tmp_path, request_for(LONG_TEXTS))
    export_segments(client, plan, tmp_path, threads=1, attempt=1)
    tracemalloc.start()
    try:
        pages = export_segments(client, plan, tmp_path, threads=1, attempt=2)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert sum(page["bytes"] for page in pages) > 24_000_000
    assert peak < 16_000_000  # of the whole process, with the server and whatever other tests have left running


def test_rows_with_long_texts_make_smaller_files(start_org, client_of, tmp_path, monkeypatch):
    org = with_long_texts(start_org, rows=100)
    monkeypatch.setattr(bulk_chunk, "_CHARACTERS_PER_FILE", 500_000)
    found = export(client_of(org), tmp_path / "bulk", request_for(LONG_TEXTS))

    pages = found.manifest["pages"]
    assert [(page["page"], page["part"]) for page in pages] == [(1, part) for part in range(len(pages))]
    assert max(page["bytes"] for page in pages) < 1_000_000 < 1_500_000 < sum(page["bytes"] for page in pages)
    assert found.holds_exactly(ids_in(org))


@pytest.mark.parametrize(("sobject", "field", "type_"), COMPOUND)
def test_fields_that_bulk_cannot_read_are_refused_where_bulk_was_asked_for(client, tmp_path, sobject, field, type_):
    object_type = ObjectType("some", sobject, ("Name", field))

    with pytest.raises(ConfigurationError, match=rf"cannot read these fields.*{field} \({type_}\).*api='auto'"):
        plan_of(client, tmp_path / "bulk", request_for(object_type))


def test_an_export_whose_job_an_earlier_try_has_submitted_is_as_of_then(client, tmp_path):
    before = datetime.now(timezone.utc)
    wait(client, plan_of(client, tmp_path / "bulk"))
    between = datetime.now(timezone.utc)
    manifest = export(client, tmp_path / "bulk").manifest

    as_of, started_at = (datetime.fromisoformat(manifest[name]) for name in ("as_of", "started_at"))
    assert before - timedelta(milliseconds=1) < as_of < between < started_at + timedelta(milliseconds=1)


def test_deleted_records_are_read_where_asked_for(org, client, tmp_path):
    found = export(client, tmp_path / "bulk", request_for(include_deleted=True))

    assert found.holds_exactly(ids_in(org, deleted=True))


def test_an_old_api_version_reads_by_rest(org, client_of, tmp_path):
    client = client_of(org, api_version="49.0")
    found = export(client, tmp_path / "bulk", api="auto", bulk_threshold=1)

    assert found.holds_exactly(ids_in(org))
    assert "Bulk queries need API version 50.0" in found.manifest["api_reason"]
    with pytest.raises(ConfigurationError, match=r"API version 50\.0"):
        plan_of(client, tmp_path / "other")


@pytest.mark.parametrize(("output_format", "compression"), [("jsonl", "gzip"), ("csv", None), ("parquet", None)])
def test_every_format_holds_what_it_holds_by_rest(org, client, tmp_path, output_format, compression):
    insert_awkward(org)
    request = replace(request_for(DEALS), output_format=output_format, compression=compression)
    folders = [tmp_path / "bulk", tmp_path / "rest"]
    rows = []
    for folder, api in zip(folders, ("bulk", "rest"), strict=True):
        plan = plan_of(client, folder, request, api=api)
        pages = export_segments(client, plan, folder, threads=2, attempt=1)
        publish(client, folder, plan, pages, api_calls=0)
        found = [PageFormat(plan).decode((folder / page["file"]).read_bytes()) for page in pages]
        rows.append(sorted((record for page in found for record in page), key=lambda record: record.Id))

    assert rows[0] == rows[1]
    assert len(rows[0]) == len(ids_in(org, "Opportunity"))
