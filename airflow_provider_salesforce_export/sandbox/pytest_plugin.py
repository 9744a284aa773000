"""
Fixtures to test DAGs against a Salesforce org on this machine; pytest loads them wherever this package is installed.

Nothing but pytest is imported before a test asks for a fixture: most of those who have this package never do. The
fixtures need the extra ``sandbox``, and those of connections a MongoDB: see
:mod:`airflow_provider_salesforce_export.sandbox.mongod` for where it comes from. ``docs/recipes.md`` shows their use.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Protocol
from uuid import uuid4

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow.models.dagrun import DagRun
    from airflow.sdk import DAG
    from pymongo.database import Database

    from airflow_provider_salesforce_export.sandbox.org import SandboxOrg

_DEFAULT_CONN_ID = "salesforce_export_default"
_NO_RECORDS = {"contacts": 0, "deals": 0, "notes": 0}


class StartSalesforceOrg(Protocol):
    """What the fixture :func:`start_salesforce_org` gives."""

    def __call__(self, **settings: Any) -> SandboxOrg:
        """
        Start an org.

        :param settings: Those of :class:`~airflow_provider_salesforce_export.sandbox.SandboxSettings`.
        """


class ConnectSalesforceOrg(Protocol):
    """What the fixture :func:`connect_salesforce_org` gives."""

    def __call__(self, org: SandboxOrg, conn_id: str = _DEFAULT_CONN_ID, **extra: Any) -> str:
        """
        Make an Airflow connection to an org, and return its id.

        :param org: The org.
        :param conn_id: The id.
        :param extra: Extras of the connection; by default it logs in by client credentials.
        """


class RunDag(Protocol):
    """What the fixture :func:`run_dag` gives."""

    def __call__(self, dag: DAG, **arguments: Any) -> DagRun:
        """
        Run all tasks of a DAG in this process, and return its run.

        :param dag: The DAG; it need not lie in the DAGs folder.
        :param arguments: As for ``DAG.test``, such as ``logical_date`` and ``run_conf``.
        """


@pytest.fixture
def start_salesforce_org() -> Iterator[StartSalesforceOrg]:
    """Start orgs with settings of the test's choice: ``start_salesforce_org(contacts=500)``. They end with the test."""
    try:
        from airflow_provider_salesforce_export.sandbox import SandboxServer, SandboxSettings
    except ImportError as error:
        message = f"A sandbox org needs the extra: pip install 'airflow-provider-salesforce-export[sandbox]' ({error})."
        raise pytest.UsageError(message) from None

    with ExitStack() as running:

        def start(**settings: Any) -> SandboxOrg:
            return running.enter_context(SandboxServer(SandboxSettings(**{**_NO_RECORDS, **settings}))).org

        yield start


@pytest.fixture
def salesforce_org(start_salesforce_org: StartSalesforceOrg) -> SandboxOrg:
    """Return an org without contacts, deals and notes: ``insert`` makes them, ``fail_next`` makes faults."""
    return start_salesforce_org()


@pytest.fixture(scope="session")
def salesforce_mongo_uri() -> Iterator[str]:
    """Yield the address of the MongoDB for the keys of all tests: that in ``MONGO_URI``, else one that is started."""
    from airflow_provider_salesforce_export.sandbox.mongod import running_mongod

    with running_mongod() as uri:
        yield uri


@pytest.fixture
def salesforce_key_database(salesforce_mongo_uri: str) -> Iterator[Database[dict[str, Any]]]:
    """Yield the database for the keys of one test; it is dropped when the test ends."""
    from pymongo import MongoClient

    with MongoClient[dict[str, Any]](salesforce_mongo_uri, tz_aware=True) as client:
        name = f"test_{uuid4().hex}"
        yield client[name]
        client.drop_database(name)


@pytest.fixture
def connect_salesforce_org(
    salesforce_mongo_uri: str, salesforce_key_database: Database[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> ConnectSalesforceOrg:
    """Make Airflow connections to orgs, as environment variables, and ``mongo_default`` for their keys."""
    from airflow_provider_salesforce_export.sandbox.mongod import mongo_connection

    def connect(org: SandboxOrg, conn_id: str = _DEFAULT_CONN_ID, **extra: Any) -> str:
        connection = {
            "conn_type": "salesforce_export",
            "host": org.url,
            "login": org.settings.client_id,
            "password": org.settings.client_secret,
            "extra": {"grant_type": "client_credentials", "key_database": salesforce_key_database.name, **extra},
        }
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(connection))
        monkeypatch.setenv("AIRFLOW_CONN_MONGO_DEFAULT", mongo_connection(salesforce_mongo_uri))
        return conn_id

    return connect


@pytest.fixture
def salesforce_connection(salesforce_org: SandboxOrg, connect_salesforce_org: ConnectSalesforceOrg) -> str:
    """Connect to ``salesforce_org``, and return the id of the connection: the one that operators take by default."""
    return connect_salesforce_org(salesforce_org)


@pytest.fixture(scope="session")
def airflow_database() -> None:
    """
    Prepare Airflow's metadata database, the one in the ``AIRFLOW_HOME`` of the tests.

    Tables are made in SQLite only: a database of another kind is somebody's, who migrates it.
    """
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.sdk.configuration import conf

    if conf.get("database", "sql_alchemy_conn").startswith("sqlite"):
        subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], check=True, capture_output=True)
    DagBundlesManager().sync_bundles_to_db()


@pytest.fixture
def run_dag(airflow_database: None) -> RunDag:
    """Run a DAG as ``DAG.test`` does, wherever it comes from: ``run_dag(dag).state`` is ``"success"``."""
    return run_in_this_process


def run_in_this_process(dag: DAG, **arguments: Any) -> DagRun:
    """
    Make a DAG known to Airflow's database, and run all its tasks; return the run.

    :param dag: The DAG.
    :param arguments: As for ``DAG.test``.
    """
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db

    bag = DagBag(dag_folder=os.devnull)
    bag.bag_dag(dag)
    sync_bag_to_db(bag, next(iter(DagBundlesManager().get_all_bundle_names())), None)
    dag_run: DagRun = dag.test(**arguments)
    return dag_run
