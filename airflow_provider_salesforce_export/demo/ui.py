"""``make ui``: Airflow with its UI, connected to a local Salesforce org, until Ctrl-C."""

from __future__ import annotations

import json
import os
import secrets
import shlex
import sys
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

import requests

from airflow_provider_salesforce_export.demo.command import console, run_command
from airflow_provider_salesforce_export.demo.surroundings import (
    FOLDER,
    OWN_DAGS,
    DemoError,
    Surroundings,
    airflow,
    prepare_database,
    run_airflow,
    running,
    surroundings,
)
from airflow_provider_salesforce_export.sandbox import SandboxSettings
from airflow_provider_salesforce_export.sandbox.__main__ import DEFAULT_PORT as ORG_PORT
from airflow_provider_salesforce_export.sandbox.ports import free_port

if TYPE_CHECKING:
    import subprocess

LOG = FOLDER / "ui.log"
SHELL_SETTINGS = FOLDER / "ui.env"
AIRFLOW_PORT = 8080
_START_TIMEOUT = 600.0  # seconds; a busy machine has taken more than 180


def main() -> int:
    """Run Airflow and what it needs until Ctrl-C, and return the exit status."""
    return run_command(_serve, LOG, status_when_stopped=0)


def _serve(log: IO[str]) -> None:
    console.print("[bold]Starting a MongoDB and a Salesforce org on this machine ...[/]")
    with surroundings("ui", SandboxSettings(port=_port(ORG_PORT))) as around:
        port = _port(AIRFLOW_PORT)
        environment = around.environment | server_settings(port)
        console.print("[bold]Preparing Airflow's database ...[/]")
        _prepare(around, environment, log)
        _write_shell_settings(environment)
        console.print("[bold]Starting Airflow (about 15 seconds) ...[/]")
        with running_server(environment, port, log) as process:
            _greet(around, port)
            process.wait()
            raise DemoError("Airflow ended by itself.")


def _greet(around: Surroundings, port: int) -> None:
    console.print(
        f"\n  Airflow      [bold]http://127.0.0.1:{port}[/]  no login needed: everybody on this machine is admin"
    )
    console.print(f"  Its page     http://127.0.0.1:{port}/plugin/salesforce  log in, test, disconnect")
    console.print(f"  Salesforce   {around.org.url}  the org on this machine; its page tells consumer key and secret")
    console.print(f"  Pages        {around.pages}")
    console.print(f"  Log          {LOG}")
    if OWN_DAGS.is_dir():
        console.print("  DAGs         dags/; one of your own is loaded within a minute")
    else:
        console.print("  DAGs         the examples of the package; a folder dags here would take their place")
    console.print(f"  Commands     . {SHELL_SETTINGS}    in another terminal; then: airflow salesforce-export keys")
    console.print("\nThe DAGs that export have begun their first scheduled runs.", end=" ")
    console.print("Trigger salesforce_contacts, salesforce_deals or salesforce_notes. Ctrl-C stops everything.")


@contextmanager
def running_server(environment: dict[str, str], port: int, log: IO[str]) -> Iterator[subprocess.Popen[str]]:
    """
    Run Airflow's API with the UI, scheduler, DAG processor and triggerer, from when they are ready to the block's end.

    :param environment: Environment variables, :func:`server_settings` among them.
    :param port: The port in these.
    :param log: Where Airflow's output goes.
    :raises DemoError: Airflow did not start.
    """
    with running(airflow("standalone"), env=environment, stdout=log, stderr=log) as process:
        _wait_until_healthy(process, port)
        yield process


def server_settings(port: int) -> dict[str, str]:
    """
    Return how Airflow's server is configured, as environment variables; each call makes new secrets.

    :param port: The port of the API and the UI.
    """
    return {
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{port}",
        "AIRFLOW__API__WORKERS": "1",
        # Airflow generates ones that are too short for its own algorithm, and warns with every token.
        "AIRFLOW__API__SECRET_KEY": secrets.token_hex(64),
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(64),
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__PARALLELISM": "4",  # more, and SQLite is locked
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "30",
        "AIRFLOW__LOGGING__JSON_LOGS": "False",
        # Those of another Airflow on this machine would show its logs, or none.
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
        # The scheduler is ready before the API server is; the first tasks would not wait for it on a busy machine.
        "AIRFLOW__WORKERS__EXECUTION_API_RETRIES": "30",
        "AIRFLOW__WORKERS__EXECUTION_API_RETRY_WAIT_MAX": "10",
        "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "60",
        "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
    }


def _prepare(around: Surroundings, environment: dict[str, str], log: IO[str]) -> None:
    """Store the connections where the UI shows them; environment variables would work, but stay unseen."""
    connections = FOLDER / "ui" / "connections.json"
    connections.touch(mode=0o600)
    connections.write_text(json.dumps(around.connections))
    prepare_database(environment, log)
    run_airflow("connections", "import", "--overwrite", str(connections), environment=environment, log=log)


def _write_shell_settings(environment: dict[str, str]) -> None:
    """Let a shell run Airflow's commands against this Airflow, with the DAGs and settings that its server has."""
    ours = {name: value for name, value in environment.items() if os.environ.get(name) != value}
    lines = [f"export {name}={shlex.quote(value)}\n" for name, value in ours.items() if name != "PATH"]
    scripts = shlex.quote(sysconfig.get_path("scripts"))
    SHELL_SETTINGS.touch(mode=0o600)
    SHELL_SETTINGS.chmod(0o600)  # where it stood there
    SHELL_SETTINGS.write_text("".join([*lines, f'export PATH={scripts}:"$PATH"\n']), encoding="utf-8")


def _wait_until_healthy(process: subprocess.Popen[str], port: int) -> None:
    deadline = time.monotonic() + _START_TIMEOUT
    while not _is_healthy(port):
        if process.poll() is not None:
            raise DemoError("Airflow ended by itself while it started.")
        if time.monotonic() > deadline:
            raise DemoError(f"Airflow was not ready in {_START_TIMEOUT:.0f} seconds.")
        time.sleep(0.5)


def _is_healthy(port: int) -> bool:
    try:
        health = requests.get(f"http://127.0.0.1:{port}/api/v2/monitor/health", timeout=5).json()
    except requests.RequestException:
        return False
    return all(health[component]["status"] == "healthy" for component in ("metadatabase", "scheduler", "dag_processor"))


def _port(wanted: int) -> int:
    port = free_port(wanted)
    if port != wanted:
        console.print(f"  Port {wanted} is taken: using another one.")
    return port


if __name__ == "__main__":
    sys.exit(main())
