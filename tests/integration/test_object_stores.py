"""Exports to real servers of S3, Google Cloud Storage and Azure Blob Storage, which also fail in the middle."""

import json
import os
import re
from uuid import uuid4

import pytest
from airflow.sdk import ObjectStoragePath

from airflow_provider_salesforce_export import SalesforceExportTaskGroup
from airflow_provider_salesforce_export.exceptions import DestinationError
from airflow_provider_salesforce_export.export import destination
from airflow_provider_salesforce_export.export.planning import make_plan
from airflow_provider_salesforce_export.export.publish import publish
from airflow_provider_salesforce_export.export.segments import export_segments
from airflow_provider_salesforce_export.lineage import datasets
from airflow_provider_salesforce_export.operators.links import ExportFolderLink
from tests.integration.conftest import ids_in, request_for, run
from tests.integration.object_stores import AZURE_ACCOUNT, running_azure, running_gcs, running_s3

pytestmark = [
    pytest.mark.timeout(1200),  # the first test of Azure fetches its server
    pytest.mark.usefixtures("airflow_database"),
    # aiohttp, below all three, leaves sessions to the garbage collector.
    pytest.mark.filterwarnings("ignore:.*:pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore:Sending a large body directly:ResourceWarning"),  # Azure's client, 4 MB at once
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of Google's and Azure's libraries
]

STORES = {"s3": running_s3, "gs": running_gcs, "abfs": running_azure}
IN_PARTS = os.urandom(1024) * (110 * 1024)
"""What none of the clients sends in one request: they begin with parts at 50, 64 and 100 MB."""


@pytest.fixture(scope="module", params=STORES)
def store(request):
    """A store: its scheme, and the Airflow connection to it."""
    with STORES[request.param]() as connection:
        yield request.param, connection


@pytest.fixture
def lake(store, monkeypatch):
    """A bucket of the test's own, behind the Airflow connection ``lake_{scheme}``."""
    scheme, connection = store
    # Google's client would ask a real server, by gRPC, of which kind the bucket is.
    monkeypatch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
    monkeypatch.setenv(f"AIRFLOW_CONN_LAKE_{scheme.upper()}", json.dumps(connection))
    bucket = ObjectStoragePath(f"{scheme}://bucket-{uuid4().hex}/", conn_id=f"lake_{scheme}")
    bucket.fs.mkdir(bucket.path.strip("/"))
    return bucket


@pytest.fixture
def refuse_second_part(store, monkeypatch):
    """Have the store refuse the second part of each file that comes in parts."""

    def refuse(error, is_part=lambda *args, **_: True):
        def refusing(call):
            calls = []

            async def answer(*args, **kwargs):
                if is_part(*args, **kwargs):
                    calls.append(call)
                    if len(calls) == 2:
                        raise error
                return await call(*args, **kwargs)

            return answer

        return refusing

    def s3():
        from botocore.exceptions import ClientError
        from s3fs import S3FileSystem

        error = ClientError({"Error": {"Code": "InternalError", "Message": "Refused"}}, "UploadPart")
        refusing = refuse(error, lambda _fs, method, *_args, **_: method == "upload_part")
        monkeypatch.setattr(S3FileSystem, "_call_s3", refusing(S3FileSystem._call_s3))

    def gs():
        from gcsfs import core
        from gcsfs.retry import HttpError

        refusing = refuse(HttpError({"code": 403, "message": "Refused"}))
        monkeypatch.setattr(core, "upload_chunk", refusing(core.upload_chunk))

    def abfs():
        from azure.core.exceptions import HttpResponseError
        from azure.storage.blob._generated.aio.operations import BlockBlobOperations

        refusing = refuse(HttpResponseError("Refused"))
        monkeypatch.setattr(BlockBlobOperations, "stage_block", refusing(BlockBlobOperations.stage_block))

    return {"s3": s3, "gs": gs, "abfs": abfs}[store[0]]


