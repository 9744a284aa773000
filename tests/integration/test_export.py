"""Plan, pages and manifest against an org over HTTP."""

import hashlib
import json
import os
from dataclasses import replace

import pytest

from airflow_provider_salesforce_export import DEALS, NOTES
from airflow_provider_salesforce_export.exceptions import (
    ConfigurationError,
    DestinationError,
    IncompleteResponseError,
    InconsistentPagesError,
    PaginationError,
)
from airflow_provider_salesforce_export.export.planning import make_plan
from airflow_provider_salesforce_export.export.publish import publish
from airflow_provider_salesforce_export.export.segments import export_segments
from tests.integration.conftest import Export, ids_in, request_for, run_export


@pytest.mark.parametrize("contacts", [1, 2000, 2001, 4000, 4001])
def test_every_row_is_exported_once(start_org, client_of, tmp_path, contacts):
    server = start_org(contacts=contacts)

    export = run_export(client_of(server), request_for(), tmp_path)

    assert export.holds_exactly(ids_in(server))
    assert export.manifest["rows"] == export.manifest["count"] == contacts
    assert export.manifest["pagination"] == ("offset" if contacts <= 2000 else "range")


@pytest.mark.parametrize(
    ("page_size", "contacts"), [(1, 7), (7, 100), (200, 1000), (1000, 2000), (2000, 2000), (200, 4321), (7, 2100)]
)
def test_every_page_size(start_org, client_of, tmp_path, page_size, contacts):
    server = start_org(contacts=contacts)

    export = run_export(client_of(server), request_for(page_size=page_size), tmp_path)

    assert export.holds_exactly(ids_in(server))
    assert all(len(page["data"]) <= page_size for page in export.pages)


@pytest.mark.parametrize("pagination", ["offset", "range"])
def test_each_pagination_can_be_asked_for(start_org, client_of, tmp_path, pagination):
    server = start_org(contacts=4000)

    export = run_export(client_of(server), request_for(pagination=pagination), tmp_path)

    assert export.manifest["pagination"] == pagination
    assert export.holds_exactly(ids_in(server))


def test_offset_pages_are_refused_where_salesforce_would_refuse_them(start_org, client_of, tmp_path):
    client = client_of(start_org(contacts=4001))

    with pytest.raises(PaginationError, match=r"4001 rows.*OFFSET 4000.*above 2000.*'auto' or 'range'"):
        make_plan(client, request_for(pagination="offset"), readers=4, run_id="run")


def test_the_envelope_is_that_of_the_replaced_service(start_org, client_of, tmp_path):
    server = start_org(contacts=25)

    export = run_export(client_of(server), request_for(page_size=10), tmp_path)

    assert [page["pagination"] for page in export.pages] == [
        {"page": 1, "per_page": 10, "total": 25, "total_pages": 3, "next_page": 2, "prev_page": None, "offsetValue": 0},
        {"page": 2, "per_page": 10, "total": 25, "total_pages": 3, "next_page": 3, "prev_page": 1, "offsetValue": 10},
        {
            "page": 3,
            "per_page": 10,
            "total": 25,
            "total_pages": 3,
            "next_page": None,
            "prev_page": 2,
            "offsetValue": 20,
        },
    ]
    for page in export.pages:
        assert list(page) == ["success", "message", "data", "pagination"]
        assert (page["success"], page["message"]) == (True, "SUCCESS")


def test_pages_of_ranges_are_numbered_over_the_whole_object(start_org, client_of, tmp_path):
    server = start_org(contacts=5000)

    export = run_export(client_of(server), request_for(page_size=300), tmp_path)

    numbers = [page["pagination"] for page in export.pages]
    assert [number["page"] for number in numbers] == list(range(1, len(numbers) + 1))
    assert {number["total_pages"] for number in numbers} == {len(numbers)}
    offset = 0
    for number, page in zip(numbers, export.pages, strict=True):
        assert (number["per_page"], number["total"], number["offsetValue"]) == (300, 5000, offset)
        assert number["prev_page"] == (number["page"] - 1 or None)
        assert number["next_page"] == (number["page"] + 1 if page is not export.pages[-1] else None)
        offset += len(page["data"])


