"""Incremental runs by a real Airflow: which records, from when, to when, and when they are read."""

import re
import time
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace

import pytest
from airflow.sdk import Param
from airflow.timetables.interval import DeltaDataIntervalTimetable
from airflow.timetables.trigger import CronTriggerTimetable

from airflow_provider_salesforce_export import ObjectType, SalesforceExportOperator, SalesforceExportTaskGroup
from airflow_provider_salesforce_export.salesforce.soql import datetime_literal
from airflow_provider_salesforce_export.triggers import wait
from tests.integration.conftest import Export, published, run

pytestmark = pytest.mark.usefixtures("airflow_database")

MIDNIGHT = datetime(2026, 11, 18, tzinfo=timezone.utc)
DAY = timedelta(days=1)
NEXT_MORNING = MIDNIGHT + timedelta(days=1, hours=8)
"""Run by hand, a DAG takes the last interval that has ended: here the day that begins at MIDNIGHT."""


def test_an_incremental_run_exports_its_data_interval_alone(start_org, connections, make_dag, tmp_path):
    server = start_org()
    connections(server)
    end = MIDNIGHT + timedelta(days=1)
    moments = [MIDNIGHT - timedelta(seconds=1), MIDNIGHT, end - timedelta(seconds=1), end]
    ids = [server.org.insert("Contact", LastName="x", SystemModstamp=moment) for moment in moments]
    with make_dag() as dag:
        SalesforceExportTaskGroup("contacts", destination=tmp_path.as_uri(), mode="incremental")

    dag_run, _ = run(dag, logical_date=NEXT_MORNING)

    assert dag_run.state == "success"
    export = published(tmp_path)
    assert export.holds_exactly(ids[1:3])
    assert export.folder.name == "2026-11-18T000000Z--2026-11-19T000000Z"
    assert export.manifest["window"] == {
        "cursor_field": "SystemModstamp",
        "start": "2026-11-18T00:00:00.000Z",
        "end": "2026-11-19T00:00:00.000Z",
    }


def test_a_window_of_ones_own(start_org, connections, make_dag, tmp_path):
    server = start_org()
    connections(server)
    inside = server.org.insert("Contact", LastName="x", SystemModstamp=datetime(2026, 3, 2, tzinfo=timezone.utc))
    server.org.insert("Contact", LastName="x", SystemModstamp=datetime(2026, 4, 2, tzinfo=timezone.utc))
    with make_dag() as dag:
        SalesforceExportTaskGroup(
            "contacts",
            destination=tmp_path.as_uri(),
            mode="incremental",
            since="2026-03-01T00:00:00Z",
            until="2026-04-01T00:00:00Z",
        )

    run(dag)

    assert published(tmp_path).holds_exactly([inside])


def test_a_full_and_an_incremental_run_of_one_day_stand_side_by_side(start_org, connections, make_dag, tmp_path):
    server = start_org()
    connections(server)
    server.org.insert("Contact", LastName="x", SystemModstamp=MIDNIGHT)
    server.org.insert("Contact", LastName="x", SystemModstamp=MIDNIGHT - timedelta(days=9))
    with make_dag(params={"mode": "full"}) as dag:
        SalesforceExportTaskGroup("contacts", destination=tmp_path.as_uri(), mode="{{ params.mode }}")

    run(dag, logical_date=NEXT_MORNING)
    run(dag, logical_date=NEXT_MORNING + timedelta(seconds=1), run_conf={"mode": "incremental"})

    rows = {
        path.parent.name: Export(path.parent).manifest["rows"] for path in tmp_path.glob("contacts/*/manifest.json")
    }
    assert rows == {"2026-11-19T080000Z": 2, "2026-11-18T000000Z--2026-11-19T000000Z": 1}


def test_an_empty_window_still_gets_a_manifest(start_org, connections, make_dag, tmp_path):
    connections(start_org(contacts=10))
    with make_dag() as dag:
        SalesforceExportTaskGroup(
            "contacts",
            destination=tmp_path.as_uri(),
            mode="incremental",
            since="2001-01-01T00:00:00Z",
            until="2002-01-01T00:00:00Z",
            pagination="range",
        )

    dag_run, tasks = run(dag)

    assert dag_run.state == "success"
    assert tasks["contacts.pages", -1].state == "skipped"
    assert published(tmp_path).manifest["rows"] == 0


def contact(server, moment):
    return server.org.insert("Contact", LastName="x", SystemModstamp=moment)


def test_each_record_at_an_edge_is_in_exactly_one_of_consecutive_windows(start_org, connections, make_dag, tmp_path):
    server = start_org()
    connections(server)
    edge, step = MIDNIGHT + timedelta(days=1), timedelta(milliseconds=1)
    ids = [contact(server, moment) for moment in (edge - step, edge, edge + step)]
    with make_dag() as dag:
        SalesforceExportOperator(
            task_id="export", object_type="contacts", destination=tmp_path.as_uri(), mode="incremental"
        )

    for day in (0, 1):
        run(dag, logical_date=NEXT_MORNING + timedelta(days=day))

    first, second = (Export(path.parent) for path in sorted(tmp_path.glob("contacts/*/manifest.json")))
    assert first.holds_exactly(ids[:1])
    assert second.holds_exactly(ids[1:])


