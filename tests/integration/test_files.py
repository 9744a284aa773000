"""Exports in every format, against an org over HTTP: whole, equal, repaired."""

import hashlib
import json
from datetime import datetime, timedelta, timezone

import duckdb
import pandas
import pyarrow.dataset
import pytest

from airflow_provider_salesforce_export import ObjectType, SalesforceExportOperator, SalesforceExportTaskGroup
from airflow_provider_salesforce_export.exceptions import ConfigurationError
from airflow_provider_salesforce_export.export.formats.choices import FORMATS
from airflow_provider_salesforce_export.export.manifest import manifest_in
from airflow_provider_salesforce_export.export.planning import make_plan
from airflow_provider_salesforce_export.export.publish import publish
from airflow_provider_salesforce_export.export.segments import export_segments
from airflow_provider_salesforce_export.sandbox.objects import OBJECTS
from airflow_provider_salesforce_export.sandbox.schema import Schema
from tests.integration.conftest import ids_in, request_for, run
from tests.integration.test_export import read_one_by_one
from tests.readers import as_text, rows

DEALS = ObjectType(
    "deals", "Opportunity", ("Name", "Amount", "IsWon", "CloseDate", "Probability", "account.Owner.Alias")
)
PEOPLE = ObjectType("people", "Contact", "all")
MIDNIGHT = datetime(2026, 11, 20, tzinfo=timezone.utc)
MORNING = datetime(2026, 11, 20, 8, tzinfo=timezone.utc)

airflow = pytest.mark.usefixtures("airflow_database")


def read(folder):
    """Return the manifest, and the rows of the files that it names, all values as texts."""
    manifest = json.loads(manifest_in(folder).read_bytes())
    found = []
    for page in manifest["pages"]:
        file = folder / page["file"]
        content = rows(file, manifest["fields"])
        assert hashlib.sha256(file.read_bytes()).hexdigest() == page["sha256"]
        assert (page["rows"], page["first_id"], page["last_id"]) == (
            len(content),
            content[0]["Id"],
            content[-1]["Id"],
        )
        assert [row["Id"] for row in content] == sorted(row["Id"] for row in content)
        found += content
    return manifest, [{name: as_text(value) for name, value in row.items()} for row in found]


def test_every_format_holds_equal_rows(start_org, client_of, tmp_path):
    server = start_org(deals=2500)
    client = client_of(server)
    server.org.insert("Opportunity", Name='"a",\r\nb 🦊\t', StageName="Closed Won", CloseDate="1899-01-31", Amount=None)
    server.org.insert(
        "Opportunity", Name="NULL", StageName="Closed Won", CloseDate="2026-02-28", Amount=99999999999999.9
    )
    exports = {}
    for output_format, compression, flatten in [
        *((output_format, None, False) for output_format in FORMATS),
        ("json", "gzip", True),
        ("jsonl", "zstd", True),
        ("csv", "gzip", False),
        ("parquet", "zstd", False),
    ]:
        folder = tmp_path / f"{output_format} {compression} {flatten}"
        folder.mkdir()
        request = request_for(
            DEALS, page_size=700, output_format=output_format, compression=compression, flatten=flatten
        )
        plan = make_plan(client, request, readers=4, run_id="run")
        pages = export_segments(client, plan, folder, threads=4, attempt=2)
        publish(client, folder, plan, pages, api_calls=0)
        exports[folder.name] = read(folder)

    (manifest, expected), *others = exports.values()
    assert [row["Id"] for row in expected] == sorted(ids_in(server, "Opportunity"))
    assert manifest["fields"][:3] == ["Id", "Name", "Amount"]
    assert {bool(row["Account.Owner.Alias"]) for row in expected} == {True, False}
    assert all(other == expected for _, other in others)
    assert all(column["type"] for column in exports["parquet None False"][0]["columns"])  # those of relations too