@pytest.mark.parametrize("object_type", [DEALS, NOTES])
def test_records_are_as_salesforce_sent_them_without_attributes(start_org, client_of, tmp_path, object_type):
    server = start_org(deals=30, notes=30)
    client = client_of(server)

    export = run_export(client, request_for(object_type), tmp_path)

    (sent,) = client.query(request_for(object_type).query.select())
    for record in sent:
        for value in (record, *record.values()):
            if isinstance(value, dict):
                value.pop("attributes", None)
    assert export.pages[0]["data"] == sent
    assert isinstance(sent[0]["Owner"], dict)


def test_the_recycle_bin_is_exported_when_asked_for(start_org, client_of, tmp_path):
    server = start_org(contacts=500)

    export = run_export(client_of(server), request_for(include_deleted=True), tmp_path)

    assert export.holds_exactly(ids_in(server, deleted=True))
    assert len(export.ids) > 500


@pytest.mark.parametrize(("page_size", "batch_size"), [(1000, 500), (2000, 300), (500, 499)])
def test_offset_replies_of_one_short_batch_lose_nothing(start_org, client_of, tmp_path, page_size, batch_size):
    """Salesforce answers a query with OFFSET with its first batch alone, and wide rows make that one short."""
    server = start_org(contacts=2000, batch_size=batch_size)

    export = run_export(client_of(server), request_for(page_size=page_size, pagination="offset"), tmp_path)

    assert export.holds_exactly(ids_in(server))
    assert export.manifest["repairs"] == []


@pytest.mark.parametrize("batch_size", [200, 999])
def test_batches_smaller_than_a_page_are_followed(start_org, client_of, tmp_path, batch_size):
    server = start_org(contacts=4321, batch_size=batch_size)

    assert run_export(client_of(server), request_for(), tmp_path).holds_exactly(ids_in(server))


def test_the_manifest_names_every_file_with_its_sums(start_org, client_of, tmp_path):
    server = start_org(contacts=4321)

    export = run_export(client_of(server), request_for(), tmp_path)

    assert export.files == sorted(["manifest.json", *(page["file"] for page in export.manifest["pages"])])
    for page, content in zip(export.manifest["pages"], export.pages, strict=True):
        raw = (tmp_path / page["file"]).read_bytes()
        assert (page["bytes"], page["sha256"]) == (len(raw), hashlib.sha256(raw).hexdigest())
        assert page["rows"] == len(content["data"])
        assert (page["first_id"], page["last_id"]) == (content["data"][0]["Id"], content["data"][-1]["Id"])
    assert export.manifest["bytes"] == sum(page["bytes"] for page in export.manifest["pages"])
    assert export.manifest["soql"].startswith("SELECT Id, Name, Account.Name, Title")
    assert export.manifest["api_calls"] == server.org.api_calls


def test_no_rows_still_give_a_manifest(start_org, client_of, tmp_path):
    export = run_export(client_of(start_org()), request_for(), tmp_path)

    assert export.files == ["manifest.json"]
    assert (export.manifest["rows"], export.manifest["pages"]) == (0, [])


def test_a_401_in_the_middle_of_pages_is_not_seen_in_the_result(start_org, client_of, tmp_path, keys):
    server = start_org(contacts=9000, rotate_refresh_tokens=True)
    client = client_of(server)
    server.org.expire_tokens_after(9)

    export = run_export(client, request_for(page_size=500), tmp_path)

    assert export.holds_exactly(ids_in(server))
    assert server.org.token_calls == 1
    assert 401 in [call.status for call in server.org.calls]


def test_a_second_export_replaces_the_first_and_sweeps_it(start_org, client_of, tmp_path):
    server = start_org(contacts=3000)
    client = client_of(server)
    first = run_export(client, request_for(), tmp_path)
    server.org.insert("Contact", LastName="New")

    second = run_export(client, request_for(), tmp_path)

    assert second.holds_exactly(ids_in(server))
    assert not set(first.files) & set(second.files) - {"manifest.json"}


def test_rows_that_came_after_the_count_are_read_too(start_org, client_of, tmp_path):
    server = start_org(contacts=2000)
    client = client_of(server)
    plan = make_plan(client, request_for(page_size=500), readers=4, run_id="run")
    for number in range(700):
        server.org.insert("Contact", LastName=f"New {number}")

    pages = export_segments(client, plan, tmp_path, threads=2, attempt=1)
    manifest = publish(client, tmp_path, plan, pages, api_calls=0)

    assert (manifest["count"], manifest["rows"]) == (2000, 2700)
    assert [page["rows"] for page in manifest["pages"]] == [500, 500, 500, 500, 500, 200]


