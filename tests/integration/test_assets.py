"""The event of a published export, and the example DAG that loads what it names."""

import json
import sqlite3
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.models.asset import AssetEvent
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Param
from airflow.sdk.exceptions import AirflowFailException
from airflow.utils.session import create_session
from sqlalchemy import select

from airflow_provider_salesforce_export import SalesforceExportOperator, SalesforceExportTaskGroup, export_asset
from tests.integration.conftest import Export, ids_in, run

pytestmark = pytest.mark.usefixtures("airflow_database")

DAGS = Path(__file__).parents[2] / "dags"
DAY = datetime(2026, 11, 17, tzinfo=timezone.utc)
"""The window of the first of these runs, which are triggered by hand on the mornings after."""
RUNS = [datetime(2026, 11, day, 8, tzinfo=timezone.utc) for day in (18, 19)]


def events_of(dag):
    """Return the events of a DAG's tasks, oldest first: URI of the asset, and what they tell."""
    with create_session() as session:
        found = session.scalars(
            select(AssetEvent).where(AssetEvent.source_dag_id == dag.dag_id).order_by(AssetEvent.id)
        ).all()
        return [(event.asset.uri, event.extra) for event in found]


@pytest.mark.parametrize("task", [SalesforceExportTaskGroup, SalesforceExportOperator])
@pytest.mark.parametrize("destination", ["{folder}", "{{{{ params.destination }}}}"])
def test_each_published_export_is_one_event_of_the_same_asset(
    task, destination, start_org, connections, make_dag, tmp_path
):
    server = start_org(contacts=2500)
    connections(server)
    words = {"destination": destination.format(folder=tmp_path.as_uri()), "mode": "incremental"}
    with make_dag(params={"destination": Param(tmp_path.as_uri())}) as dag:
        if task is SalesforceExportTaskGroup:
            task("contacts", **words)
        else:
            task(task_id="export", object_type="contacts", **words)

    for logical_date in RUNS:
        dag_run, _ = run(dag, logical_date=logical_date)
        assert dag_run.state == "success"

    folders = sorted((tmp_path / "contacts").iterdir())
    assert len(folders) == 2
    for (uri, extra), folder in zip(events_of(dag), folders, strict=True):
        manifest = Export(folder).manifest
        assert uri == f"{tmp_path.as_uri()}/contacts"
        assert extra == {
            "rows": manifest["rows"],
            "pages": len(manifest["pages"]),
            "bytes": manifest["bytes"],
            "manifest": f"{folder.as_uri()}/manifest.json",
            "window": f"{manifest['window']['start']}/{manifest['window']['end']}",
        }


def test_an_export_that_fails_is_no_event(start_org, connections, make_dag, tmp_path):
    server = start_org(contacts=50)
    connections(server)
    with make_dag() as dag:
        SalesforceExportTaskGroup("contacts", destination=tmp_path.as_uri())
    server.org.fail_next(times=100, status=400, path_pattern=r"OFFSET|ORDER")

    dag_run, _ = run(dag)

    assert dag_run.state == "failed"
    assert events_of(dag) == []


@pytest.fixture(scope="module")
def loading():
    dag = DagBag(dag_folder=str(DAGS / "salesforce_load_contacts.py")).dags["salesforce_load_contacts"]
    dag.get_task("load").retries = 0  # dag.test() would wait for them
    return dag


@pytest.fixture
def load(loading, tmp_path):
    """Load an export as one does by hand."""

    def load(manifest):
        dag_run, tasks = run(loading, run_conf={"manifest": manifest.as_uri(), "database": str(tmp_path / "sqlite")})
        return dag_run.state, tasks["load", -1].xcom_pull(task_ids="load")

    return load


def loaded(tmp_path, columns='"Id"'):
    with closing(sqlite3.connect(tmp_path / "sqlite")) as database:
        return sorted(database.execute(f"SELECT {columns} FROM contacts"))


