"""Exports by Bulk API 2.0, without Airflow: against the same exports by REST, and with what goes wrong."""

import json
import time
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest

from airflow_provider_salesforce_export.export.bulk_job import start_job, with_chunks
from airflow_provider_salesforce_export.export.manifest import publish
from airflow_provider_salesforce_export.export.page import export_segments
from airflow_provider_salesforce_export.export.plan import make_plan
from airflow_provider_salesforce_export.object_types import CONTACTS, DEALS, NOTES, ObjectType
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
RELATED_FIELDS = (
    "LastName",
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


def plan_of(client, folder, request=None, *, timeout=timedelta(hours=1), **words):
    """Plan an export by Bulk, and wait for its job."""
    request = replace(request or request_for(), **({"api": "bulk"} | words))
    folder.mkdir(exist_ok=True)
    plan = make_plan(client, request, readers=4, run_id="run")
    if plan.api == "bulk":
        by_rest = partial(make_plan, client, replace(request, api="rest"), readers=4, run_id="run")
        plan = start_job(client, plan, folder, bulk_timeout=timeout, by_rest=by_rest)
    deadline = time.monotonic() + 60
    while plan.job and not client.bulk.job(plan.job.id).is_over:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return with_chunks(client, plan) if plan.job else plan


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
        account = org.org.insert("Account", Name=value or "None", Description=value, Website=value, OwnerId=owner)
        org.org.insert("Contact", LastName=value or "None", Description=value, MailingStreet=value, AccountId=account)
        org.org.insert("Note", Title=value or "None", Body=value, ParentId=account)
    for number in NUMBERS:
        whole = None if number is None else int(number)
        account = org.org.insert("Account", Name="Number", AnnualRevenue=number, NumberOfEmployees=whole)
        org.org.insert("Contact", LastName="Number", Satisfaction__c=number, AccountId=account, Birthdate="2000-02-29")
        org.org.insert(
            "Opportunity", Name="Number", Amount=number, Probability=number, StageName="New", CloseDate="2026-01-01"
        )
    org.org.insert("Contact", LastName="Nobody's")


@pytest.mark.parametrize(
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
def test_an_export_by_bulk_is_that_by_rest_byte_for_byte(org, client, tmp_path, object_type):
    insert_awkward(org)
    request = request_for(object_type)
    (tmp_path / "rest").mkdir()
    by_bulk, by_rest = export(client, tmp_path / "bulk", request), run_export(client, request, tmp_path / "rest")

    assert lines(tmp_path / "bulk", by_bulk) == lines(tmp_path / "rest", by_rest)
    assert by_bulk.holds_exactly(ids_in(org, object_type.sobject))
    assert by_bulk.manifest["fields"] == by_rest.manifest["fields"]