def read_one_by_one(client, plan, folder, between):
    """Read the pages of a plan one after another; ``between`` is called after each."""
    pages = []
    for number, segment in enumerate(plan.segments):
        pages += export_segments(client, replace(plan, segments=(segment,)), folder, threads=1, attempt=1)
        between(number)
    return pages


@pytest.mark.parametrize("pagination", ["offset", "range"])
def test_rows_that_are_deleted_between_pages_never_hide_others(start_org, client_of, tmp_path, pagination):
    """A deleted row shifts all later rows up by one: without the fence, one of them falls between two pages."""
    server = start_org(contacts=2000)
    client = client_of(server)
    existing = sorted(ids_in(server))
    plan = make_plan(client, request_for(page_size=500, pagination=pagination), readers=4, run_id="run")
    pages = read_one_by_one(client, plan, tmp_path, lambda number: server.org.delete("Contact", existing[number]))

    manifest = publish(client, tmp_path, plan, pages, api_calls=0)

    assert Export(tmp_path).holds_exactly(existing)
    gaps = [(repair["kind"], repair["page"], repair["rows"]) for repair in manifest["repairs"]]
    assert gaps == ([("gap", 1, 1), ("gap", 2, 1), ("gap", 3, 1)] if pagination == "offset" else [])
    assert (manifest["count"], manifest["rows"]) == (2000, 2000)
    assert manifest["count_after"] == 2000 - len(plan.segments)


def test_rows_that_come_between_pages_never_double_others(start_org, client_of, tmp_path, caplog):
    server = start_org(contacts=2000)
    client = client_of(server)
    existing = sorted(ids_in(server))
    for record_id in existing[:3]:
        server.org.delete("Contact", record_id)
    plan = make_plan(client, request_for(page_size=500), readers=4, run_id="run")
    pages = read_one_by_one(client, plan, tmp_path, lambda number: server.org.undelete("Contact", existing[number % 3]))

    manifest = publish(client, tmp_path, plan, pages, api_calls=0)

    assert Export(tmp_path).holds_exactly(existing[3:])
    assert [(repair["kind"], repair["page"], repair["rows"]) for repair in manifest["repairs"]] == [
        ("overlap", 2, 1),
        ("overlap", 3, 1),
        ("overlap", 4, 1),
    ]
    assert "Repaired page 3: overlap of 1 rows." in caplog.text
    assert manifest["drift"] == 0
    assert manifest["count_after"] == 2000


@pytest.mark.parametrize("pagination", ["offset", "range"])
def test_a_page_that_is_missing_is_read_at_publishing(start_org, client_of, tmp_path, pagination):
    server = start_org(contacts=1000)
    client = client_of(server)
    plan = make_plan(client, request_for(page_size=250, pagination=pagination), readers=4, run_id="run")
    pages = export_segments(client, plan, tmp_path, threads=4, attempt=1)

    for missing in range(len(pages)):
        rest = [page for page in pages if page is not pages[missing]]
        manifest = publish(client, tmp_path, plan, rest, api_calls=0, attempt=missing + 1)

        assert Export(tmp_path).holds_exactly(ids_in(server))
        assert [(repair["kind"], repair["rows"]) for repair in manifest["repairs"]] == [("gap", pages[missing]["rows"])]
        export_segments(client, plan, tmp_path, threads=4, attempt=1)  # what publishing swept


def test_rows_that_vanish_at_the_end_leave_no_gap(start_org, client_of, tmp_path):
    """Pages whose fence is gone prove nothing: what is left above the last proven row is read again."""
    server = start_org(contacts=2000)
    client = client_of(server)
    existing = sorted(ids_in(server))
    plan = make_plan(client, request_for(page_size=500), readers=4, run_id="run")
    for record_id in existing[900:]:
        server.org.delete("Contact", record_id)

    pages = export_segments(client, plan, tmp_path, threads=2, attempt=1)
    manifest = publish(client, tmp_path, plan, pages, api_calls=0)

    assert Export(tmp_path).holds_exactly(existing[:900])
    assert manifest["drift"] == -1100


