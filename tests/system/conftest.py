"""Starting ``make demo`` and ``make ui`` as a newcomer does, and Airflow's REST API for what runs then."""

import os
import re
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

ROOT = Path(__file__).parents[2]


@pytest.fixture
def checkout(tmp_path):
    """An empty folder with the DAGs, from which the demo is started."""
    (tmp_path / "dags").symlink_to(ROOT / "dags")
    return tmp_path


@contextmanager
def started(module, folder):
    """Start a module as make does; whatever happens, nothing of it is left at the end."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    command = [sys.executable, "-m", f"airflow_provider_salesforce_export.{module}"]
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=300)


def read_until(process, pattern):
    """Return what a process prints up to a line with the pattern."""
    shown = ""
    for line in process.stdout:
        shown += line
        if re.search(pattern, line):
            return shown
    raise AssertionError(f"{pattern!r} was never printed:\n{shown}")


def wait_until(condition, seconds=600):
    """Wait for a condition: seconds on an idle machine, minutes on a busy one."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.5)


class Airflow:
    """Airflow's REST API."""

    def __init__(self, url):
        self.url = url
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {requests.get(f'{url}/auth/token').json()['access_token']}"

    def get(self, path, **parameters):
        return self._checked(self.session.get(f"{self.url}/api/v2/{path}", params=parameters))

    def post(self, path, body):
        return self._checked(self.session.post(f"{self.url}/api/v2/{path}", json=body))

    def delete(self, path):
        assert self.session.delete(f"{self.url}/api/v2/{path}").ok

    @staticmethod
    def _checked(response):
        assert response.ok, response.text
        return response.json()