def in_order(folder):
    """Return the manifest in a folder, and the Ids in the files that it names."""
    manifest = json.loads(destination.read(folder / "manifest.json"))
    pages = [json.loads(destination.read(folder / page["file"])) for page in manifest["pages"]]
    return manifest, [record["Id"] for page in pages for record in page["data"]]


def test_pages_and_manifest_lie_in_the_bucket_and_a_second_run_sweeps_them(
    start_org, connections, make_dag, lake, store
):
    server = start_org(contacts=1200)
    connections(server)
    scheme, _ = store
    with make_dag() as dag:
        SalesforceExportTaskGroup(
            "contacts",
            destination=f"{scheme}://{lake.path.strip('/')}/crm",
            destination_conn_id=f"lake_{scheme}",
            page_size=500,
        )

    first, _ = run(dag)
    before, exported = in_order(next((lake / "crm" / "contacts").iterdir()))
    again, tasks = run(dag, logical_date=first.logical_date)

    assert (first.state, again.state) == ("success", "success")
    assert exported == sorted(ids_in(server))
    (folder,) = (lake / "crm" / "contacts").iterdir()
    after, exported = in_order(folder)
    assert exported == sorted(ids_in(server))
    if scheme == "gs":
        address = f"https://console.cloud.google.com/storage/browser/{folder.path.strip('/')}"
        assert {
            task.xcom_pull(task_ids=task.task_id, map_indexes=task.map_index, key=ExportFolderLink().xcom_key)
            for task in tasks.values()
        } == {address}
    names = {page["file"] for page in after["pages"]}
    assert not names & {page["file"] for page in before["pages"]}
    assert set(destination.files(folder)) == {"manifest.json", *names}


def test_openlineage_has_a_name_for_the_bucket(lake, store):
    bucket, folder = lake.path.strip("/"), f"{store[0]}://{lake.path.strip('/')}/crm/contacts"

    named = datasets("Contact", instance_url="https://acme.my.salesforce.com", export_uri=folder, folder=lake / "crm")

    stores = {"abfs": f"abfss://{bucket}@{AZURE_ACCOUNT}.dfs.core.windows.net"}
    assert named["output"] == [stores.get(store[0], f"{store[0]}://{bucket}"), "crm/contacts"]


def test_the_files_of_a_run_under_way_are_not_swept(start_org, client_of, lake):
    client = client_of(start_org(contacts=300))
    folder = lake / "crm"
    plans = [make_plan(client, request_for(page_size=100), readers=4, run_id=run_id) for run_id in ("one", "two")]
    pages = [export_segments(client, plan, folder, threads=4, attempt=1) for plan in plans]

    publish(client, folder, plans[0], pages[0], api_calls=0)

    assert {page["file"] for page in pages[1]} <= set(destination.files(folder))


@pytest.mark.parametrize("name", ["page-00001.json", "manifest.json"])
def test_a_file_of_which_a_part_is_refused_is_not_there(lake, refuse_second_part, name):
    refuse_second_part()

    with pytest.raises(DestinationError, match=rf"{name} cannot be written: "):
        destination.write(lake / "crm" / name, IN_PARTS)

    assert destination.files(lake / "crm") == {}
    # Under another name: gcp-storage-emulator cannot drop an upload, and keeps what it has of the first.
    destination.write(lake / "crm" / f"again-{name}", IN_PARTS)
    assert destination.read(lake / "crm" / f"again-{name}") == IN_PARTS


def test_where_a_write_fails_the_manifest_before_stays(lake, refuse_second_part):
    path = lake / "crm" / "manifest.json"
    destination.write(path, b"before")
    refuse_second_part()

    with pytest.raises(DestinationError, match=r"manifest\.json cannot be written: "):
        destination.write(path, IN_PARTS)

    assert destination.read(path) == b"before"


def test_a_missing_bucket_is_one_clear_error(lake, store):
    nowhere = ObjectStoragePath(f"{store[0]}://nowhere/crm/page.json", conn_id=f"lake_{store[0]}")

    with pytest.raises(DestinationError, match=re.escape("nowhere/crm/page.json cannot be written: ")):
        destination.write(nowhere, b"page")

    assert destination.files(nowhere.parent) == {}