@pytest.mark.parametrize("damage", ["cut", "same size"])
def test_a_page_that_does_not_hold_what_was_written_is_never_published(start_org, client_of, tmp_path, damage):
    client = client_of(start_org(contacts=1000))
    plan = make_plan(client, request_for(page_size=250), readers=4, run_id="run")
    pages = export_segments(client, plan, tmp_path, threads=4, attempt=1)
    file = tmp_path / pages[2]["file"]
    content = file.read_bytes()
    file.write_bytes(content[:100] if damage == "cut" else content.replace(b"0", b"1", 1))

    with pytest.raises(InconsistentPagesError, match=pages[2]["file"]):
        publish(client, tmp_path, plan, pages, api_calls=0)
    assert not (tmp_path / "manifest.json").exists()


@pytest.mark.parametrize("gone", [[0], [1, 3], [0, 1, 2, 3]])
def test_pages_whose_files_are_gone_are_read_again_at_publishing(start_org, client_of, tmp_path, gone):
    server = start_org(contacts=1000)
    client = client_of(server)
    plan = make_plan(client, request_for(page_size=250), readers=4, run_id="run")
    pages = export_segments(client, plan, tmp_path, threads=4, attempt=1)
    for index in gone:
        (tmp_path / pages[index]["file"]).unlink()

    manifest = publish(client, tmp_path, plan, pages, api_calls=0)

    assert Export(tmp_path).holds_exactly(ids_in(server))
    assert {repair["kind"] for repair in manifest["repairs"]} == {"gap"}
    assert sum(repair["rows"] for repair in manifest["repairs"]) == 250 * len(gone)


def test_a_file_that_goes_while_publishing_is_not_published(start_org, client_of, tmp_path):
    server = start_org(contacts=1000)
    client = client_of(server)
    plan = make_plan(client, request_for(page_size=250), readers=4, run_id="run")
    pages = export_segments(client, plan, tmp_path, threads=4, attempt=1)
    (tmp_path / pages[0]["file"]).unlink()  # to be read again once the files were checked: the moment that is wanted
    vanishing = tmp_path / pages[2]["file"]
    server.org.before_request.append(lambda *call: "COUNT" not in str(call) and vanishing.unlink(missing_ok=True))

    with pytest.raises(InconsistentPagesError, match=f"1 of 4 files have gone.*{vanishing.name}.*read.*again"):
        publish(client, tmp_path, plan, pages, api_calls=0)
    assert {pages[1]["file"], pages[3]["file"]} < set(os.listdir(tmp_path))
    assert not (tmp_path / "manifest.json").exists()
    publish(client, tmp_path, plan, pages, api_calls=0, attempt=2)

    assert Export(tmp_path).holds_exactly(ids_in(server))


def test_another_run_of_the_partition_keeps_its_pages(start_org, client_of, tmp_path):
    """Two runs fill one partition at once: whoever commits last wins, and what it names is there."""
    server = start_org(contacts=1000)
    client = client_of(server)
    plans = [make_plan(client, request_for(page_size=250), readers=4, run_id=f"run {n}") for n in range(2)]
    pages = [export_segments(client, plan, tmp_path, threads=4, attempt=1) for plan in plans]

    for plan, results in zip(plans, pages, strict=True):
        publish(client, tmp_path, plan, results, api_calls=0)

        export = Export(tmp_path)
        assert export.manifest["run"] == plan.run
        assert export.holds_exactly(ids_in(server))
    assert len(export.files) == 5


def test_leftovers_of_a_try_that_died_are_swept_by_the_next(start_org, client_of, tmp_path):
    client = client_of(start_org(contacts=1000))
    died, lives = (make_plan(client, request_for(page_size=250), readers=4, run_id="run") for _ in range(2))
    export_segments(client, died, tmp_path, threads=4, attempt=1)
    (tmp_path / f".page-00001-{died.run}.json.tmp").write_bytes(b"half")
    (tmp_path / "page-00009-long-ago.json").write_bytes(b"abandoned")
    os.utime(tmp_path / "page-00009-long-ago.json", (0, 0))
    (tmp_path / "README").write_bytes(b"somebody else's")

    publish(client, tmp_path, lives, export_segments(client, lives, tmp_path, threads=4, attempt=1), api_calls=0)

    named = [page["file"] for page in Export(tmp_path).manifest["pages"]]
    assert Export(tmp_path).files == sorted(["README", "manifest.json", *named])


