"""An S3 destination: a real moto server over HTTP."""

import json
import re
from datetime import timedelta
from uuid import uuid4

import pyarrow
import pyarrow.json
import pytest
from airflow.sdk import ObjectStoragePath
from moto.server import ThreadedMotoServer
from pyarrow import parquet
from s3fs import S3FileSystem

from airflow_provider_salesforce_export import SalesforceExportTaskGroup
from airflow_provider_salesforce_export.exceptions import InconsistentPagesError
from airflow_provider_salesforce_export.export.destination import files
from airflow_provider_salesforce_export.export.planning import make_plan
from airflow_provider_salesforce_export.export.publish import publish
from airflow_provider_salesforce_export.export.segments import export_segments
from airflow_provider_salesforce_export.operators import bulk_job
from tests.integration.conftest import end_jobs_by_looks, ids_in, request_for, run

pytestmark = [
    pytest.mark.usefixtures("airflow_database"),
    # aiobotocore leaves its HTTP session to the garbage collector.
    pytest.mark.filterwarnings("ignore:.*:pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def s3():
    """The address of an S3. One for all tests: Airflow keeps the file system of a connection for the process's life."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def lake(s3, monkeypatch):
    """A bucket of the test's own, behind the Airflow connection ``lake``."""
    connection = {
        "conn_type": "aws",
        "login": "access-key-id",
        "password": "secret-access-key",
        "extra": {"endpoint_url": s3, "region_name": "us-east-1"},
    }
    monkeypatch.setenv("AIRFLOW_CONN_LAKE", json.dumps(connection))
    bucket = ObjectStoragePath(f"s3://bucket-{uuid4().hex}/", conn_id="lake")
    bucket.fs.mkdir(bucket.path)
    return bucket


def to(bucket):
    """Return the arguments of an export into a folder of a bucket."""
    return {"destination": f"s3://{bucket.path.strip('/')}/crm", "destination_conn_id": "lake"}


def test_pages_and_manifest_lie_in_the_bucket(start_org, connections, make_dag, lake):
    server = start_org(contacts=2500)
    connections(server)
    with make_dag() as dag:
        SalesforceExportTaskGroup("contacts", **to(lake), page_size=500)

    dag_run, tasks = run(dag)

    assert dag_run.state == "success"
    (folder,) = (lake / "crm" / "contacts").iterdir()
    manifest = json.loads((folder / "manifest.json").read_bytes())
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        ["manifest.json", *(page["file"] for page in manifest["pages"])]
    )
    records = [
        record for page in manifest["pages"] for record in json.loads((folder / page["file"]).read_bytes())["data"]
    ]
    assert sorted(record["Id"] for record in records) == sorted(ids_in(server))
    summary = tasks["contacts.publish", -1].xcom_pull(task_ids="contacts.publish")
    assert summary["manifest"].startswith("s3://")


def test_a_second_run_of_the_partition_sweeps_the_first(start_org, connections, make_dag, lake):
    server = start_org(contacts=300)
    connections(server)
    with make_dag() as dag:
        SalesforceExportTaskGroup("contacts", **to(lake))

    first, _ = run(dag)
    (folder,) = (lake / "crm" / "contacts").iterdir()
    before = {path.name for path in folder.iterdir()}
    run(dag, logical_date=first.logical_date)

    (folder,) = (lake / "crm" / "contacts").iterdir()
    after = {path.name for path in folder.iterdir()}
    assert len(after) == len(before) == 2
    assert before & after == {"manifest.json"}


@pytest.mark.parametrize("output_format", ["jsonl", "parquet"])
def test_an_export_by_bulk_whose_first_job_failed_leaves_its_files_alone_in_the_bucket(
    start_org, connections, make_dag, lake, monkeypatch, output_format
):
    server = start_org(contacts=900, bulk_chunk_size=100)
    end_jobs_by_looks(server)
    connections(server)
    server.org.bulk_jobs.fail_next("odd")
    monkeypatch.setattr(bulk_job, "FIRST_DELAY", 0.2)
    with make_dag(default_args={"retries": 1, "retry_delay": timedelta(0)}) as dag:
        SalesforceExportTaskGroup("contacts", **to(lake), api="bulk", output_format=output_format)

    dag_run, tasks = run(dag)

    assert dag_run.state == "success"
    assert tasks["contacts.count", -1].try_number == 2
    (folder,) = (lake / "crm" / "contacts").iterdir()
    manifest = json.loads((folder / "manifest.json").read_bytes())
    found = pyarrow.concat_tables(read(folder / page["file"]) for page in manifest["pages"])
    assert sorted(found["Id"].to_pylist()) == sorted(ids_in(server))
    assert len(manifest["pages"]) == 9
    # Not the note of the job, which lay there before.
    assert set(files(folder)) == {"manifest.json", *(page["file"] for page in manifest["pages"])}
    assert (server.org.bulk_jobs.submitted, server.org.bulk_jobs.all()) == (2, [])


def read(path):
    content = pyarrow.BufferReader(path.read_bytes())
    return parquet.read_table(content) if path.suffix == ".parquet" else pyarrow.json.read_json(content)


def test_an_export_without_rows_writes_a_manifest_to_a_folder_that_is_not_there(start_org, connections, make_dag, lake):
    connections(start_org())
    with make_dag() as dag:
        SalesforceExportTaskGroup("contacts", **to(lake))

    dag_run, _ = run(dag)

    assert dag_run.state == "success"
    (folder,) = (lake / "crm" / "contacts").iterdir()
    assert [path.name for path in folder.iterdir()] == ["manifest.json"]


def test_what_another_worker_did_in_the_bucket_is_seen(start_org, client_of, lake):
    """The file system of a worker remembers what it once listed; here it is from before the later try."""
    client = client_of(start_org(contacts=300))
    folder = lake / "crm"
    plans = [make_plan(client, request_for(page_size=100), readers=4, run_id="run") for _ in range(2)]
    pages = [export_segments(client, plan, folder, threads=4, attempt=1) for plan in plans]
    files(folder)
    other_worker = S3FileSystem(**lake.fs.storage_options, skip_instance_cache=True)
    later = {"run": plans[1].run, "started_at": plans[1].started_at, "pages": pages[1]}
    other_worker.pipe_file(f"{folder.path}/manifest.json", json.dumps(later).encode())

    with pytest.raises(InconsistentPagesError, match="A later try of this DAG run has published"):
        publish(client, folder, plans[0], pages[0], api_calls=0)
    assert json.loads(other_worker.cat_file(f"{folder.path}/manifest.json")) == later


def test_a_missing_bucket_is_one_clear_error(start_org, connections, make_dag, lake, capfd):
    connections(start_org(contacts=10))
    with make_dag() as dag:
        SalesforceExportTaskGroup("contacts", destination="s3://nowhere/crm", destination_conn_id="lake")

    dag_run, _ = run(dag)

    assert dag_run.state == "failed"
    assert re.search(
        r"DestinationError: s3://lake@nowhere/crm.* cannot be written: The specified bucket", capfd.readouterr().out
    )
    assert not lake.fs.exists("nowhere")


def test_a_store_that_is_away_is_one_clear_error(start_org, connections, make_dag, lake, monkeypatch, capfd):
    connections(start_org(contacts=10))
    away = {"conn_type": "aws", "login": "x", "password": "y", "extra": {"endpoint_url": "http://127.0.0.1:9"}}
    monkeypatch.setenv("AIRFLOW_CONN_LAKE_AWAY", json.dumps(away))
    with make_dag() as dag:
        SalesforceExportTaskGroup("contacts", destination="s3://lake/crm", destination_conn_id="lake_away")

    dag_run, _ = run(dag)

    assert dag_run.state == "failed"
    assert re.search(
        r"DestinationError: s3://lake_away@lake/crm.* cannot be read: Could not connect", capfd.readouterr().out
    )