@pytest.mark.parametrize(
    ("output_format", "compression", "flatten"),
    [
        ("json", "gzip", True),
        ("jsonl", None, False),
        ("jsonl", "zstd", True),
        ("csv", "gzip", False),
        ("parquet", None, False),
    ],
)
def test_gaps_and_overlaps_are_repaired_in_every_format(
    start_org, client_of, tmp_path, output_format, compression, flatten
):
    server = start_org(contacts=2000)
    client = client_of(server)
    existing = sorted(ids_in(server))
    comes, goes = existing[10], existing[1200]
    server.org.delete("Contact", comes)
    request = request_for(page_size=500, output_format=output_format, compression=compression, flatten=flatten)
    plan = make_plan(client, request, readers=4, run_id="run")

    def change(number):
        if number == 0:
            server.org.undelete("Contact", comes)
        if number == 2:
            server.org.delete("Contact", goes)

    pages = read_one_by_one(client, plan, tmp_path, change)
    published = publish(client, tmp_path, plan, pages, api_calls=0)

    assert [(repair["kind"], repair["page"], repair["rows"]) for repair in published["repairs"]] == [
        ("overlap", 2, 1),
        ("gap", 3, 1),
    ]
    _, found = read(tmp_path)
    again = tmp_path / "again"
    again.mkdir()
    server.org.undelete("Contact", goes)
    whole = make_plan(client, request_for(), readers=1, run_id="again")
    publish(client, again, whole, export_segments(client, whole, again, threads=1, attempt=1), api_calls=0)
    _, expected = read(again)
    # These two have another SystemModstamp now.
    stable = [row for row in expected if row["Id"] not in (comes, goes)]
    assert [row["Id"] for row in found] == [row["Id"] for row in expected if row["Id"] != comes]
    assert [row for row in found if row["Id"] != goes] == stable


def test_what_does_not_exist_is_named_before_anything_is_read(start_org, client_of):
    server = start_org(contacts=10, hidden_fields=("Contact.Email",))
    calls = []
    server.org.before_request.append(lambda method, path, query: calls.append(path))
    wrong = ObjectType("people", "Contact", ("Name", "Nmae", "Email", "Boss.Name"))

    with pytest.raises(ConfigurationError, match=r"Contact has no field Nmae, Email, Boss\.Name, or the user may not"):
        make_plan(client_of(server), request_for(wrong), readers=4, run_id="run")

    assert len(calls) == 2  # describe, and the count beside it


def test_names_are_written_as_salesforce_writes_them(start_org, client_of, tmp_path):
    server = start_org(contacts=10)
    client = client_of(server)
    odd = ObjectType("people", "contact", ("NAME", "account.Name", "contact.OWNERID"), cursor_field="systemmodstamp")
    plan = make_plan(client, request_for(odd), readers=1, run_id="run")

    publish(client, tmp_path, plan, export_segments(client, plan, tmp_path, threads=1, attempt=1), api_calls=0)

    manifest, found = read(tmp_path)
    assert list(found[0]) == manifest["fields"] == ["Id", "Name", "Account.Name", "OwnerId", "SystemModstamp"]
    types = {column["path"]: column["type"] for column in manifest["columns"]}
    assert types == {
        "Id": "id",
        "Name": "string",
        "Account.Name": None,
        "OwnerId": "reference",
        "SystemModstamp": "datetime",
    }


@airflow
@pytest.mark.parametrize("kind", [SalesforceExportTaskGroup, SalesforceExportOperator])
def test_a_dag_writes_the_files_that_it_is_told_to(start_org, connections, make_dag, tmp_path, kind):
    server = start_org(contacts=2500)
    connections(server)
    words = {"output_format": "{{ params.format }}", "compression": "zstd", "partition_style": "hive"}
    with make_dag(params={"format": "parquet"}) as dag:
        own = {"task_id": "export"} if kind is SalesforceExportOperator else {}
        kind(object_type=PEOPLE, destination=tmp_path.as_uri(), page_size=1000, **words, **own)

    dag_run, _ = run(dag, logical_date=MORNING)

    assert dag_run.state == "success"
    with duckdb.connect() as duck:
        files = f"read_parquet('{tmp_path}/people/*/*/*.parquet', hive_partitioning = true)"
        (count, day), *others = duck.sql(f"SELECT count(DISTINCT Id), ds FROM {files} GROUP BY ds").fetchall()
    assert (count, str(day), others) == (2500, "2026-11-20", [])
    table = pyarrow.dataset.dataset(tmp_path / "people", partitioning="hive").to_table()
    assert set(table["ds"].to_pylist()) == {"2026-11-20"}
    assert len(pandas.read_parquet(tmp_path / "people")) == len(table) == 2500
    manifest, _ = read(tmp_path / "people" / "ds=2026-11-20" / "snapshot=080000Z")
    assert manifest["left_out"] == {"MailingAddress": "compound field: its parts are columns of their own"}
    assert (manifest["output_format"], manifest["compression"], manifest["flatten"]) == ("parquet", "zstd", True)
    assert manifest["api_calls"] == server.org.api_calls