@pytest.mark.parametrize(
    ("output_format", "compression"),
    [("json", None), ("json", "gzip"), ("jsonl", "zstd"), ("csv", None), ("csv", "gzip"), ("parquet", "zstd")],
)
def test_the_example_loads_every_format_once_however_often_it_runs(
    output_format, compression, start_org, connections, make_dag, load, tmp_path, caplog
):
    server = start_org(contacts=500)
    connections(server)
    with make_dag() as dag:
        SalesforceExportTaskGroup(
            "contacts",
            destination=tmp_path.as_uri(),
            page_size=100,
            output_format=output_format,
            compression=compression,
            include_deleted=True,
        )
    run(dag, logical_date=RUNS[0])
    (manifest,) = tmp_path.glob("contacts/*/manifest.json")
    stray = next(file for file in manifest.parent.iterdir() if file.name.startswith("page-00001"))
    (manifest.parent / stray.name.replace("page-00001", "page-99999")).write_bytes(stray.read_bytes())

    for _ in range(2):
        assert load(manifest) == ("success", {manifest.as_uri(): len(ids_in(server, deleted=True))})
    assert f"Loaded {len(ids_in(server, deleted=True))} rows into the table contacts, as _partition" in caplog.text

    with server.org.store.reading() as connection:
        held = connection.execute('SELECT Id, Name, IsDeleted FROM "Contact"').fetchall()
    assert loaded(tmp_path, '"Id", "Name", "IsDeleted"') == sorted(held)
    ((partition, named, accounts),) = loaded(tmp_path, 'DISTINCT _partition, count("Name"), count("Account.Name") > 0')
    assert (partition, named, accounts) == ("2026-11-18T080000Z", len(held), 1)


def test_a_window_that_was_exported_anew_is_replaced_and_the_others_stay(
    start_org, connections, make_dag, load, tmp_path
):
    server = start_org(contacts=0)
    connections(server)
    org = server.org
    first, second, third = (
        org.insert("Contact", LastName=f"Contact {hour}", SystemModstamp=DAY.replace(day=17 + late, hour=hour))
        for hour, late in ((1, 0), (2, 0), (3, 1))
    )
    with make_dag() as dag:
        SalesforceExportTaskGroup("contacts", destination=tmp_path.as_uri(), mode="incremental")
    for logical_date in RUNS:
        run(dag, logical_date=logical_date)
    early, late = sorted(tmp_path.glob("contacts/*/manifest.json"))
    for manifest in (early, late):
        load(manifest)
    assert loaded(tmp_path) == sorted([(first,), (second,), (third,)])

    org.delete("Contact", first)
    run(dag, logical_date=RUNS[0])
    load(early)

    assert loaded(tmp_path) == sorted([(second,), (third,)])


def test_a_page_that_was_cut_is_not_loaded_and_what_was_loaded_stays(start_org, connections, make_dag, load, tmp_path):
    server = start_org(contacts=500)
    connections(server)
    with make_dag() as dag:
        SalesforceExportTaskGroup("contacts", destination=tmp_path.as_uri(), page_size=100, output_format="jsonl")
    run(dag)
    (manifest,) = tmp_path.glob("contacts/*/manifest.json")
    load(manifest)
    page = manifest.with_name(json.loads(manifest.read_bytes())["pages"][-1]["file"])
    page.write_bytes(page.read_bytes().rpartition(b'{"Id"')[0])

    assert load(manifest) == ("failed", None)

    assert [row[0] for row in loaded(tmp_path)] == sorted(ids_in(server))


def test_a_mapped_operator_is_an_event_where_another_dag_waits_for_its_folder(
    start_org, connections, make_dag, tmp_path
):
    server = start_org(contacts=50)
    connections(server)
    waited_for, other = ((tmp_path / name).as_uri() for name in ("waited_for", "other"))
    with DAG("waits", schedule=export_asset("contacts", waited_for)) as waiting:
        EmptyOperator(task_id="work")
    run(waiting)
    with make_dag() as dag:
        exporting = SalesforceExportOperator.partial(task_id="export", object_type="contacts")
        exporting.expand(destination=[waited_for, other])

    dag_run, _ = run(dag)

    assert dag_run.state == "success"
    assert [uri for uri, _ in events_of(dag)] == [f"{waited_for}/contacts"]


def test_a_run_by_hand_without_a_manifest_says_what_to_do(loading, tmp_path, monkeypatch):
    dag_run, _ = run(loading, run_conf={"database": str(tmp_path / "sqlite")})

    assert dag_run.state == "failed"
    load = loading.get_task("load").python_callable
    by_hand = {"params": {"manifest": None}, "triggering_asset_events": {}}
    monkeypatch.setitem(load.__globals__, "get_current_context", lambda: by_hand)
    with pytest.raises(AirflowFailException, match="trigger it with the URL of a manifest"):
        load()