def test_a_later_try_does_not_touch_the_files_of_an_earlier_one(start_org, client_of, tmp_path):
    client = client_of(start_org(contacts=1000))
    plan = make_plan(client, request_for(page_size=250), readers=4, run_id="run")
    first = export_segments(client, plan, tmp_path, threads=4, attempt=1)
    second = export_segments(client, plan, tmp_path, threads=4, attempt=2)

    assert not {page["file"] for page in first} & {page["file"] for page in second}


@pytest.mark.parametrize(
    "fault",
    [
        {"truncate": 5000},
        {"status": 200, "body": "<html>Maintenance</html>", "headers": {"Content-Type": "text/html"}},
        {"status": 503},
    ],
)
def test_a_passing_failure_is_repeated_and_leaves_no_trace(start_org, client_of, tmp_path, fault):
    server = start_org(contacts=3000)
    client = client_of(server)
    server.org.fail_next(times=2, after=2, path_pattern="/query", **fault)

    export = run_export(client, request_for(page_size=500), tmp_path)

    assert export.holds_exactly(ids_in(server))
    assert (export.manifest["repairs"], export.manifest["drift"]) == ([], 0)
    assert not server.org.faults.take("/query")  # it has happened


def test_a_body_that_stays_broken_is_never_written(start_org, client_of, tmp_path):
    server = start_org(contacts=100)
    client = client_of(server)
    plan = make_plan(client, request_for(), readers=4, run_id="run")
    server.org.fail_next(times=20, truncate=5000, path_pattern="/query")

    with pytest.raises(IncompleteResponseError):
        export_segments(client, plan, tmp_path, threads=1, attempt=1)
    assert list(tmp_path.iterdir()) == []


def test_a_row_that_is_deleted_for_good_between_two_batches_fails_the_page_and_the_next_try_reads_it(
    start_org, client_of, tmp_path
):
    server = start_org(contacts=100, batch_size=30)
    client = client_of(server)
    *kept, last = sorted(ids_in(server))
    plan = make_plan(client, request_for(), readers=4, run_id="run")

    def delete(_method, path, _query):
        if not path.endswith("/query") and last in ids_in(server):
            server.org.hard_delete("Contact", last)

    server.org.before_request.append(delete)

    with pytest.raises(IncompleteResponseError, match=r"holds 99 records where it announced 100 .*A retry asks anew"):
        export_segments(client, plan, tmp_path, threads=1, attempt=1)
    publish(client, tmp_path, plan, export_segments(client, plan, tmp_path, threads=1, attempt=2), api_calls=0)

    assert Export(tmp_path).holds_exactly(kept)


def test_a_field_that_the_user_may_not_see_is_named(start_org, client_of, tmp_path):
    client = client_of(start_org(contacts=10, hidden_fields=("Contact.Email",)))

    with pytest.raises(ConfigurationError, match=r"Email.*field-level security"):
        run_export(client, request_for(), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_destination_that_cannot_be_written_says_so(start_org, client_of, tmp_path):
    client = client_of(start_org(contacts=10))
    plan = make_plan(client, request_for(), readers=4, run_id="run")

    with pytest.raises(DestinationError, match=r"no-such-folder.*cannot be written.*rights of the Airflow workers"):
        export_segments(client, plan, tmp_path / "no-such-folder", threads=1, attempt=1)


def test_values_survive(start_org, client_of, tmp_path):
    server = start_org()
    names = ["O'Brien", 'the "Rock"', "back\\slash", "Zoë 東京 😀", "line\nbreak", "<&>", "{{ jinja }}"]
    for name in names:
        server.org.insert("Contact", LastName=name)

    export = run_export(client_of(server), request_for(), tmp_path)

    assert [record["Name"] for record in export.pages[0]["data"]] == names
    raw = (tmp_path / export.manifest["pages"][0]["file"]).read_text(encoding="utf-8")
    assert json.loads(raw)["data"][0]["Phone"] is None
