"""What the demo and the UI run in: a mongod with a key in it, a Salesforce org, and an Airflow of their own."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from pymongo import MongoClient

from airflow_provider_salesforce_export.demo import sqlite
from airflow_provider_salesforce_export.key_collection.collection import DEFAULT_COLLECTION, KeyCollection
from airflow_provider_salesforce_export.key_collection.encryption import KeyEncryption
from airflow_provider_salesforce_export.key_collection.key import Account
from airflow_provider_salesforce_export.sandbox import SandboxServer
from airflow_provider_salesforce_export.sandbox.mongod import mongo_connection, running_mongod

if TYPE_CHECKING:
    from airflow_provider_salesforce_export.sandbox import SandboxOrg, SandboxSettings

FOLDER = Path(".demo")
_PACKAGE = Path(__file__).parents[1]
IN_CHECKOUT = not (_PACKAGE / "example_dags").is_dir()
EXAMPLE_DAGS = _PACKAGE.parent / "dags" if IN_CHECKOUT else _PACKAGE / "example_dags"
"""The wheel carries the example DAGs within the package: see pyproject.toml."""
OWN_DAGS = Path("dags")
DATABASE = "salesforce_export_demo"
"""Not the default database: MONGO_URI may name a MongoDB with keys that matter."""

Connection = dict[str, Any] | str
"""An Airflow connection, as plain data or as a URI."""

_STOP_TIMEOUT = 30.0  # seconds


class DemoError(Exception):
    """Something did not go as it should; the text says what."""


@dataclass(frozen=True)
class Surroundings:
    """
    What has been started.

    :param org: The Salesforce org.
    :param connections: Airflow connections by id.
    :param mongo_hosts: Where the MongoDB is, to be shown.
    :param environment: Environment variables for Airflow's commands.
    :param pages: The folder that the pages go to.
    """

    org: SandboxOrg
    connections: dict[str, Connection]
    mongo_hosts: str
    environment: dict[str, str]
    pages: Path


@contextmanager
def surroundings(name: str, org_settings: SandboxSettings | None = None) -> Iterator[Surroundings]:
    """
    Start a mongod and an org, store a key as a login would have, and prepare an Airflow.

    :param name: The folder of Airflow and the pages, below ``.demo``.
    :param org_settings: Size and behaviour of the org; its defaults if None.
    """
    home = (FOLDER / name).resolve()
    home.mkdir(parents=True, exist_ok=True)
    with running_mongod() as mongo_uri, SandboxServer(org_settings) as server:
        settings = server.settings
        with MongoClient[dict[str, Any]](mongo_uri) as mongo:
            keys = KeyCollection(mongo[DATABASE][DEFAULT_COLLECTION], KeyEncryption((), settings.client_secret))
            account = Account(settings.client_id, server.url.partition("://")[2])
            keys.save(account, server.org.issue_token())
            mongo_hosts = ", ".join(f"{host}:{port}" for host, port in mongo.nodes)
        connections: dict[str, Connection] = {
            "salesforce_export_default": {
                "conn_type": "salesforce_export",
                "host": server.url,
                "port": 443,
                "login": settings.client_id,
                "password": settings.client_secret,
                "extra": {"key_database": DATABASE},
            },
            "mongo_default": mongo_connection(mongo_uri),
        }
        pages = home / "pages"
        yield Surroundings(server.org, connections, mongo_hosts, _environment(home, pages), pages)


def airflow(*arguments: str) -> list[str]:
    """Return the command line of an Airflow command in this Python."""
    return [sys.executable, "-m", "airflow", *arguments]


def run_airflow(*arguments: str, environment: dict[str, str], log: IO[str]) -> None:
    """
    Run an Airflow command to its end.

    :param arguments: What follows the word ``airflow``.
    :param environment: Its environment variables.
    :param log: Where its output goes.
    :raises DemoError: It failed.
    """
    log.flush()
    if subprocess.run(airflow(*arguments), env=environment, stdout=log, stderr=log, check=False).returncode:
        raise DemoError(f"airflow {' '.join(arguments[:2])} failed.")


def prepare_database(environment: dict[str, str], log: IO[str]) -> None:
    """
    Create Airflow's database, and let it be read while it is written.

    :param environment: Airflow's environment variables.
    :param log: Where Airflow's output goes.
    :raises DemoError: Airflow failed.
    """
    run_airflow("db", "migrate", environment=environment, log=log)
    with closing(sqlite3.connect(Path(environment["AIRFLOW_HOME"]) / "airflow.db")) as database:
        database.execute("PRAGMA journal_mode=WAL")


@contextmanager
def running(command: list[str], **options: Any) -> Iterator[subprocess.Popen[str]]:
    """
    Run a command in a process group of its own, which ends with the block, however the block ends.

    :param command: The command line.
    :param options: As for subprocess.Popen.
    """
    process = subprocess.Popen(command, text=True, start_new_session=True, **options)
    try:
        yield process
    finally:
        _end_group(process)


def _end_group(process: subprocess.Popen[str]) -> None:
    """End a process and all that it has started, and wait until none is left."""
    deadline = time.monotonic() + _STOP_TIMEOUT
    stop: int = signal.SIGTERM
    with suppress(ProcessLookupError):
        while True:
            os.killpg(process.pid, stop)
            process.poll()
            time.sleep(0.2)
            stop = 0 if time.monotonic() < deadline else signal.SIGKILL  # 0 asks whether there is anybody left
    process.wait()


def _environment(home: Path, pages: Path) -> dict[str, str]:
    dags = OWN_DAGS.resolve() if OWN_DAGS.is_dir() else EXAMPLE_DAGS
    return os.environ | {
        # airflow standalone looks for the command airflow; this Python's own comes first.
        "PATH": os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", "")]),
        "AIRFLOW_HOME": str(home / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        # On a busy machine SQLite's own 5 seconds of patience are too few for four writers.
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow' / 'airflow.db'}?timeout=60",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONNECT_ARGS": f"{sqlite.__name__}.CONNECT_ARGS",
        "AIRFLOW__LOGGING__JSON_LOGS": "True",
        "SALESFORCE_EXPORT_DESTINATION": pages.as_uri(),
        "SALESFORCE_EXPORT_SQLITE": str(home / "salesforce.sqlite"),
        # Airflow warns where it is not installed; nothing here draws with it. What comes last counts first.
        "PYTHONWARNINGS": ",".join(filter(None, [os.getenv("PYTHONWARNINGS"), "ignore:Could not import graphviz"])),
    }


def as_environment(connections: dict[str, Connection]) -> dict[str, str]:
    """
    Return connections as the environment variables in which Airflow looks for them.

    :param connections: By id.
    """
    return {
        f"AIRFLOW_CONN_{conn_id.upper()}": value if isinstance(value, str) else json.dumps(value)
        for conn_id, value in connections.items()
    }
