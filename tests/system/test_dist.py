"""The wheel in a clean environment, far from any checkout: what a user has who installs a release."""

import json
import os
import re
import subprocess
import sys
from email import message_from_bytes
from zipfile import ZipFile

import pytest
import requests

from airflow_provider_salesforce_export.demo.surroundings import running
from airflow_provider_salesforce_export.demo.ui import server_settings
from airflow_provider_salesforce_export.sandbox.ports import free_port
from airflow_provider_salesforce_export.version import __version__
from tests.integration.api_server import PREFIX
from tests.system.conftest import ROOT, Airflow, wait_until

PACKAGE = "airflow_provider_salesforce_export"
UV = [sys.executable, "-m", "uv"]
CONSTRAINTS = ROOT / "constraints.txt"

pytestmark = pytest.mark.timeout(1800)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from the sdist as ``make dist`` does."""
    folder = tmp_path_factory.mktemp("dist")
    build = [*UV, "build", "--quiet", "--build-constraints", CONSTRAINTS, "--out-dir", folder, ROOT]
    subprocess.run(build, check=True)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory):
    """The Python of a clean environment with the wheel."""
    python = tmp_path_factory.mktemp("clean") / "bin" / "python"
    subprocess.run([*UV, "venv", "--quiet", "--python", sys.executable, python.parents[1]], check=True)
    install = [*UV, "pip", "install", "--quiet", "--python", python, "--constraint", CONSTRAINTS, f"{wheel}[sandbox]"]
    subprocess.run(install, check=True)
    return str(python)


@pytest.fixture(scope="module")
def environment():
    """The environment of somebody who has set nothing of Airflow's."""
    unwanted = re.compile("AIRFLOW|PYTHON|VIRTUAL_ENV")
    return {name: value for name, value in os.environ.items() if not unwanted.match(name)}


@pytest.fixture(scope="module")
def demo(python, environment, tmp_path_factory):
    """What the demo showed, and the folder that it was started in, which was empty."""
    folder = tmp_path_factory.mktemp("empty")
    command = [python, "-m", f"{PACKAGE}.demo"]
    ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=1200)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout, folder


def files_in(folder):
    files = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(folder).as_posix() for path in files}


def test_the_wheel_holds_the_whole_package_and_the_example_dags(wheel):
    with ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}

    package = {f"{PACKAGE}/{name}" for name in files_in(ROOT / PACKAGE)}
    assert packed == package | {f"{PACKAGE}/example_dags/{name}" for name in files_in(ROOT / "dags")}
    static = {f"{PACKAGE}/plugin/static/{name}" for name in ("page.js", "icon.svg", "icon-dark.svg")}
    assert {f"{PACKAGE}/py.typed", *static} <= packed


def test_the_description_leads_to_no_file_that_a_package_index_has_not(wheel):
    with ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = message_from_bytes(archive.read(name))
    description = metadata.get_payload()

    assert metadata["Description-Content-Type"] == "text/markdown"
    assert description.startswith("# airflow-provider-salesforce-export")
    assert "The documentation begins at docs/index.md" in description
    targets = re.findall(r"\[[^\]]*\]\(([^)]*)\)", description)
    assert [target for target in targets if not target.startswith("https://")] == []
    assert "docs/images" not in description


def test_the_demo_runs_from_the_installed_package_in_an_empty_folder(demo, python):
    shown, folder = demo

    assert "Every record of the org is there exactly once" in shown
    assert f"{python} -m {PACKAGE}.demo.ui" in shown
    assert sorted(path.parts[-3] for path in folder.glob(".demo/demo/pages/*/*/manifest.json")) == [
        "contacts",
        "deals",
        "notes",
    ]


def test_airflow_lists_the_provider_serves_its_form_and_mounts_its_plugin(demo, python, environment):
    _, folder = demo
    port = free_port()
    settings = environment | server_settings(port) | {"AIRFLOW_HOME": str(folder / ".demo" / "demo" / "airflow")}
    url = f"http://127.0.0.1:{port}"

    with (folder / "api-server.log").open("w") as log:
        command = [python, "-m", "airflow", "api-server"]
        with running(command, cwd=folder, env=settings, stdout=log, stderr=log) as server:
            listing = [python, "-m", "airflow", "providers", "list", "--output", "json"]
            listed = subprocess.run(listing, cwd=folder, env=settings, capture_output=True, text=True, check=True)
            wait_until(lambda: answers(url, server), seconds=300)
            api = Airflow(url)
            form = {hook["connection_type"]: hook for hook in api.session.get(f"{url}/ui/connections/hook_meta").json()}
            plugins = {plugin["name"]: plugin for plugin in api.get("plugins")["plugins"]}
            script = api.session.get(f"{url}{PREFIX}/static/page.js")
            keys = api.session.get(f"{url}{PREFIX}/connections")

    providers = {provider["package_name"]: provider["version"] for provider in json.loads(listed.stdout)}
    assert providers["airflow-provider-salesforce-export"] == __version__
    assert "grant_type" in form["salesforce_export"]["extra_fields"]
    assert plugins["salesforce_export"]["react_apps"][0]["name"] == "Salesforce"
    assert script.status_code == 200
    assert "javascript" in script.headers["Content-Type"]
    assert keys.status_code == 200, keys.text


def answers(url, server):
    """Return whether the API server answers; it must not have ended."""
    assert server.poll() is None, "the API server has ended"
    try:
        return requests.get(f"{url}/api/v2/version", timeout=10).ok
    except requests.ConnectionError:
        return False