def test_a_lookback_reads_what_came_late_and_fills_the_same_folder(start_org, connections, make_dag, tmp_path):
    server = start_org()
    connections(server)
    early = contact(server, MIDNIGHT - timedelta(minutes=9))
    contact(server, MIDNIGHT - timedelta(minutes=11))
    with make_dag() as dag:
        SalesforceExportTaskGroup(
            "contacts", destination=tmp_path.as_uri(), mode="incremental", lookback=timedelta(minutes=10)
        )

    run(dag, logical_date=NEXT_MORNING)

    export = published(tmp_path)
    assert export.holds_exactly([early])
    assert export.manifest["window"]["start"] == "2026-11-17T23:50:00.000Z"
    assert export.folder.name == "2026-11-18T000000Z--2026-11-19T000000Z"


@pytest.fixture
def slept(monkeypatch):
    """Let triggers wait no longer than a moment: only their own clock goes on by what they sleep, which is returned."""
    slept = []

    async def sleep(seconds):
        slept.append(seconds)

    class Clock(datetime):
        @classmethod
        def now(cls, tz):
            return datetime.now(tz) + timedelta(seconds=sum(slept))

    monkeypatch.setattr(wait, "asyncio", SimpleNamespace(sleep=sleep))
    monkeypatch.setattr(wait, "datetime", Clock)
    return slept


@pytest.mark.parametrize("kind", [SalesforceExportTaskGroup, SalesforceExportOperator])
def test_a_window_that_ends_now_is_read_only_when_it_has_settled(
    start_org, connections, make_dag, tmp_path, capfd, kind, slept
):
    server = start_org(now=datetime.now(timezone.utc) + timedelta(seconds=600))  # there the wait is over
    connections(server)
    reads = []
    server.org.before_request.append(lambda *_: reads.append(time.time() + sum(slept)))
    words = {} if kind is SalesforceExportTaskGroup else {"task_id": "export"}
    with make_dag() as dag:
        kind(
            object_type="contacts",
            destination=tmp_path.as_uri(),
            mode="incremental",
            since="2026-01-01T00:00:00Z",
            until="{{ macros.datetime.now(macros.dateutil.tz.UTC) }}",  # another moment each time it is rendered
            settle=600,  # far longer than from rendering to waiting
            **words,
        )

    dag_run, _ = run(dag)

    assert dag_run.state == "success"
    end = published(tmp_path).manifest["window"]["end"]
    settled = datetime.fromisoformat(end.replace("Z", "+00:00")) + timedelta(seconds=600)
    assert reads[0] >= settled.timestamp()
    shown = capfd.readouterr()
    begins = f"reading begins at {datetime_literal(settled)}"
    assert f"Salesforce may commit records late: {begins}" in shown.out + shown.err


def test_a_window_that_is_not_over_by_the_clock_of_the_org_is_not_read(
    start_org, connections, make_dag, tmp_path, capfd
):
    server = start_org(now=MIDNIGHT + DAY - timedelta(minutes=10))
    connections(server)
    with make_dag() as dag:
        SalesforceExportTaskGroup("contacts", destination=tmp_path.as_uri(), mode="incremental")

    dag_run, _ = run(dag, logical_date=NEXT_MORNING)

    assert dag_run.state == "failed"
    assert not list(tmp_path.rglob("manifest.json"))
    shown = capfd.readouterr()
    assert "by Salesforce's clock it is 2026-11-18T23:50" in shown.out + shown.err


def test_a_window_that_ended_long_ago_is_read_at_once(start_org, connections, make_dag, tmp_path, capfd):
    connections(start_org())
    with make_dag() as dag:
        SalesforceExportTaskGroup("contacts", destination=tmp_path.as_uri(), mode="incremental")

    run(dag, logical_date=NEXT_MORNING)

    shown = capfd.readouterr()
    assert "reading begins at" not in shown.out + shown.err


def test_days_that_no_run_has_exported_are_told(start_org, connections, make_dag, tmp_path, capfd):
    connections(start_org(contacts=10))
    with make_dag() as dag:
        SalesforceExportTaskGroup("contacts", destination=tmp_path.as_uri(), mode="incremental")
    told = r"reach to (\S+), and it begins at (\S+): .* airflow backfill create --dag-id test_"

    gaps = []
    for day in (-4, -3, 0):
        run(dag, logical_date=NEXT_MORNING + timedelta(days=day))
        shown = capfd.readouterr()
        gaps += re.findall(told, shown.out + shown.err)

    assert gaps == [("2026-11-16T00:00:00.000Z", "2026-11-18T00:00:00.000Z")]