@airflow
@pytest.mark.parametrize(
    ("hours", "partitions"),
    [
        (24, [("2026-11-20", None), ("2026-11-21", None)]),
        (12, [("2026-11-20", "000000Z--120000Z"), ("2026-11-20", "120000Z--2026-11-21T000000Z")]),
    ],
    ids=["days", "hours"],
)
def test_windows_are_hive_partitions_to_their_readers(start_org, connections, make_dag, tmp_path, hours, partitions):
    server = start_org(now=MIDNIGHT + timedelta(days=2))
    connections(server)
    with make_dag(params={"since": "", "until": ""}) as dag:
        SalesforceExportTaskGroup(
            "contacts",
            destination=tmp_path.as_uri(),
            mode="incremental",
            since="{{ params.since }}",
            until="{{ params.until }}",
            output_format="parquet",
            partition_style="hive",
        )
    expected = {}
    for number, keys in enumerate(partitions):
        since, until = (MIDNIGHT + timedelta(hours=hours * (number + more)) for more in (0, 1))
        expected[server.org.insert("Contact", LastName="x", SystemModstamp=since)] = keys
        conf = {"since": since.isoformat(), "until": until.isoformat()}
        dag_run, _ = run(dag, logical_date=MORNING + timedelta(days=number), run_conf=conf)
        assert dag_run.state == "success"

    found = pyarrow.dataset.dataset(tmp_path / "contacts", partitioning="hive")
    rows = found.to_table().to_pylist()
    assert {row["Id"]: (row["ds"], row.get("window")) for row in rows} == expected
    window = "NULL" if hours == 24 else '"window"'
    with duckdb.connect() as duck:
        files = f"read_parquet('{tmp_path}/contacts/**/*.parquet', hive_partitioning = true)"
        rows = duck.sql(f"SELECT Id, ds, {window} FROM {files}").fetchall()
    assert {record: (str(day), window) for record, day, window in rows} == expected


@airflow
@pytest.mark.parametrize("style", ["plain", "hive"])
def test_changed_fields_are_reported_or_refused(start_org, connections, make_dag, tmp_path, style, capfd):
    server = start_org(contacts=20)
    connections(server)
    with make_dag(params={"then": "fail"}) as dag:
        SalesforceExportOperator(
            task_id="export",
            object_type=PEOPLE,
            destination=tmp_path.as_uri(),
            partition_style=style,
            on_schema_change="{{ params.then }}",
        )

    def export(days, then="fail"):
        """Return the state of the run of a day, and of its manifest what it says of changes."""
        dag_run, _ = run(dag, logical_date=MORNING + timedelta(days=days), run_conf={"then": then})
        manifests = sorted(tmp_path.rglob("*manifest.json"), key=lambda path: path.stat().st_mtime)
        return dag_run.state, json.loads(manifests[-1].read_bytes())["schema_change"], len(manifests)

    assert export(0) == ("success", None, 1)
    assert export(1) == ("success", None, 2)
    server.org.schema = Schema(OBJECTS, ("Contact.Phone",))

    state, _, manifests = export(2)
    assert (state, manifests) == ("failed", 2)
    shown = capfd.readouterr()
    assert "The fields are others than in" in shown.out + shown.err
    assert "gone: Phone. Nothing was read." in shown.out + shown.err

    state, change, manifests = export(2, "warn")
    assert (state, change["gone"], change["added"], change["changed"]) == ("success", ["Phone"], [], {})
    assert "2026-11-21" in change["since"]
    assert export(3) == ("success", None, 4)

    server.org.schema = Schema(OBJECTS)
    assert export(1) == ("success", None, 4)  # its own day has them all
    state, change, _ = export(4, "warn")
    assert (state, change["added"]) == ("success", ["Phone"])

    server.org.schema = Schema(OBJECTS, ("Contact.Email",))
    assert export(-1) == ("success", None, 6)  # no day is before it