@pytest.mark.parametrize("params", [{}, {"full_refresh": Param(False, type="boolean")}])
def test_a_run_parameter_asks_for_a_full_refresh(start_org, connections, make_dag, tmp_path, params):
    server = start_org()
    connections(server)
    ids = [contact(server, MIDNIGHT - timedelta(days=90)), contact(server, MIDNIGHT)]
    with make_dag(params=params) as dag:
        SalesforceExportTaskGroup("contacts", destination=tmp_path.as_uri(), mode="incremental")

    run(dag, logical_date=NEXT_MORNING, run_conf={"full_refresh": True})

    export = published(tmp_path)
    assert export.holds_exactly(ids)
    assert export.manifest["window"] is None
    assert export.folder.name == "2026-11-19T080000Z"


def test_a_run_without_a_data_interval_is_refused(start_org, connections, make_dag, tmp_path, capfd):
    connections(start_org())
    with make_dag() as dag:
        SalesforceExportTaskGroup("contacts", destination=tmp_path.as_uri(), mode="incremental")

    dag_run, _ = run(dag, logical_date=None)

    assert dag_run.state == "failed"
    assert not list(tmp_path.rglob("*.json"))
    shown = capfd.readouterr()
    assert "no data interval" in shown.out + shown.err


@pytest.mark.parametrize("mode", ["full", "incremental"])
def test_a_run_that_takes_the_place_of_the_next_one_is_refused(start_org, connections, make_dag, tmp_path, capfd, mode):
    """Airflow makes no second run of a logical date: the day that begins at it would be missing, and all be green."""
    connections(start_org(contacts=10))
    with make_dag() as dag:
        SalesforceExportTaskGroup("contacts", destination=tmp_path.as_uri(), mode=mode)

    dag_run, _ = run(dag, logical_date=MIDNIGHT)

    assert dag_run.state == "failed"
    assert not list(tmp_path.rglob("*.json"))
    shown = capfd.readouterr()
    assert re.search(
        "takes the place of the run of the interval that begins at 2026-11-18T00:00.*Delete this run", shown.out
    )


@pytest.mark.parametrize(
    "schedule",
    [CronTriggerTimetable("0 8 * * *", timezone="UTC", interval=DAY), DeltaDataIntervalTimetable(DAY)],
    ids=["cron trigger", "delta"],
)
def test_a_run_by_hand_exports_the_interval_that_ends_with_it(start_org, connections, make_dag, tmp_path, schedule):
    server = start_org()
    connections(server)
    moment = NEXT_MORNING + timedelta(seconds=7)
    ids = [contact(server, moment - timedelta(days=1)), contact(server, moment)]
    with make_dag(schedule=schedule) as dag:
        SalesforceExportTaskGroup("contacts", destination=tmp_path.as_uri(), mode="incremental")

    dag_run, _ = run(dag, logical_date=moment)

    assert dag_run.state == "success"
    assert published(tmp_path).holds_exactly(ids[:1])


def test_what_the_recycle_bin_holds_says_so_of_itself(start_org, connections, make_dag, tmp_path):
    server = start_org()
    connections(server)
    kept, deleted = contact(server, MIDNIGHT), contact(server, MIDNIGHT)
    server.org.delete("Contact", deleted)
    with make_dag() as dag:
        SalesforceExportTaskGroup("contacts", destination=tmp_path.as_uri(), include_deleted=True)

    run(dag)

    records = {record["Id"]: record["IsDeleted"] for page in published(tmp_path).pages for record in page["data"]}
    assert records == {kept: False, deleted: True}


def test_a_cursor_field_that_is_not_there_is_refused_before_anything_is_read(
    start_org, connections, make_dag, tmp_path, capfd
):
    connections(start_org(contacts=10))
    with make_dag() as dag:
        SalesforceExportTaskGroup(
            ObjectType("contacts", "Contact", ("Name",), cursor_field="Touched__c"),
            destination=tmp_path.as_uri(),
            mode="incremental",
        )

    dag_run, tasks = run(dag, logical_date=NEXT_MORNING)

    assert (dag_run.state, tasks["contacts.count", -1].state) == ("failed", "failed")
    shown = capfd.readouterr()
    assert "It sees: CreatedDate, " in shown.out + shown.err


def test_an_sobject_without_system_modstamp_is_read_by_the_next_best_field(start_org, connections, make_dag, tmp_path):
    server = start_org(hidden_fields=("Contact.SystemModstamp",))
    connections(server)
    record_id = server.org.insert("Contact", LastName="x", LastModifiedDate=MIDNIGHT)
    server.org.insert("Contact", LastName="x", LastModifiedDate=MIDNIGHT - timedelta(days=2))
    with make_dag() as dag:
        SalesforceExportTaskGroup("contacts", destination=tmp_path.as_uri(), mode="incremental")

    run(dag, logical_date=NEXT_MORNING)

    export = published(tmp_path)
    assert export.holds_exactly([record_id])
    assert export.manifest["window"]["cursor_field"] == "LastModifiedDate"
